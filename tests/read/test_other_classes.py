"""Who asks a class for the history of a key gets none of another class in the same collection."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import mongoengine as me
import pytest
from bson import ObjectId
from support.changes import deleted, edited, numbers, watch, watched

from mongoengine_history import (
    DocumentDidNotExistError,
    History,
    RevisionNotFoundError,
    Version,
    history_of,
)


class Paper(me.Document):
    meta = {
        "collection": "shared_papers",
        "allow_inheritance": True,
        "auto_create_index": False,
        "history": {"version_every": 3},
    }
    title = me.StringField()
    note = me.StringField()


class Public(Paper):
    pass


class Private(Paper):
    pass


class Sealed(Private):
    pass


class Alone(me.Document):
    meta = {"collection": "alone", "auto_create_index": False}
    title = me.StringField()


ALL = (Paper, Public, Private, Sealed)

connected = watched(*ALL, Alone)


def seen_by(key: Any) -> list[type[me.Document]]:
    """Name the classes that show a history; both ways of asking agree."""
    asked = [model for model in ALL if len(history_of(model, key))]
    assert asked == [model for model in ALL if History.objects.of(model, key).count()]
    return asked


def renamed(document: Any, name: str | None) -> None:
    """Change ``_cls`` past the library, as migrations do."""
    update = {"$unset": {"_cls": 1}} if name is None else {"$set": {"_cls": name}}
    Paper._get_collection().update_one({"_id": document.pk}, update)


def removed(document: Any) -> None:
    Paper._get_collection().delete_one({"_id": document.pk})


@pytest.fixture
def secret(connected: None) -> Any:
    paper = Private(title="t")
    for number in range(4):
        edited(paper, note=f"secret {number}")
    return paper


class TestADocumentOfAnotherClass:
    def test_has_no_revisions(self, secret: Any) -> None:
        timeline = history_of(Public, secret.pk)
        assert (len(timeline), list(timeline), list(reversed(timeline))) == (0, [], [])
        assert (timeline[:], timeline.legacy) == ([], [])
        for index in (1, 4, -1):
            with pytest.raises(RevisionNotFoundError) as caught:
                timeline[index]
            assert (caught.value.document_id, caught.value.newest) == (secret.pk, 0)

    def test_has_no_states(self, secret: Any) -> None:
        timeline = history_of(Public, secret.pk)
        for ask in (timeline.state, timeline.at):
            with pytest.raises(DocumentDidNotExistError):
                ask(0)
            with pytest.raises(RevisionNotFoundError):
                ask(3)
        assert timeline.as_of(datetime.now()) is None
        assert timeline.compare(0) == []
        assert (timeline.blame(), timeline.blame("note"), timeline.blame(["_cls"])) == (
            {},
            None,
            None,
        )

    def test_has_no_records(self, secret: Any) -> None:
        before = [History.objects.count(), Version.objects.count()]
        for records in (
            History.objects.of(Public, secret.pk),
            History.objects.of(Public, secret.pk).touching("note"),
            History.objects.between(None, datetime.now()).by(None).of(Public, secret.pk),
            History.objects(id__ne=ObjectId()).of(Public, secret.pk),
            Version.objects.of(Public, secret.pk),
        ):
            assert (records.count(), list(records), records.first()) == (0, [], None)
            assert records.delete() == 0
        assert [History.objects.count(), Version.objects.count()] == before

    def test_is_seen_by_its_own_class_and_those_above(self, secret: Any) -> None:
        assert seen_by(secret.pk) == [Paper, Private]
        assert seen_by(edited(Sealed(note="s")).pk) == [Paper, Private, Sealed]
        assert seen_by(edited(Paper(title="p")).pk) == [Paper]
        assert Version.objects.of(Private, secret.pk).count() == 1

    def test_is_seen_by_who_has_the_document(self, secret: Any) -> None:
        assert numbers(history_of(secret)) == [1, 2, 3, 4]
        assert History.objects.of(secret).touching("note").distinct("revision") == [1, 2, 3, 4]


@pytest.mark.parametrize("every", [0, 1, 2, 100])
@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("is_older", [True, False])
def test_what_is_gone_is_of_the_class_that_it_had(
    monkeypatch: Any, every: int, is_known: bool, is_older: bool
) -> None:
    monkeypatch.setitem(Private._meta, "history", {"version_every": every})
    paper = Private(title="t")
    if is_older:
        paper.save()
    for number in range(3):
        edited(paper, note=str(number))
    if is_known:
        deleted(paper)
    else:
        removed(paper)
    is_told = is_known or every or not is_older  # else no record names a class
    assert seen_by(paper.pk) == ([Paper, Private] if is_told else [Paper])
    assert len(history_of(Paper, paper.pk)) == 3 + is_known


class TestAMigration:
    def test_the_class_that_a_document_has_now_counts(self, secret: Any) -> None:
        renamed(secret, "Paper.Public")
        assert seen_by(secret.pk) == [Paper, Public]
        assert numbers(history_of(Public, secret.pk)) == [1, 2, 3, 4]
        assert history_of(Public, secret.pk).state(1)["note"] == "secret 0"

    @pytest.mark.parametrize("is_known", [True, False])
    def test_after_a_deletion_the_last_one_that_was_recorded(
        self, secret: Any, is_known: bool
    ) -> None:
        edited(secret, _cls="Paper.Public")
        assert history_of(secret)[-1].patches[0][1] == ["_cls"]
        public = Public.objects.get(pk=secret.pk)
        if is_known:
            deleted(public)
        else:
            removed(public)
        assert seen_by(secret.pk) == [Paper, Public]

    def test_documents_from_before_there_were_subclasses(self) -> None:
        class Old(me.Document):
            meta = {"collection": "shared_papers", "auto_create_index": False}
            title = me.StringField()

        watch(Old)
        kept, gone, bare = (edited(edited(Old(title="a")), title="b") for _ in range(3))
        deleted(gone)
        renamed(kept, "Paper.Public")
        assert seen_by(kept.pk) == [Paper, Public]
        assert history_of(Public, kept.pk).state(1) == {"title": "a"}
        assert seen_by(gone.pk) == seen_by(bare.pk) == [Paper]
        assert numbers(history_of(Old, kept.pk)) == [1, 2]

    def test_a_subclass_that_is_not_imported_is_one_of_its_base(self, secret: Any) -> None:
        renamed(secret, "Paper.Private.Gone")
        assert seen_by(secret.pk) == [Paper, Private]
        renamed(secret, "Paper.PrivateToo")
        assert seen_by(secret.pk) == [Paper]


def test_another_root_in_the_same_collection_is_another_class(secret: Any) -> None:
    class Stranger(me.Document):
        meta = {
            "collection": "shared_papers",
            "allow_inheritance": True,
            "auto_create_index": False,
        }

    watch(Stranger)
    assert len(history_of(Stranger, secret.pk)) == 0
    stranger = edited(Stranger())
    assert seen_by(stranger.pk) == []
    assert len(history_of(Stranger, stranger.pk)) == 1


def test_records_of_1_1_are_of_the_class_that_is_stored(secret: Any) -> None:
    record = {"document_type": "shared_papers", "document_id": secret.pk, "action": "change"}
    said = {"path": "note", "data": {"old": "a", "new": "b"}, "created_at": datetime(2020, 1, 1)}
    History._get_collection().insert_one({**record, **said})
    for model, count in ((Private, 1), (Public, 0)):
        assert len(history_of(model, secret.pk).legacy) == count


class TestCosts:
    """In round trips, where a class allows inheritance; a class that does not costs nothing."""

    def told(self, commands: Any, ask: Any) -> int:
        commands.clear()
        ask()
        return len(commands.names)

    def test_nothing_is_read_before_it_is_asked(self, secret: Any, commands: Any) -> None:
        assert self.told(commands, lambda: history_of(Public, secret.pk)) == 0

    def test_it_is_one_by_the_key_and_two_for_what_is_gone(
        self, secret: Any, commands: Any
    ) -> None:
        for cost in (1, 2):
            timeline = history_of(Private, secret.pk)
            assert self.told(commands, lambda: len(timeline)) == 1 + cost  # noqa: B023  # at once
            assert self.told(commands, lambda: len(timeline)) == 1  # noqa: B023  # at once
            ask = History.objects.of
            assert self.told(commands, lambda: ask(Private, secret.pk)) == cost  # noqa: B023
            deleted(secret)

    def test_who_has_the_document_pays_nothing(self, secret: Any, commands: Any) -> None:
        assert self.told(commands, lambda: len(history_of(secret))) == 1
        assert self.told(commands, lambda: History.objects.of(secret)) == 0

    def test_a_class_without_subclasses_pays_nothing(self, commands: Any) -> None:
        alone = edited(Alone(title="a"))
        assert self.told(commands, lambda: len(history_of(Alone, alone.pk))) == 1
        assert self.told(commands, lambda: History.objects.of(Alone, alone.pk)) == 0
