"""Others write while a spool is flushed: each change is in the history once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mongoengine as me
import pytest
from support.changes import tracked
from support.unanswered import unanswered

from mongoengine_history import Flushed, flush_spool, history_of, spool, verify
from mongoengine_history.record import drift


class Crate(me.Document):
    meta = {"collection": "spool_crates", "auto_create_index": False}
    weight = me.IntField()
    note = me.StringField()


@pytest.fixture
def file(database: Any, tmp_path: Path) -> Iterator[Path]:
    with tracked(Crate, on_error=spool(tmp_path / "history.spool")):
        yield tmp_path / "history.spool"


def spooled(crate: Crate, **values: Any) -> None:
    """Save what cannot be recorded, in the process of another writer."""
    own = Crate.objects.get(pk=crate.pk)
    for name, value in values.items():
        setattr(own, name, value)
    with unanswered("insert_many", among="history", done=False):
        own.save()


@pytest.mark.parametrize("look", [1, 2])
def test_what_is_spooled_while_it_is_flushed_is_told_once(
    file: Path, monkeypatch: pytest.MonkeyPatch, look: int
) -> None:
    crate, compare, looks = Crate(weight=0, note="a").save(), drift._drift, list[int]()
    spooled(crate, weight=1)

    def looked(*args: Any) -> Any:
        looks.append(1)
        if len(looks) == look:
            spooled(crate, weight=2)
        elif len(looks) == 1:  # then there is something else that nobody tells
            outside = {"$set": {"note": "outside"}}
            me.get_db()["spool_crates"].update_one({"_id": crate.pk}, outside)
        return compare(*args)

    monkeypatch.setattr(drift, "_drift", looked)
    assert flush_spool(file) == Flushed(1, 0, 0)
    monkeypatch.undo()
    assert flush_spool(file) == Flushed(1, 0, 0)
    weights = [
        patch["data"]["new"]
        for patch in crate._get_collection().database["history"].find({"path": "weight"})
    ]
    assert sorted(weights) == [1, 2]
    assert [it.operation for it in history_of(crate)].count("external") == look - 1
    assert verify(crate).ok
