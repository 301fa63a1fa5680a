"""A class where a document is wanted, the other way round, and numbers where moments are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import mongoengine as me
import pytest
from bson import ObjectId
from mongoengine import Document

from mongoengine_history import (
    DocumentTrack,
    OptionsError,
    RevisionNotFoundError,
    as_of,
    backfill,
    history_of,
    load_history,
    restore,
    revert,
    track_history,
    undo,
    untrack_history,
)


class Card(Document):
    meta = {"collection": "cards", "auto_create_index": False}
    text = me.StringField()


@pytest.fixture(autouse=True)
def tracking(database: Any) -> Iterator[None]:
    track_history(Card)
    yield
    untrack_history(Card)


WANTS_A_DOCUMENT: list[Callable[[Any], Any]] = [
    load_history,
    revert,
    lambda it: undo(it, 1),
]
WANTS_A_CLASS: list[Callable[[Any], Any]] = [
    backfill,
    lambda it: as_of(it, datetime.now()),
    lambda it: restore(it, ObjectId()),
]


@pytest.mark.parametrize("call", WANTS_A_DOCUMENT)
def test_a_class_is_no_document(call: Callable[[Any], Any]) -> None:
    with pytest.raises(OptionsError, match="it is a class; give one of its documents"):
        call(Card)
    with pytest.raises(OptionsError, match="document"):
        call("card")


@pytest.mark.parametrize("call", WANTS_A_CLASS)
def test_a_document_is_no_class(call: Callable[[Any], Any]) -> None:
    with pytest.raises(OptionsError, match="it is a document; give its class Card"):
        call(Card().save())


def test_a_number_is_no_moment() -> None:
    with pytest.raises(OptionsError, match="revision=…"):
        revert(Card().save(), 1)


def test_what_has_no_history_is_told_so() -> None:
    with pytest.raises(RevisionNotFoundError, match="has no history"):
        restore(Card, ObjectId())


def test_a_number_past_all_is_told() -> None:
    with pytest.raises(OptionsError):
        history_of(Card().save())[2**63]
    with pytest.raises(OptionsError):
        DocumentTrack(Card)
