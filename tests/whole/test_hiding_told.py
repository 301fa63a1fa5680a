"""What errors, logs and the records in them tell of documents with secrets: none of these."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import bson
import mongoengine as me
import pytest
from mongoengine import Document
from mongoengine.errors import ValidationError
from support.vault import (
    HIDING,
    KEY,
    MARK,
    VaultLine,
    filled,
    found_in,
    recorded,
    refill,
    secret,
    vault,
)

from mongoengine_history import (
    ChangesetConflictError,
    DocumentTrack,
    History,
    HistoryNotRecordedError,
    OptionsError,
    PatchError,
    StateMismatchError,
    UndoConflictError,
    changeset,
    history_of,
    restore,
    revert,
    revert_changeset,
    track_history,
    undo,
    untrack_history,
)

Told = vault("Told")


class Unencodable:
    """A value that BSON has no type for, and that tells all about itself."""

    def __repr__(self) -> str:
        return MARK


class Digits(me.StringField):
    """A field of an application that tells what it does not like."""

    def to_python(self, value: Any) -> Any:
        if not value.isdecimal():
            raise ValueError(f"no digits: {value}")
        return value


class Pin(Document):
    meta = {"collection": "vault_pins", "auto_create_index": False}
    name = me.StringField()
    sort = Digits()
    pin = me.StringField(required=True)
    card = me.EmbeddedDocumentField(VaultLine)


@pytest.fixture(params=[{}, {"fingerprint_key": KEY}], ids=["masks", "fingerprints"])
def model(request: Any, database: Any) -> Iterator[type[Document]]:
    track_history(Told, **HIDING, **request.param)
    yield Told
    untrack_history(Told)


@pytest.fixture
def pins(database: Any) -> Iterator[None]:
    track_history(Pin, exclude=["sort", "pin", "card.card"])
    yield
    untrack_history(Pin)


def tells_nothing(error: BaseException, *more: Any) -> bool:
    """Whether neither the error nor what caused it tells a secret."""
    lines = traceback.format_exception(type(error), error, error.__traceback__)
    told = [line for line in lines if not line.lstrip().startswith("File ")]
    values = [value for value in vars(error).values() if not isinstance(value, Document)]
    return not found_in(str(error), repr(error), error.args, values, "".join(told), *more)


def saves(model: Any) -> None:
    refill(model.objects.first()).save()


WRITES: dict[str, Callable[[Any], Any]] = {
    "create": lambda it: filled(it, "new").save(),
    "save": saves,
    "update": lambda it: it.objects.update(token=secret(), push__codes=secret(), name="b"),
    "insert": lambda it: it.objects.insert([filled(it, "x"), filled(it, "y")]),
    "delete": lambda it: it.objects.first().delete(),
    "delete by a query": lambda it: it.objects.delete(),
}


@pytest.fixture
def refused(database: Any) -> Iterator[Callable[[], None]]:
    """Let MongoDB refuse every record from the call on."""

    def refuse() -> None:
        validator = {"document_type": {"$exists": False}}
        database.command("collMod", "history", validator=validator)

    yield refuse
    database.command("collMod", "history", validator={})


@pytest.mark.parametrize("name", WRITES)
def test_an_error_about_missing_records_and_the_records_do_not(
    model: Any, refused: Any, database: Any, name: str
) -> None:
    filled(model, "a").save(), filled(model, "a").save()
    refused()
    with pytest.raises(HistoryNotRecordedError) as caught:
        WRITES[name](model)
    assert tells_nothing(caught.value)
    assert MARK.encode() not in bson.encode({"": caught.value.records})
    known = len(recorded())
    database.command("collMod", "history", validator={})
    History._get_collection().insert_many(caught.value.records)
    assert len(recorded()) > known


@pytest.mark.parametrize("name", WRITES)
def test_a_log_of_missing_records_does_not(
    refused: Any, database: Any, caplog: Any, name: str
) -> None:
    track_history(Told, **HIDING, fingerprint_key=KEY, on_error="log")
    try:
        filled(Told, "a").save(), filled(Told, "a").save()
        refused()
        with caplog.at_level(logging.DEBUG, "mongoengine_history"):
            WRITES[name](Told)
    finally:
        untrack_history(Told)
    assert caplog.records
    own = [entry for entry in caplog.records if entry.name.startswith("mongoengine_history")]
    assert not found_in(caplog.text, *(vars(entry) for entry in own))
    assert own[0].records


def test_an_error_about_a_value_that_is_no_bson_does_not(database: Any) -> None:
    watched = vault("Unencodable", history=HIDING)
    document = filled(watched, "a").save()
    document.facts["answer"] = Unencodable()
    with pytest.raises(OptionsError, match="InvalidDocument") as caught:
        DocumentTrack(document, refuse_stale=True)
    assert tells_nothing(caught.value)


def test_an_error_about_a_state_that_does_not_fit_does_not(pins: None) -> None:
    document = Pin(name="a", sort="1", pin=secret()).save()
    document.name = "b"
    document.save()
    Pin._get_collection().update_one({}, {"$set": {"sort": secret()}})
    with pytest.raises(StateMismatchError) as caught:
        revert(document, revision=1)
    assert tells_nothing(caught.value)
    assert caught.value.keys == ["sort"]


def test_an_error_about_a_conflict_does_not(model: Any) -> None:
    document = filled(model, "a").save()
    refill(document).save()
    refill(document).save()
    with pytest.raises(UndoConflictError) as caught:
        undo(document, 2)
    assert tells_nothing(caught.value, caught.value.conflicts)
    with changeset() as done:
        refill(document).save()
    refill(document).save()
    with pytest.raises(ChangesetConflictError) as conflict:
        revert_changeset(done)
    assert tells_nothing(conflict.value, conflict.value.errors[0].conflicts)


def test_an_error_about_records_that_do_not_fit_does_not(model: Any) -> None:
    document = filled(model, "a").save()
    for _ in range(3):
        document.lines.append(VaultLine(sku="z", card=secret()))
        document.lines[0].card = secret()
        document.save()
    second = {"document_id": document.pk, "revision": 2}
    tampered = {"data.items.0.value": "other", "data.new": "other"}
    History._get_collection().update_many(second, {"$set": tampered, "$unset": {"lists": 1}})
    with pytest.raises(PatchError) as caught:
        history_of(document).state(4)
    assert tells_nothing(caught.value, caught.value.expected, caught.value.found)
    with pytest.raises(PatchError) as caught:
        revert(document, revision=3)
    assert tells_nothing(caught.value, caught.value.expected, caught.value.found)


def test_a_required_value_that_the_history_does_not_have_is_named(pins: None) -> None:
    document = Pin(name="a", pin=secret(), card=VaultLine(sku="s", card=secret())).save()
    document.delete()
    back = restore(Pin, document.pk)
    with pytest.raises(ValidationError, match="pin") as caught:
        back.save()
    assert list(caught.value.to_dict()) == ["pin"]
    back.pin = secret()
    back.save()
    found = Pin.objects.get()
    assert (found.name, found.pin, found.card.sku, found.card.card) == ("a", back.pin, "s", None)
    assert len(recorded()) == len(history_of(document)) == 3
