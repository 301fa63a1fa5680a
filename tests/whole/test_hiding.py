"""No secret is found in a history, whatever was written, nor in what anybody is told of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import Any

import pytest
from mongoengine import Document, signals
from pymongo import DeleteMany, InsertOne, ReplaceOne, ReturnDocument, UpdateMany, UpdateOne
from support.binding import CAN_BIND
from support.changes import deleted
from support.vault import (
    HIDING,
    KEY,
    VaultLine,
    filled,
    found_in,
    raw_secrets,
    recorded,
    refill,
    secret,
)
from support.vault import vault as vault_class

from mongoengine_history import (
    DocumentTrack,
    History,
    as_of,
    backfill,
    changeset,
    history_of,
    load_history,
    restore,
    revert,
    revert_changeset,
    track_changes,
    track_history,
    undo,
    untrack_history,
    untracked,
)
from mongoengine_history.documents.options import options_of

Model = type[Document]
Step = Callable[[Model], Any]

Tracked = vault_class("Tracked")
Watched = vault_class("Watched", history=HIDING)
WithKey = vault_class("WithKey", history={**HIDING, "fingerprint_key": KEY, "version_every": 1})


def saved(document: Any) -> Any:
    """Save in a block, so that it is recorded whoever records."""
    with DocumentTrack(document, "ann"):
        return document.save()


def first(model: Model) -> Any:
    return model.objects.order_by("pk").first()


def newest(model: Model) -> Any:
    return model.objects.order_by("-pk").first()


def made(model: Model, **values: Any) -> Any:
    return saved(filled(model, "made", **values))


def in_several_steps(model: Model) -> None:
    document = made(model)
    with DocumentTrack(document):
        for _ in range(3):
            refill(document).save()
        document.token, document.password = None, None
        document.save()
        document.lines.pop(0)
        document.facts.pop("answer")
        document.save()
        document.lines, document.codes, document.place = [], [], None
        document.save()


def moved(model: Model) -> None:
    document = made(model)
    document.lines.reverse()
    document.lines.append(document.lines.pop(1))
    saved(document)
    document.lines[:] = document.lines[1:]
    saved(document)


def rules_of_deletion(model: Model) -> None:
    parent = made(model)
    made(model, parent=parent), made(model, owner=parent)
    parent.delete()


def in_one_call(model: Model) -> None:
    name = {"name": "bulk"}
    requests = [
        InsertOne({**name, **raw_secrets()}),
        UpdateOne(name, {"$set": raw_secrets()}),
        UpdateMany({}, {"$push": {"codes": secret(), "ls": {"c": secret()}}}),
        ReplaceOne(name, {**name, **raw_secrets()}),
        UpdateOne({"token": secret()}, {"$set": {"pw": secret()}}, upsert=True),
        DeleteMany(name),
    ]
    model._get_collection().bulk_write(requests)


def back(model: Model) -> None:
    document = made(model)
    moment = datetime.now(timezone.utc)
    saved(refill(document))
    saved(refill(document))
    revert(document, moment).save()
    revert(document, revision=2).save()
    undo(document, -1).save()
    undo(document, len(history_of(document))).save()


def brought_back(model: Model) -> None:
    document = deleted(made(model), "ben")
    saved(restore(model, document.pk))
    document = deleted(made(model), "ben")
    undo(document, -1).save()


def whole_changeset(model: Model) -> None:
    gone, stays = made(model), made(model)
    with changeset("cleo") as done:
        made(model)
        saved(refill(stays))
        deleted(gone)
        model.objects(name="made!").update(token=secret(), push__codes=secret())
    own = revert_changeset(done)
    revert_changeset(own)


def before_it_is_tracked(model: Model) -> None:
    with untracked():
        filled(model, "old").save(), filled(model, "old").save()
    backfill(model)
    saved(refill(model.objects(name="old").first()))
    model.objects(name="old").update(token=secret())


def in_a_transaction(model: Model) -> None:
    with changeset("ann", atomic=CAN_BIND):
        saved(refill(made(model)))
        model.objects(lines__0__qty=0).update(token=secret(), set__lines__0__card=secret())


STEPS: dict[str, Step] = {
    "create": made,
    "create by the class": lambda it: it.objects.create(name="new", token=secret()),
    "save": lambda it: saved(refill(first(it))),
    "save without a block": lambda it: refill(first(it)).save(),
    "several saves": in_several_steps,
    "lists": moved,
    "replace by a save": lambda it: saved(filled(it, "other", pk=first(it).pk)),
    "partly loaded": lambda it: saved(refilled_part(it.objects.only("name", "token").first())),
    "update of a document": lambda it: first(it).update(token=secret(), push__codes=secret()),
    "modify of a document": lambda it: first(it).modify(password=secret(), inc__number=1),
    "update": lambda it: it.objects.update(token=secret(), set__facts__a__pin=secret()),
    "update of a list": lambda it: it.objects.update(push__lines=VaultLine(sku="p", card=secret())),
    "update of an item": lambda it: it.objects(lines__0__sku="p").update(
        set__lines__0__card=secret()
    ),
    "update of a matching item": lambda it: it.objects(lines__sku="p").update(
        set__lines__S__card=secret()
    ),
    "pull": lambda it: it.objects.update(pull__lines__sku="p", pop__codes=1),
    "unset": lambda it: it.objects(name="new").update(unset__token=1, unset__password=1),
    "raw": lambda it: it.objects.update(__raw__={"$set": raw_secrets()}, multi=False),
    "pipeline": lambda it: it._get_collection().update_many(
        {}, [{"$set": {"token": {"$concat": [secret(), "$name"]}, "number": 1}}]
    ),
    "upsert": lambda it: it.objects(token=secret()).upsert_one(password=secret(), name="upsert"),
    "modify": lambda it: it.objects.order_by("pk").modify(token=secret(), new=True),
    "modify and remove": lambda it: it.objects.order_by("-pk").modify(remove=True),
    "replace": lambda it: it._get_collection().replace_one({"_id": first(it).pk}, raw_secrets()),
    "find and replace": lambda it: it._get_collection().find_one_and_replace(
        {"_id": first(it).pk}, raw_secrets(), return_document=ReturnDocument.AFTER
    ),
    "insert": lambda it: it.objects.insert([filled(it, name) for name in "xyz"]),
    "insert raw": lambda it: it._get_collection().insert_many([raw_secrets(), raw_secrets()]),
    "bulk_write": in_one_call,
    "in a transaction": in_a_transaction,
    "revert and undo": back,
    "restore": brought_back,
    "revert_changeset": whole_changeset,
    "backfill": before_it_is_tracked,
    "delete": lambda it: deleted(newest(it)),
    "delete rules": rules_of_deletion,
    "delete by a query": lambda it: it.objects(name="x").delete(),
    "drop": lambda it: it.drop_collection(),
}
"""All that can be written, in an order in which there is always something to write to."""


def refilled_part(document: Any) -> Any:
    document.name, document.token = "part", secret()
    return document


TRACKED = {
    "masks": {},
    "fingerprints": {"fingerprint_key": KEY},
    "every version": {"version_every": 1},
    "every second version, fingerprints": {"version_every": 2, "fingerprint_key": KEY},
    "no version": {"version_every": 0},
}


@pytest.fixture(params=[*TRACKED, "a block", "a block, fingerprints"])
def model(request: Any, database: Any) -> Iterator[Model]:
    """A class that is tracked in each of these ways."""
    if request.param in TRACKED:
        track_history(Tracked, **HIDING, **TRACKED[request.param])
        yield Tracked
        untrack_history(Tracked)
        return
    watched = WithKey if "fingerprints" in request.param else Watched
    for signal in (signals.post_save, signals.post_delete):
        signal.connect(track_changes, sender=watched)
    yield watched


def shown(model: Model) -> Iterator[Any]:
    """Read the history of each document in every way."""
    name = model._get_collection_name()
    for key in History.objects(document_type=name).distinct("document_id"):
        timeline = history_of(model, key)
        yield [list(timeline), list(map(str, timeline)), timeline[-1:], timeline.blame()]
        for number in range(1, len(timeline) + 1):
            if timeline[number].operation != "delete":
                yield [timeline.state(number), timeline.at(number).to_mongo()]
            yield [timeline.compare(number, None), timeline.compare(number - 1, number)]
    yield [load_history(document) for document in model.objects]
    yield [document.to_mongo() for document in as_of(model, datetime.now(timezone.utc))]
    yield [record.to_mongo() for record in History.objects]


@pytest.mark.parametrize("largest", [None, 60], ids=["whole values", "values in parts"])
def test_no_secret_is_found_whatever_is_written(
    model: Model, monkeypatch: Any, largest: int | None
) -> None:
    if largest:
        monkeypatch.setattr("mongoengine_history.record.layout.LARGEST_VALUE", largest)
    saved(filled(model, "first"))
    known = len(recorded())
    for name, step in STEPS.items():
        if name == "backfill" and not options_of(model).version_every:
            continue
        step(model)
        now = len(recorded())
        assert now > known or model is not Tracked, name
        known = now
        if name == "insert raw":
            assert not found_in(*shown(model))
    assert model.objects.count() == 0
    if not largest:  # else much lies in pieces
        assert any(b"made!" in raw for raw in recorded())


def test_the_search_finds_a_secret(database: Any) -> None:
    track_history(Tracked)  # without rules
    try:
        filled(Tracked, "a").save()
    finally:
        untrack_history(Tracked)
    with pytest.raises(AssertionError):
        recorded()
    assert found_in([list(history_of(first(Tracked)))])
