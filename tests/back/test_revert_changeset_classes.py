"""By which class a changeset is taken back, where several share a collection or a database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import mongoengine as me
import pytest
from mongoengine import Document, signals
from mongoengine.context_managers import switch_collection, switch_db
from support.changes import tracked

from mongoengine_history import (
    DocumentTrack,
    History,
    OptionsError,
    changeset,
    history_of,
    revert_changeset,
    track_changes,
)


class Before(Document):
    """For a report: it reads only, and nothing that it writes is recorded."""

    meta = {"collection": "rc_sales", "strict": False}
    text = me.StringField(max_length=1)


class Sale(Document):
    meta = {"collection": "rc_sales"}
    text = me.StringField()
    total = me.IntField()


class After(Document):
    meta = {"collection": "rc_sales", "strict": False}
    text = me.StringField(max_length=1)


class Watched(Document):
    meta = {"collection": "rc_watched"}
    text = me.StringField()


class WatchedAfter(Document):
    meta = {"collection": "rc_watched", "strict": False}


class Cat(Document):
    meta = {"collection": "rc_animals", "allow_inheritance": True}
    lives = me.IntField()


class Dog(Document):
    meta = {"collection": "rc_animals", "allow_inheritance": True}
    name = me.StringField(required=True)


class Puppy(Dog):
    age = me.IntField()


class Base(Document):
    meta = {"collection": "rc_based", "allow_inheritance": True}
    text = me.StringField()


class Tracked(Base):
    total = me.IntField()


TRACKED = (Sale, Cat, Dog, Tracked)


@pytest.fixture(autouse=True)
def tracking(database: Any) -> Iterator[None]:
    for signal in (signals.post_save, signals.post_delete):
        signal.connect(track_changes, sender=Watched)
    with tracked(*TRACKED):
        yield


def test_of_several_classes_the_tracked_one_counts_whatever_was_defined_last() -> None:
    first = Sale(text="long", total=1).save()
    with changeset() as done:
        Sale.objects.update(total=2)
        second = Sale(text="new", total=3).save()
    revert_changeset(done)
    assert [it.operation for it in history_of(first)] == ["create", "update", "undo"]
    assert [it.operation for it in history_of(Sale, second.pk)] == ["create", "delete"]


def test_else_the_one_to_which_track_changes_is_connected() -> None:
    watched = Watched(text="a").save()
    with changeset() as done, DocumentTrack(watched):
        watched.text = "b"
        watched.save()
    own = revert_changeset(done)
    assert [it.operation for it in history_of(watched)] == ["update", "undo"]
    revert_changeset(own, bypass_methods=True)
    assert Watched.objects.get().text == "b"
    assert history_of(watched)[-1].operation == "undo"


def test_of_several_tracked_ones_each_document_is_of_its_own() -> None:
    with changeset() as made:
        Cat(lives=9).save()
        Dog(name="a").save()
        Puppy(name="b", age=1).save()
    with changeset() as done:
        Cat.objects.update(lives=8)
        Dog.objects.update(name="c")
    revert_changeset(done)
    assert Cat.objects.get().lives == 9
    assert [(type(it), it.name) for it in Dog.objects.order_by("name")] == [
        (Dog, "a"),
        (Puppy, "b"),
    ]
    own = revert_changeset(made)
    assert Cat.objects.count() == Dog.objects.count() == 0
    revert_changeset(own)
    assert (Cat.objects.get().lives, Puppy.objects.get().age) == (9, 1)


def test_a_subclass_may_be_the_one_that_is_tracked() -> None:
    with changeset() as done:
        document = Tracked(text="a", total=1).save()
        Tracked.objects.update(total=2)
    own = revert_changeset(done)
    assert history_of(Tracked, document.pk)[-1].operation == "delete"
    revert_changeset(own)
    assert Tracked.objects.get().total == 2


def test_methods_write_to_the_database_to_which_a_class_was_switched() -> None:
    signals.post_save.connect(handler := lambda sender, document, **_: None, sender=Sale)
    with switch_db(Sale, "other"), changeset() as done:
        kept = Sale(total=1).save()
        kept.total = 2
        kept.save()
        gone = Sale(total=3).save()
    with switch_db(Sale, "other"), changeset() as deletion:
        gone.delete()
    with changeset() as again:
        revert_changeset(deletion)
    with switch_db(Sale, "other"):
        assert sorted(Sale.objects.scalar("total")) == [2, 3]
    assert {it.changeset for it in History.objects.using("other")} >= {again.id}
    revert_changeset(done)
    assert Sale.objects.count() == 0
    with switch_db(Sale, "other"):
        assert Sale.objects.count() == 0
        assert history_of(Sale, kept.pk)[-1].operation == "delete"
    assert handler


def test_of_another_collection_the_class_has_to_be_switched_to_it() -> None:
    with switch_collection(Sale, "rc_archive"), changeset() as done:
        Sale(total=1).save()
    with pytest.raises(OptionsError, match=r"rc_archive.*switch_collection"):
        revert_changeset(done)
    with switch_collection(Sale, "rc_archive"):
        revert_changeset(done)
        assert Sale.objects.count() == 0
    assert History.objects(document_type="rc_archive").count() == 2


WRONG = {"no option": {"masks": ["a"]}, "no path": {"mask": ["gone"]}, "no dict": ["mask"]}


@pytest.mark.parametrize("collection", ["rc_sales", "rc_elsewhere"])
@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_options_of_another_class_are_in_nobodys_way(
    monkeypatch: pytest.MonkeyPatch, collection: str, wrong: str
) -> None:
    """Such a class may be the first or the last that was defined; it records nothing."""
    for model in (Before, After):
        monkeypatch.setitem(model._meta, "collection", collection)
        monkeypatch.setitem(model._meta, "history", WRONG[wrong])
    with changeset("ann") as work:
        sale = Sale(text="a", total=1).save()
    assert [it.document_class for it in revert_changeset(work, dry_run=True).steps] == ["Sale"]
    revert_changeset(work)
    assert Sale.objects(pk=sale.pk).first() is None


def test_where_it_is_the_only_class_its_options_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with changeset("ann") as work:
        Sale(text="a").save()
    for model in (Before, Sale, After):
        monkeypatch.setitem(model._meta, "history", {"masks": ["a"]})
    with pytest.raises(OptionsError, match="masks"):
        revert_changeset(work)
