"""A class where a document is wanted, the other way round, and numbers where moments are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import mongoengine as me
import pytest
from bson import ObjectId
from mongoengine import Document, EmbeddedDocument

from mongoengine_history import (
    Checkpoint,
    DocumentTrack,
    History,
    OptionsError,
    RevisionNotFoundError,
    Version,
    anonymise,
    as_of,
    backfill,
    changed_since,
    changeset,
    checkpoint,
    erase,
    flush_spool,
    history_of,
    hold,
    load_history,
    proof,
    prune,
    reconcile,
    record_event,
    redact,
    release,
    restore,
    revert,
    revert_changeset,
    spool,
    subscribe,
    track_changes,
    track_history,
    undo,
    unsubscribe,
    untrack_history,
    verify,
    watch,
)


class Corner(EmbeddedDocument):
    text = me.StringField()


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
    lambda it: record_event("read", it),
    lambda it: hold(it, "a case"),
    release,
]
WANTS_A_CLASS: list[Callable[[Any], Any]] = [
    backfill,
    lambda it: prune(it, keep=1),
    lambda it: as_of(it, datetime.now()),
    lambda it: restore(it, ObjectId()),
    lambda it: subscribe("index", it),
]


@pytest.mark.parametrize("call", WANTS_A_DOCUMENT)
def test_a_class_is_no_document(call: Callable[[Any], Any]) -> None:
    with pytest.raises(OptionsError, match="it is a class; give one of its documents"):
        call(Card)
    with pytest.raises(OptionsError, match="document"):
        call("card")


@pytest.mark.parametrize("call", [*WANTS_A_DOCUMENT, DocumentTrack, history_of])
def test_what_is_embedded_is_no_document(call: Callable[[Any], Any]) -> None:
    with pytest.raises(OptionsError, match="give the document that holds it"):
        call(Corner(text="a"))


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


WRONG: dict[str, tuple[Callable[[Any], Any], list[Any]]] = {
    "history_of": (history_of, [None, "x", 2**63, int]),
    "load_history": (load_history, [None, "x", 2**63]),
    "revert": (revert, [None, "x", 2**63]),
    "undo": (lambda it: undo(it, 1), [None, "x", 2**63]),
    "as_of": (lambda it: as_of(it, datetime.now()), [None, "x", 2**63, int]),
    "restore": (lambda it: restore(it, 1), [None, "x", 2**63, int]),
    "backfill": (backfill, [None, "x", 2**63, int]),
    "backfill, progress": (lambda it: backfill(Card, it), ["x", 2**63]),
    "verify": (verify, ["x", 2**63, int]),
    "verify, progress": (lambda it: verify(Card, progress=it), ["x", 2**63]),
    "verify, keys": (lambda it: verify(Card, keys=it), [None, "x", b"x", ["x"], 2**63]),
    "erase": (erase, [None, "x", 2**63, int]),
    "redact": (lambda it: redact(it, "text", pk=1), [None, "x", 2**63, int]),
    "redact, path": (lambda it: redact(Card, it), [None, 1, b"text", {}, [1], Card]),
    "redact, progress": (lambda it: redact(Card, "text", progress=it), ["x", 2**63]),
    "anonymise": (anonymise, [None, 2**64, object()]),
    "track_history": (track_history, ["x", 2**63, int, Card]),
    "untrack_history": (untrack_history, [None, "x", [], {}, int]),
    "DocumentTrack": (DocumentTrack, [None, "x", 2**63, Card]),
    "track_changes": (lambda it: track_changes(Card, it), [None, "x", 2**63, Card]),
    "revert_changeset": (revert_changeset, [None, "x", 2**63, b"123456789012", Card]),
    "its progress": (lambda it: revert_changeset(ObjectId(), progress=it), ["x", 2**63]),
    "of": (History.objects.of, [None, "x", 2**63, int, []]),
    "of, key": (lambda it: History.objects.of(Card, it), [None, "x", 2**63, Card]),
    "Version": (Version.objects.of, [None, "x", 2**63, int]),
    "by": (History.objects.by, [2**64, int, object()]),
    "between": (History.objects.between, ["x", 1, 2**63, Card]),
    "until": (lambda it: History.objects.between(until=it), ["x", 1, 2**63, Card]),
    "touching": (History.objects.touching, [None, 1, 2**63, Card, [2**63]]),
    "using": (History.objects.using, [None, 1, [], Card]),
    "ensure_indexes": (History.ensure_indexes, [1, [], [1], Card]),
    "report": (History.report, [1, b"x", [], {}, Card]),
    "on_behalf_of": (History.objects.on_behalf_of, [2**64, int, object()]),
    "verify, resume": (lambda it: verify(Card, resume=it), [2**64, int, Card, {1}]),
    "verify, since": (lambda it: verify(Card, since=it), ["x", 1, b"x", Card, True]),
    "reconcile": (reconcile, [None, "x", 2**63, int, Card()]),
    "reconcile, identity": (lambda it: reconcile(Card, identity=it), [2**64, int, object()]),
    "reconcile, reason": (lambda it: reconcile(Card, reason=it), [1, b"x", Card]),
    "reconcile, resume": (lambda it: reconcile(Card, resume=it), [2**64, int, Card, {1}]),
    "reconcile, progress": (lambda it: reconcile(Card, progress=it), ["x", 1]),
    "watch": (watch, [None, "x", 2**63, int, Card()]),
    "checkpoint": (checkpoint, [None, "x", 2**63, int, Card()]),
    "checkpoint, origin": (lambda it: checkpoint(Card, origin=it), [1, b"x", "a\nb", Card]),
    "checkpoint, key": (lambda it: checkpoint(Card, key=it), ["x", b"x", 1, Card]),
    "checkpoint, to": (lambda it: checkpoint(Card, to=it), [1, [], Card()]),
    "Checkpoint": (Checkpoint, [None, "x", 1, b"x", Card]),
    "changed_since": (lambda it: [*changed_since(it)], [None, "x", 1, b"x", Card]),
    "proof": (lambda it: proof(it, 1), [None, "x", 2**63, int, Card, Card()]),
    "proof, number": (lambda it: proof(Card().save(), it), [None, "1", 0, True, 2**63, Card]),
    "proof, keys": (lambda it: proof(Card(pk=ObjectId()), 1, keys=it), [None, "x", b"x", {}, 1]),
    "prune": (lambda it: prune(it, keep=1), [None, "x", 2**63, int, Card()]),
    "prune, keep": (lambda it: prune(Card, keep=it), ["1", 1.5, True, 0, -1, Card]),
    "prune, age": (lambda it: prune(Card, older_than=it), ["x", 1, timedelta(-1), Card]),
    "prune, dry_run": (lambda it: prune(Card, keep=1, dry_run=it), [None, "no", 0, [], Card]),
    "prune, resume": (lambda it: prune(Card, keep=1, resume=it), [2**64, int, Card, {1}]),
    "prune, progress": (lambda it: prune(Card, keep=1, progress=it), ["x", 1]),
    "hold": (lambda it: hold(it, "why"), [None, "x", 2**63, Card, Card()]),
    "hold, reason": (lambda it: hold(Card().save(), it), [None, "", 1, b"x", Card]),
    "release": (release, [None, "x", 2**63, Card, Card()]),
    "record_event": (record_event, [None, "", 1, b"x", Card]),
    "record_event, document": (lambda it: record_event("read", it), ["x", 1, Card, Card()]),
    "record_event, using": (lambda it: record_event("read", using=it), [1, [], {}, Card, True]),
    "record_event, data": (lambda it: record_event("read", data=it), [2**64, Card, object()]),
    "subscribe": (subscribe, [None, "", 1, b"x", Card]),
    "subscribe, model": (lambda it: subscribe("index", it), [None, "x", 1, int, Card()]),
    "subscribe, wait": (lambda it: subscribe("index", wait=it), ["x", -1, True, [], float("nan")]),
    "from_beginning": (lambda it: subscribe("index", from_beginning=it), [None, "no", 0, Card]),
    "subscribe, using": (lambda it: subscribe("index", using=it), [1, [], {}, Card]),
    "unsubscribe": (unsubscribe, [None, "", 1, b"x", Card]),
    "unsubscribe, model": (lambda it: unsubscribe("index", it), [None, "x", 1, int, Card()]),
    "unsubscribe, using": (lambda it: unsubscribe("index", using=it), [1, [], {}, Card]),
    "spool": (spool, [None, 1, [], {}, Card]),
    "flush_spool": (flush_spool, [None, 1, [], {}, Card]),
    "as_of, as_data": (lambda it: as_of(Card, datetime.now(), as_data=it), [None, "x", 1, Card]),
    "dry_run": (lambda it: revert_changeset(ObjectId(), dry_run=it), [None, "no", 0, Card]),
    "blame": (lambda it: history_of(Card().save()).blame(it), [1, True, b"text", {}, Card]),
    "anonymise, using": (lambda it: anonymise("ann", using=it), [1, [], {}, Card]),
}


@pytest.mark.parametrize(
    ("call", "given"),
    [(call, it) for call, wrong in WRONG.values() for it in wrong],
    ids=[f"{name}-{it!r:.20}" for name, (_, wrong) in WRONG.items() for it in wrong],
)
def test_what_is_of_another_kind_is_refused(call: Callable[[Any], Any], given: Any) -> None:
    with pytest.raises(OptionsError) as caught:
        call(given)
    assert caught.value.name


def test_the_argument_that_is_wrong_is_named() -> None:
    with changeset("anna") as changes:
        card = Card(text="a").save()
    checkpoint(Card)
    with pytest.raises(OptionsError, match="keys="):
        proof(card, 1, keys=["text"])  # type: ignore[list-item]
    with pytest.raises(OptionsError, match="dry_run="):
        revert_changeset(changes, dry_run="no")  # type: ignore[call-overload]
    assert Card.objects(pk=card.pk).count() == 1


NUMBERS: list[Any] = ["1", 1.0, True, 2**63, -(2**63), 2**70, Card, []]


@pytest.mark.parametrize(
    "call",
    [
        lambda it, number: history_of(it)[number],
        lambda it, number: history_of(it).state(number),
        lambda it, number: history_of(it).at(number),
        lambda it, number: history_of(it).compare(1, number),
        undo,
        lambda it, number: undo(it, revision=number),
        lambda it, number: revert(it, revision=number),
    ],
)
def test_what_is_no_number_is_refused_as_a_number(call: Callable[[Any, Any], Any]) -> None:
    card = Card(text="a").save()
    for number in NUMBERS:
        with pytest.raises(OptionsError, match="number"):
            call(card, number)


BOOLS = [slice(True, None), slice(None, True), slice(None, None, True), slice(False)]


@pytest.mark.parametrize(
    "ends", [slice("a"), slice(None, 1.5), slice(0, 5, 0), slice(None, None, "x"), *BOOLS]
)
def test_a_slice_has_numbers(ends: slice) -> None:
    with pytest.raises(OptionsError, match="its ends are numbers"):
        history_of(Card().save())[ends]


def test_a_slice_may_end_past_all() -> None:
    card = Card(text="a").save()
    assert [it.number for it in history_of(card)[: 2**70]] == [1]
    assert history_of(card)[2**63 :] == []


def test_a_revision_is_undone_by_either_name_but_once() -> None:
    card = Card(text="a").save()
    card.text = "b"
    card.save()
    assert undo(card, revision=2).text == "a"
    assert undo(card, revision=-1).text == "a"
    for call in (lambda: undo(card), lambda: undo(card, 2, revision=2)):
        with pytest.raises(OptionsError, match="number"):
            call()


def test_the_id_of_a_changeset_may_be_a_text() -> None:
    with changeset("anna") as changes:
        card = Card(text="a").save()
    revert_changeset(str(changes.id))
    assert Card.objects(pk=card.pk).first() is None
