"""Checkpoints: what became of a history since is found and named, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mongoengine as me
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mongoengine import Document
from pymongo.collection import Collection
from pymongo.database import Database
from support.binding import binds
from support.changes import automatic, tracked, tracked_otherwise
from support.stored_history import history
from support.strategies import examples

from mongoengine_history import (
    BaseHistory,
    Finding,
    OptionsError,
    changed_since,
    checkpoint,
)
from mongoengine_history.record import histories
from mongoengine_history.record.histories import Histories, Tip
from mongoengine_history.record.place import Place
from mongoengine_history.trust import leaves as keeping
from mongoengine_history.trust.changed_since import Since
from mongoengine_history.trust.checkpoint import Checkpoint


class Deed(Document):
    meta = {"collection": "deeds", "auto_create_index": False}
    text = me.StringField()
    lines = me.ListField(me.IntField())


class Will(Document):
    meta = {"collection": "wills", "auto_create_index": False}
    key = me.DynamicField(primary_key=True)
    text = me.StringField()


tracking = automatic(Deed, Will)


@pytest.fixture(autouse=True)
def at_once(database: Any, monkeypatch: Any) -> None:
    """Nobody writes meanwhile, so nothing has to be waited for; and pages are small."""
    monkeypatch.setattr(histories, "ON_ITS_WAY", 0)
    monkeypatch.setattr(keeping, "PAGE", 4)
    monkeypatch.setattr(keeping, "PAGES_AT_ONCE", 2)


def tips(made: Checkpoint) -> list[Tip]:
    return [*Since(made, Histories()).tips()]


def deed(count: int) -> Deed:
    """Make one of so many revisions, of several records each."""
    made = Deed(text="1", lines=[1]).save()
    for number in range(2, count + 1):
        made.text = str(number)
        made.lines.append(number)
        made.save()
    return made


def beside() -> Collection[Any]:
    return history().database["history_checkpoints"]


def told(found: Any) -> list[tuple[Any, int, str]]:
    return sorted((str(it.document_id), it.revision, it.kind) for it in found)


def whole(pk: Any, _: int) -> tuple[int, str]:
    history().delete_many({"document_id": pk})
    return 5, "missing"


def end(pk: Any, number: int) -> tuple[int, str]:
    history().delete_many({"document_id": pk, "revision": {"$gt": number}})
    return 5, "missing"


def beginning(pk: Any, number: int) -> tuple[int, str]:
    history().delete_many({"document_id": pk, "revision": {"$lte": number}})
    return 1, "missing"


def middle(pk: Any, _: int) -> tuple[int, str]:
    history().delete_many({"document_id": pk, "revision": 5})
    Deed.objects(pk=pk).update(text="five is gone, and six is here")
    return 5, "missing"


def written_anew(pk: Any, number: int) -> tuple[int, str]:
    end(pk, number)
    for text in range(number, 7):
        Deed.objects(pk=pk).update(text=f"anew {text}")
    return 5, "altered"


def moved(pk: Any, _: int) -> tuple[int, str]:
    history().update_many({"document_id": pk}, {"$set": {"document_id": f"not {pk}"}})
    return 5, "missing"


PLANTED: list[Callable[[Any, int], tuple[int, str]]] = [whole, end, beginning, written_anew, moved]


@examples(25)
@given(st.lists(st.tuples(st.sampled_from([None, *PLANTED]), st.integers(1, 4)), max_size=11))
def test_what_was_done_to_a_history_is_named_and_nothing_else(
    database: Database[Any], done: list[Any]
) -> None:
    history().delete_many({})
    beside().drop()
    deeds = [deed(5) for _ in done]
    made = checkpoint()
    assert (made.size, list(changed_since(made))) == (len(done), [])
    expected = []
    for it, (plant, number) in zip(deeds, done, strict=True):
        it.reload().update(text="later")
        if plant:
            expected.append((str(it.pk), *plant(it.pk, number)))
    deed(2)
    assert told(changed_since(made.text)) == sorted(expected)


def test_a_hole_is_named(database: Database[Any]) -> None:
    made, it = checkpoint(), deed(5)
    assert list(changed_since(made)) == []
    made = checkpoint()
    it.update(text="six")
    assert told(changed_since(made)) == []
    assert told([Finding("deeds", it.pk, *middle(it.pk, 0), "")]) == told(changed_since(made))


def test_two_histories_that_were_exchanged_are_both_named(database: Database[Any]) -> None:
    short, long = deed(3), deed(5)
    made = checkpoint()
    for old, new in [(short.pk, "x"), (long.pk, short.pk), ("x", long.pk)]:
        history().update_many({"document_id": old}, {"$set": {"document_id": new}})
    found = told(changed_since(made))
    assert found == sorted([(str(short.pk), 3, "altered"), (str(long.pk), 5, "missing")])
    assert "ends with revision 3" in next(
        it.what for it in changed_since(made, Deed) if it.revision == 5
    )


@pytest.mark.parametrize("key", [1, 2.5, "a.b", {"a": [1], "b": None}, b"\0", True])
def test_keys_may_be_of_any_type(database: Database[Any], key: Any) -> None:
    Will(key=key, text="x").save()
    made = checkpoint(Will)
    Will.objects(pk=key).update(text="y")
    assert [it[:3] for it in tips(made)] == [("wills", key, 1)]
    assert list(changed_since(made)) == []
    history().delete_many({"document_type": "wills"})
    assert told(changed_since(made)) == [(str(key), 1, "missing")]


def test_only_histories_of_some_classes_are_asked(database: Database[Any]) -> None:
    deed(1), Will(key=1).save()
    assert (checkpoint().size, checkpoint(Deed).size, checkpoint(Deed, Will).size) == (2, 1, 2)
    made = checkpoint()
    history().delete_many({})
    assert {it.document_type for it in changed_since(made, Will)} == {"wills"}
    assert len(list(changed_since(made))) == 2


class Registry(BaseHistory):
    meta = {"collection": "registry"}


def test_a_history_of_its_own(database: Database[Any]) -> None:
    with tracked_otherwise(Deed, history=Registry):
        it = deed(2)
        assert (checkpoint().size, (made := checkpoint(Deed)).size) == (0, 1)
        assert made.origin.startswith(f"{database.name}.registry/")
        database["registry"].delete_many({"revision": 2})
        assert told(changed_since(made, Deed)) == [(str(it.pk), 2, "missing")]
        with pytest.raises(OptionsError, match="several collections"):
            checkpoint(Deed, Will)


@binds
def test_what_may_never_be_committed_is_not_signed(client: Any, database: Database[Any]) -> None:
    with client.start_session() as session, session.bind(), session.start_transaction():
        with pytest.raises(OptionsError, match="transaction"):
            checkpoint()
    with pytest.raises(OptionsError, match="Document"):
        checkpoint("deeds")  # type: ignore[arg-type]


def test_a_collection_that_was_renamed(database: Database[Any]) -> None:
    it = deed(3)
    history().update_many({}, {"$set": {"document_type": "deeds_before"}})
    made = checkpoint()
    history().update_many({"revision": 3}, {"$set": {"document_type": "deeds_now"}})
    assert told(changed_since(made)) == [(str(it.pk), 3, "missing")]

    class Now(Document):
        meta = {"collection": "deeds_now", "auto_create_index": False}
        text = me.StringField()

    with tracked(Now, formerly=["deeds_before"]):
        assert told(changed_since(made)) == []
        history().delete_many({"revision": 2})
        history().update_many({"revision": 3}, {"$set": {"revision": 2}})
        assert told(changed_since(made, Now)) == [(str(it.pk), 3, "missing")]


def pruned(it: Deed, number: int) -> None:
    """Let a history begin with a later revision, as retention leaves it."""
    own = {"document_id": it.pk}
    history().update_one({**own, "revision": number, "position": 0}, {"$set": {"pruned": {}}})
    history().delete_many({**own, "revision": {"$lt": number}})


@pytest.mark.parametrize("number", [2, 3, 4])
def test_what_was_pruned_is_no_fault(database: Database[Any], number: int) -> None:
    it = deed(3)
    made = checkpoint()
    it.update(text="later")
    pruned(it, number)
    found = list(changed_since(made))
    assert told(found) == ([(str(it.pk), 3, "pruned")] if number > 3 else [])
    assert not any(it.is_fault for it in found)
    history().update_one({"revision": number}, {"$unset": {"pruned": 1}})
    assert {it.kind for it in changed_since(made)} == {"missing"}
    assert (str(it.pk), 1, "missing") in told(changed_since(made))


def test_while_it_is_pruned_it_is_no_fault_either(database: Database[Any]) -> None:
    it = deed(5)
    made = checkpoint()
    it.update(text="later")
    history().update_one({"revision": 6, "position": 0}, {"$set": {"pruned": {}}})
    for number in range(1, 6):
        assert not [it for it in changed_since(made) if it.is_fault]
        history().delete_many({"revision": number})
    assert told(changed_since(made)) == [(str(it.pk), 5, "pruned")]


def test_what_was_pruned_costs_no_look_at_each(database: Database[Any], commands: Any) -> None:
    deeds = [deed(2) for _ in range(4)]
    made, costs = checkpoint(), []
    for it in deeds:
        pruned(it, 2)
        commands.clear()
        assert list(changed_since(made)) == []
        costs.append(commands.names.count("find"))
    assert len({*costs}) == 1


def test_a_torn_revision_is_not_signed(database: Database[Any]) -> None:
    it = deed(3)
    history().delete_one({"revision": 3, "position": 1})
    made = checkpoint()
    assert [(tip.revision, tip.checksum) for tip in tips(made)] == [
        (2, history().find_one({"revision": 2, "position": 0})["checksum"])  # type: ignore[index]
    ]
    history().delete_many({"revision": 3})
    assert list(changed_since(made)) == []
    assert it.pk


def test_revisions_from_before_there_were_checksums(database: Database[Any]) -> None:
    it = deed(3)
    history().update_many({}, {"$unset": {"checksum": 1, "salt": 1}})
    made = checkpoint()
    assert list(changed_since(made)) == []
    history().delete_many({"revision": 3})
    assert told(changed_since(made)) == [(str(it.pk), 3, "missing")]


def test_roots_are_the_same_whatever_a_foreign_record_did_to_the_index(
    database: Database[Any],
) -> None:
    """A list in the place of a key, be it there no more, and the server groups in no order."""
    foreign = {"document_type": "x", "document_id": [1, 2], "revision": 1, "position": 0}
    history().insert_one(foreign)
    history().delete_one(foreign)
    try:
        deeds = [deed(1) for _ in range(13)]
        assert [it.document_id for it in tips(checkpoint())] == [it.pk for it in deeds]
    finally:
        history().drop_index("history_revision")  # else it stays like that for other tests, too


def test_an_index_that_is_gone_and_comes_back_late(
    database: Database[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A majority may not have it when this server does."""
    monkeypatch.setattr(Place, "_make_indexes_again", lambda *_: None)
    deeds = [deed(1) for _ in range(5)]
    history().drop_indexes()
    assert [it.document_id for it in tips(checkpoint())] == [it.pk for it in deeds]


def test_nothing_is_written_twice(database: Database[Any]) -> None:
    """Of a later checkpoint only pages are new in which something has changed."""
    deeds = [deed(1) for _ in range(13)]
    first = checkpoint()
    pages = beside().count_documents({"leaves": {"$exists": True}})
    assert pages == 4
    deeds[-1].update(text="x")
    second = checkpoint()
    assert second.root != first.root
    assert beside().count_documents({"leaves": {"$exists": True}}) == pages + 1
    assert checkpoint().root == second.root
    assert list(changed_since(first)) == list(changed_since(second)) == []


@pytest.mark.parametrize("count", [1, 4, 5, 16, 17, 33])
def test_leaves_cannot_be_altered_unseen(database: Database[Any], count: int) -> None:
    for _ in range(count):
        deed(1)
    made = checkpoint()
    for page in list(beside().find({"text": {"$exists": False}})):
        if "leaves" in page:  # one checksum is another
            name, altered = "leaves", bytearray(page["leaves"])
            altered[-5] ^= 1
        else:  # the order is another
            name, roots = "roots", page["roots"]
            altered = bytearray(roots[32:64] + roots[:32] + roots[64:])
        beside().update_one({"_id": page["_id"]}, {"$set": {name: bytes(altered)}})
        found = list(changed_since(made))
        assert [(it.document_id, it.kind) for it in found] == [(None, "missing")]
        beside().replace_one({"_id": page["_id"]}, page)
    assert list(changed_since(made)) == []
    beside().delete_many({})
    assert f"{count} of the {count} leaves" in next(changed_since(made)).what


def test_it_is_put_where_it_is_wanted(database: Database[Any], tmp_path: Path) -> None:
    it, texts = deed(2), list[str]()
    path, apart = tmp_path / "one", database["apart"]
    made = [checkpoint(to=path), checkpoint(to=texts.append), checkpoint(to=apart)]
    assert path.read_text("utf-8") == made[0].text
    assert texts == [made[1].text]
    assert apart.find_one({"text": made[2].text})
    beside().drop()
    history().delete_many({"revision": 2})
    assert told(changed_since(made[2])) == [(str(it.pk), 2, "missing")]
    with pytest.raises(OptionsError, match="overwritten"):
        checkpoint(to=path)
    with pytest.raises(OptionsError, match="a path"):
        checkpoint(to=5)  # type: ignore[arg-type]


def test_what_was_written_just_before_is_waited_for_until_the_majority_has_it(
    commands: Any,
) -> None:
    Deed(text="a").save()
    commands.clear()
    checkpoint()
    concerns = [command.get("readConcern", {}) for command in commands.sent]
    assert [it.get("level") for it in concerns[:2]] == ["local", "majority"]
    assert "afterClusterTime" in concerns[1]
