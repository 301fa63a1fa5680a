"""Of classes that share a collection each hides its own, whoever writes and reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import Any

import mongoengine as me
import pytest
from mongoengine import Document, signals
from pymongo import UpdateMany, UpdateOne
from support.documents import raw
from support.vault import KEY, MARK, found_in, recorded, secret

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
from mongoengine_history.state.mask import fingerprint_of, is_mask


class Paper(Document):
    meta = {"collection": "vault_papers", "allow_inheritance": True, "auto_create_index": False}
    name = me.StringField()
    code = me.StringField()


class Pass(Paper):
    """Hides what its siblings show."""

    meta = {"history": {"exclude": ["pin"], "mask": ["code"]}}
    pin = me.StringField()
    face = me.StringField(history="mask")


class LatePass(Pass):
    more = me.StringField(history=False)


class Ticket(Paper):
    pin = me.StringField()
    face = me.StringField()


@pytest.fixture(params=[1, 100])
def papers(request: Any, database: Any) -> Iterator[None]:
    track_history(Paper, version_every=request.param)
    yield
    untrack_history(Paper)


def made(model: Any = LatePass, **values: Any) -> Any:
    """Make a document of which each secret is another one."""
    names = [name for name in ("code", "pin", "face", "more") if name in model._fields]
    return model(**{"name": "a", **{name: secret() for name in names}, **values})


def anew() -> dict[str, str]:
    return {name: secret() for name in ("code", "pin", "face", "more")}


def edited(document: Any) -> Any:
    document.name += "!"
    for name, value in anew().items():
        document[name] = value
    return document


def in_bulk() -> None:
    requests = [UpdateOne({}, {"$set": anew()}), UpdateMany({}, {"$set": anew()})]
    Paper._get_collection().bulk_write(requests)


def moved() -> None:
    with changeset() as done:
        edited(Paper.objects.first()).save()
        Paper.objects.update(name="c", set__code=secret())
    revert_changeset(done)


def backwards() -> None:
    document = Paper.objects.first()
    revert(document, revision=1).save()
    undo(document, -1).save()


WRITES: dict[str, Callable[[], Any]] = {
    "save of what the base found": lambda: edited(Paper.objects.first()).save(),
    "replace by a save": lambda: made(pk=Paper.objects.first().pk).save(),
    "update by the base": lambda: Paper.objects.update(name="b", code=secret()),
    "update of one": lambda: Paper.objects(name="b").update_one(code=secret()),
    "raw by the base": lambda: Paper.objects.update(__raw__={"$set": anew()}),
    "update_many": lambda: Paper._get_collection().update_many({}, {"$set": anew()}),
    "update_one": lambda: Paper._get_collection().update_one({}, {"$set": anew()}),
    "pipeline": lambda: Paper._get_collection().update_many({}, [{"$set": anew()}]),
    "find and update": lambda: Paper._get_collection().find_one_and_update({}, {"$set": anew()}),
    "replace": lambda: Paper._get_collection().replace_one(
        {}, {"_cls": LatePass._class_name, "name": "r", **anew()}
    ),
    "bulk_write": in_bulk,
    "modify": lambda: Paper.objects.modify(code=secret(), name="m"),
    "update of the document": lambda: Paper.objects.first().update(code=secret(), name="u"),
    "insert": lambda: Paper.objects.insert([made(), made(Pass)]),
    "insert without a class": lambda: Paper._get_collection().insert_many([anew(), anew()]),
    "go back": backwards,
    "revert_changeset": moved,
    "delete one": lambda: Paper.objects.first().delete(),
    "delete by the base": lambda: Paper.objects(name__ne=None).delete(),
}


def shown() -> Iterator[Any]:
    for key in History.objects.distinct("document_id"):
        timeline = history_of(Paper, key)
        yield [list(timeline), list(map(str, timeline)), timeline.blame()]
        for number in range(1, len(timeline) + 1):
            if timeline[number].operation != "delete":
                yield [timeline.state(number), timeline.at(number).to_mongo()]
            yield timeline.compare(number, None)
    yield [load_history(document) for document in Paper.objects(_cls__exists=True)]


def test_no_secret_of_a_subclass_is_found_whatever_is_written_by_its_base(papers: None) -> None:
    made().save(), made().save()
    known = len(recorded())
    for name, write in WRITES.items():
        write()
        now = len(recorded())
        assert now > known, name
        known = now
        if name == "replace":
            assert not found_in(*shown())
    assert Paper.objects.count() == 0


def test_what_a_class_does_not_hide_is_kept_though_its_sibling_hides_it(papers: None) -> None:
    ticket = Ticket(name="a", code="1", pin="2", face="3").save()
    Paper.objects.update(name="b", code="4")
    Paper._get_collection().update_many({}, {"$set": {"pin": "5", "face": "6"}})
    shown = Paper.objects.first()
    shown.code = "7"
    shown.save()
    timeline = history_of(Paper, ticket.pk)
    states = [timeline.state(number) for number in range(1, 5)]
    assert [[it[name] for name in ("code", "pin", "face")] for it in states] == [
        ["1", "2", "3"],
        ["4", "2", "3"],
        ["4", "5", "6"],
        ["7", "5", "6"],
    ]
    revert(Paper.objects.first(), revision=1).save()
    assert raw(ticket) == {
        "_id": ticket.pk,
        "_cls": "Paper.Ticket",
        "name": "a",
        "code": "1",
        "pin": "2",
        "face": "3",
    }


def test_who_reads_and_goes_back_by_the_base_gets_no_mask(papers: None) -> None:
    document = made().save()
    Paper.objects.update(name="b")
    moment = datetime.now(timezone.utc)
    edited(Paper.objects.first()).save()
    live = raw(document)
    for found in (*as_of(Paper, moment), history_of(Paper, document.pk).at(2)):
        assert type(found) is LatePass
        assert (found.name, found.code, found.pin, found.face) == ("b", None, None, None)
    revert(Paper.objects.first(), revision=1).save()
    assert raw(document) == {**live, "name": "a"}
    Paper.objects.first().delete()
    back = restore(Paper, document.pk).save()
    assert raw(back) == {"_id": back.pk, "_cls": LatePass._class_name, "name": "a"}
    recorded()


def test_each_class_may_have_a_key_of_its_own(database: Any) -> None:
    class Keyed(Paper):
        meta = {"history": {"mask": ["code"], "fingerprint_key": KEY}}

    track_history(Paper)
    try:
        documents = [made(Pass, code="same").save(), Keyed(code="same").save(), Keyed().save()]
        Paper.objects.update(code="same")
    finally:
        untrack_history(Paper)
    masks = [history_of(it)[-1].patches[-1][2][-1] for it in (documents[2],)]
    states = [history_of(Paper, it.pk).state(1) for it in documents]
    assert is_mask(states[0]["code"])
    assert is_mask(states[1]["code"])
    assert fingerprint_of(states[0]["code"]) == b""
    assert masks == [("code", states[1]["code"])]
    assert len(fingerprint_of(states[1]["code"])) == 16


def test_backfill_hides_what_each_class_hides(papers: None) -> None:
    with untracked():
        hidden, seen = made().save(), Ticket(code="1", pin="2").save()
    assert backfill(Paper) == 2
    recorded()
    assert history_of(Paper, seen.pk).state(0)["pin"] == "2"
    assert MARK not in repr(history_of(Paper, hidden.pk).state(0))


def test_a_block_around_what_the_base_found_hides_it_too(database: Any) -> None:
    document = made().save()
    for signal in (signals.post_save, signals.post_delete):
        signal.connect(track_changes, sender=LatePass)
    found = Paper.objects.first()
    with DocumentTrack(found):
        edited(found).save()
        found.delete()
    assert len(recorded()) > 1
    assert len(history_of(Paper, document.pk)) == 2


def test_single_options_are_those_of_the_class_that_is_saved(database: Any) -> None:
    class Counted(Paper):
        meta = {"history": {"version_every": 1, "identity": lambda: "counted"}}

    track_history(Paper)
    try:
        Paper(name="a").save()
        document = Counted(name="a").save()
        assert [it.identity for it in history_of(document)] == ["counted"]
        versions = database["history"].find({"position": -1})
        assert [it["document_id"] for it in versions] == [document.pk]
    finally:
        untrack_history(Paper)


def test_a_document_that_changes_its_class_is_hidden_by_the_one_it_has(papers: None) -> None:
    """Each of its states, so that they come back as they were."""

    class Marked(Paper):
        meta = {"history": {"mask": ["code"], "fingerprint_key": KEY}}

    document, others = Marked(name="a", code=secret()).save(), (Pass, Ticket, Marked)
    kinds = [Marked._class_name, *(it._class_name for it in others)]
    collection = Paper._get_collection()
    for name in kinds[1:]:
        code = "seen" if name == Ticket._class_name else secret()
        collection.update_one({"_id": document.pk}, {"$set": {"_cls": name, "code": code}})
        collection.update_many({}, {"$set": {"name": name}})
    timeline = history_of(Paper, document.pk)
    states = [timeline.state(number) for number in range(1, len(timeline) + 1)]
    assert [it["_cls"] for it in states] == [kinds[0], *(it for it in kinds[1:] for _ in "12")]
    lengths = [
        len(fingerprint_of(it["code"])) if is_mask(it["code"]) else it["code"] for it in states
    ]
    assert lengths == [16, 0, 0, "seen", "seen", 16, 16]
    recorded()
