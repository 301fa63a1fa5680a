"""Paths of stored keys, told by names of attributes."""

from __future__ import annotations

from typing import Any

import pytest
from mongoengine import (
    DictField,
    Document,
    EmbeddedDocument,
    EmbeddedDocumentField,
    EmbeddedDocumentListField,
    GenericEmbeddedDocumentField,
    ListField,
    MapField,
    StringField,
)

from mongoengine_history import history_of, track_history
from mongoengine_history.documents.attributes import attributes


class Stop(EmbeddedDocument):
    street = StringField(db_field="s")


@track_history
class Tour(Document):
    meta = {"allow_inheritance": True}
    title = StringField(db_field="t")
    stops = EmbeddedDocumentListField(Stop, db_field="l")
    by_day = MapField(EmbeddedDocumentField(Stop), db_field="d")
    grid = ListField(ListField(EmbeddedDocumentField(Stop)))
    notes = DictField(db_field="n")
    any_kind = GenericEmbeddedDocumentField(db_field="g")


class Guided(Tour):
    guide = StringField(db_field="w")


@pytest.mark.parametrize(
    ("stored", "named"),
    [
        (["t"], ("title",)),
        (["l"], ("stops",)),
        (["l", 2, "s"], ("stops", 2, "street")),
        (["d", "s", "s"], ("by_day", "s", "street")),
        (["grid", 0, 1, "s"], ("grid", 0, 1, "street")),
        (["n", "t", "s"], ("notes", "t", "s")),
        (["g", "s"], ("any_kind", "street")),
        (["g", "_cls"], ("any_kind", "_cls")),
        (["w"], ("guide",)),
        (["gone", "t", 0, "s"], ("gone", "t", 0, "s")),
    ],
)
def test_a_stored_path_is_named_by_attributes(stored: Any, named: Any) -> None:
    assert attributes(Tour, stored) == named


@pytest.mark.usefixtures("database")
def test_a_timeline_names_what_its_revisions_changed() -> None:
    tour = Tour(title="a", stops=[Stop(street="b")]).save()
    tour.stops[0].street = "c"
    tour.save()
    timeline = history_of(tour)
    first, second = ([*it.to_dict(names=timeline.names)["changes"]] for it in timeline)
    assert {"title", "stops", "by_day"} <= {it["path"] for it in first}
    assert second == [
        {
            "kind": "edited",
            "path": "stops[0].street",
            "keys": ["stops", 0, "street"],
            "old": "b",
            "new": "c",
        }
    ]
