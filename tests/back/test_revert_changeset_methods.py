"""What an application does itself when documents are saved and deleted, and how to get past it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import mongoengine as me
import pytest
from mongoengine import Document, signals
from support.library import by_another

from mongoengine_history import (
    ChangesetPartlyRevertedError,
    ChangesetRefusedError,
    History,
    OptionsError,
    changeset,
    history_of,
    revert_changeset,
    track_history,
    untrack_history,
)


class Hidden(Document):
    """Its deletion only hides it."""

    meta = {"collection": "rm_hidden"}
    name = me.StringField()
    is_gone = me.BooleanField(default=False)

    def delete(self, *args: Any, **kwargs: Any) -> None:
        self.is_gone = True
        self.save()


class Asking(Document):
    meta = {"collection": "rm_asking"}
    name = me.StringField()

    def delete(self, why: str) -> None:
        super().delete()

    def save(self, why: str, **kwargs: Any) -> Any:
        return super().save(**kwargs)


class Refusing(Document):
    meta = {"collection": "rm_refusing"}
    name = me.StringField()
    refuses = False

    def delete(self, *args: Any, **kwargs: Any) -> None:
        if type(self).refuses:
            raise PermissionError("invoices are kept")
        super().delete(*args, **kwargs)

    def save(self, *args: Any, **kwargs: Any) -> Any:
        return self if type(self).refuses else super().save(*args, **kwargs)


class Narrow(Document):
    """What was valid once is not today."""

    meta = {"collection": "rm_narrow", "strict": True}
    name = me.StringField()
    code = me.StringField()

    def validate(self, clean: bool = True) -> None:
        super().validate(clean)
        if self.name and len(self.name) > 3:
            raise me.ValidationError("name is too long", errors={"name": "too long"})


class Total(Document):
    meta = {"collection": "rm_totals"}
    cents = me.IntField(default=0)
    note = me.StringField()


class Entry(Document):
    """Keeps a total, as documents and handlers do."""

    meta = {"collection": "rm_entries"}
    total = me.ReferenceField(Total)
    cents = me.IntField(default=0)
    note = me.StringField()

    def save(self, *args: Any, **kwargs: Any) -> Any:
        saved = super().save(*args, **kwargs)
        Total.objects(pk=self.total.pk).update(inc__cents=self.cents)
        return saved

    def delete(self, *args: Any, **kwargs: Any) -> None:
        super().delete(*args, **kwargs)
        Total.objects(pk=self.total.pk).update(dec__cents=self.cents)


class Kind(Document):
    meta = {"collection": "rm_kinds", "allow_inheritance": True}
    name = me.StringField()


class Special(Kind):
    extra = me.IntField()


TRACKED = (Hidden, Asking, Refusing, Narrow, Total, Entry, Kind)


@pytest.fixture(autouse=True)
def tracked(database: Any) -> Iterator[None]:
    for model in TRACKED:
        track_history(model)
    yield
    Refusing.refuses = False
    for model in TRACKED:
        untrack_history(model)


@pytest.fixture
def alone(monkeypatch: Any) -> None:
    """As with a PyMongo or a server that has no transactions."""
    monkeypatch.setattr(
        "mongoengine_history.back.revert_changeset.can_transact", lambda client: False
    )


def stored() -> list[Any]:
    return [[*model._get_collection().find(sort=[("_id", 1)])] for model in TRACKED]


def hidden() -> Any:
    kept = Hidden(name="a").save()
    with changeset() as done:
        kept.name = "b"
        kept.save()
        Hidden(name="new").save()
    return done


def asking() -> Any:
    Asking.objects.insert(Asking(name="a"))
    with changeset() as done:
        Asking.objects.update(name="b")
        Asking.objects.insert(Asking(name="new"))
    return done


def refusing() -> Any:
    Refusing(name="a").save()
    with changeset() as done:
        Refusing.objects.update(name="b")
        Refusing(name="new").save()
    Refusing.refuses = True
    return done


def narrow() -> Any:
    Narrow._get_collection().insert_one({"name": "a long one"})
    with changeset() as done:
        Narrow.objects.update(name="b")
    return done


def unknown() -> Any:
    Narrow._get_collection().insert_one({"name": "a", "unknown": 1})
    with changeset() as done:
        Narrow.objects.delete()
    return done


REFUSED = {
    hidden: "its delete() has left it where it was",
    asking: "wants arguments",
    refusing: "PermissionError: invoices are kept",
    narrow: "too long",
    unknown: "unknown",
}


@pytest.mark.parametrize(("story", "why"), REFUSED.items(), ids=lambda it: str(it)[:20])
def test_what_is_refused_is_told_and_can_be_written_all_the_same(story: Any, why: str) -> None:
    done = story()
    before, known = stored(), History.objects.count()
    with pytest.raises(ChangesetRefusedError, match="bypass_methods=True") as caught:
        revert_changeset(done)
    assert (stored(), History.objects.count()) == (before, known)
    assert why in str(caught.value.refused)
    own = revert_changeset(done, bypass_methods=True)
    assert sum(map(len, stored())) == 1
    assert next(filter(None, stored()))[0]["name"] in {"a", "a long one"}
    revert_changeset(own, bypass_methods=True)
    assert stored() == before


@pytest.mark.parametrize("story", [asking, narrow, unknown])
def test_what_is_known_to_be_refused_stands_in_the_plan(story: Any) -> None:
    plan = revert_changeset(story(), dry_run=True)
    assert REFUSED[story] in str(plan.steps[0].problem)
    assert f"(refused: {plan.steps[0].problem})" in str(plan.steps[0])


def test_a_save_that_does_nothing_is_told() -> None:
    kept = Refusing(name="a").save()
    with changeset() as done:
        kept.name = "c"
        kept.save()
    Refusing.refuses = True
    with pytest.raises(ChangesetRefusedError, match="left it as it was"):
        revert_changeset(done)


def test_a_plan_writes_nothing_and_says_what_is_written(commands: Any) -> None:
    total = Total(cents=1, note="x").save()
    with changeset() as done:
        total.cents = 2
        total.save()
        made = Hidden(name="new").save()
        Total.objects.update(note="y")
    commands.clear()
    plan = revert_changeset(done, dry_run=True)
    assert not {"insert", "update", "delete", "findAndModify"} & set(commands.names)
    assert (plan.changeset, plan.conflicts) == (done.id, ())
    whole, gone = plan.steps
    assert (whole.kind, whole.document_class, whole.method) == ("update", "Total", None)
    assert (whole.document_id, whole.revisions) == (total.pk, (3, 2))
    assert sorted(whole.patches) == [
        ("change", ["cents"], (2, 1)),
        ("change", ["note"], ("y", "x")),
    ]
    assert (gone.kind, gone.document_id, gone.method) == ("delete", made.pk, "delete()")
    assert (gone.database, gone.collection) == (Hidden._get_db().name, "rm_hidden")
    assert str(whole).startswith(f"update Total {total.pk}: ")


def test_a_plan_tells_of_conflicts() -> None:
    total = Total(cents=1).save()
    with changeset() as done:
        Total.objects.update(cents=2)
    Total.objects.update(cents=3)
    plan = revert_changeset(done, dry_run=True)
    assert [(it.document_id, it.expected, it.found) for it in plan.conflicts] == [(total.pk, 2, 3)]
    assert plan.steps == ()


@pytest.mark.parametrize("bypass", [False, True])
def test_totals_that_handlers_keep_count_once(bypass: bool) -> None:
    total = Total(cents=5, note="mine").save()
    with changeset() as done:
        entries = [Entry(total=total, cents=number).save() for number in (1, 2)]
        Total.objects.update(note="theirs")
    assert Total.objects.get().cents == 8
    own = revert_changeset(done, bypass_methods=bypass)
    assert (Total.objects.get().cents, Total.objects.get().note) == (5, "mine")
    assert Entry.objects.count() == 0
    revert_changeset(own, bypass_methods=bypass)
    assert (Total.objects.get().cents, Entry.objects.count()) == (8, len(entries))


def test_a_document_that_a_handler_makes_again_goes() -> None:
    with changeset() as done:
        total = Total(cents=5).save()
        Entry(total=total, cents=1).save()

    def count(sender: Any, document: Any, **_: Any) -> None:
        Total(id=total.pk, cents=0).save()

    signals.post_delete.connect(count, sender=Total)
    revert_changeset(done)
    assert (Total.objects.count(), Entry.objects.count()) == (0, 0)
    assert history_of(Total, total.pk)[-1].operation == "delete"


def test_a_document_of_which_the_class_changed_comes_back() -> None:
    kind = Kind(name="a").save()
    special = Special(name="b", extra=1).save()
    before = stored()
    with changeset() as done:
        Kind._get_collection().update_one(
            {"_id": kind.pk}, {"$set": {"_cls": "Kind.Special", "extra": 5}}
        )
        Kind._get_collection().update_one(
            {"_id": special.pk}, {"$set": {"_cls": "Kind"}, "$unset": {"extra": 1}}
        )
    after = stored()
    own = revert_changeset(done)
    assert sorted(map(repr, stored())) == sorted(map(repr, before))
    assert type(Kind.objects.get(pk=special.pk)) is Special
    revert_changeset(own)
    assert sorted(map(repr, stored())) == sorted(map(repr, after))
    signals.post_save.connect(lambda sender, document, **_: None, sender=Special, weak=False)
    revert_changeset(history_of(special)[-1].changeset)
    assert type(Kind.objects.get(pk=special.pk)) is Special


def test_large_changesets_go_in_parts_and_say_how_far_they_are(monkeypatch: Any) -> None:
    monkeypatch.setattr("mongoengine_history.back.revert_changeset.LARGEST_TRANSACTION", 3)
    monkeypatch.setattr("mongoengine_history.back.steps.MOST", 2)
    with changeset() as done:
        Total.objects.insert([Total(cents=number) for number in range(6)])
        Hidden(name="new").save()
    told: list[int] = []
    assert not revert_changeset(done, dry_run=True).is_atomic
    with pytest.raises(ChangesetRefusedError):
        revert_changeset(done, progress=told.append)
    assert Total.objects.count() == 6
    own = revert_changeset(done, progress=told.append, bypass_methods=True)
    assert told == [1, 3, 5, 7]
    assert Total.objects.count() == Hidden.objects.count() == 0
    revert_changeset(own, bypass_methods=True)
    assert Total.objects.count() == 6


def test_of_parts_that_are_done_the_error_says_so_and_how_to_go_back(monkeypatch: Any) -> None:
    monkeypatch.setattr("mongoengine_history.back.revert_changeset.LARGEST_TRANSACTION", 2)
    Total.objects.insert([Total(cents=number) for number in range(2)])
    kept = Refusing(name="a").save()
    with changeset() as done:
        kept.delete()
        Total.objects.update(inc__cents=1)
    Refusing.refuses = True
    with pytest.raises(ChangesetPartlyRevertedError) as caught:
        revert_changeset(done)
    assert sorted(caught.value.written) == sorted(("rm_totals", it.pk) for it in Total.objects)
    revert_changeset(caught.value.reverted_by)
    assert sorted(Total.objects.scalar("cents")) == [1, 2]
    Refusing.refuses = False
    revert_changeset(done)
    assert (sorted(Total.objects.scalar("cents")), Refusing.objects.count()) == ([0, 1], 1)


def test_a_conflict_with_another_transaction_is_tried_again() -> None:
    total = Total(cents=1).save()
    other = Entry.objects.insert(Entry(total=total, cents=3))
    with changeset() as done:
        other.cents = 4
        Entry.objects.update(cents=4)
    calls: list[int] = []

    def disturb(sender: Any, document: Any, **_: Any) -> None:
        calls.append(len(calls))
        if len(calls) == 1:
            by_another(lambda: Entry._get_collection().update_one({}, {"$set": {"note": "x"}}))

    signals.pre_save.connect(disturb, sender=Entry)
    revert_changeset(done)
    assert calls == [0, 1]
    assert Entry._get_collection().find_one()["cents"] == 3
    assert Entry._get_collection().find_one()["note"] == "x"


def test_without_transactions_what_others_write_meanwhile_is_a_conflict(alone: None) -> None:
    total, kept = Total(cents=1).save(), Refusing(name="a").save()
    with changeset() as done:
        Total.objects.update(cents=2)
        kept.name = "b"
        kept.save()

    def disturb(sender: Any, document: Any, **_: Any) -> None:
        Total._get_collection().update_one({}, {"$set": {"cents": 9}})

    signals.pre_save.connect(disturb, sender=Refusing)
    with pytest.raises(ChangesetPartlyRevertedError) as caught:
        revert_changeset(done)
    assert caught.value.written == [("rm_refusing", kept.pk)]
    assert (caught.value.__cause__.document_id, Total.objects.get().cents) == (total.pk, 9)


def test_what_is_said_of_progress_and_plan_is_checked() -> None:
    with pytest.raises(OptionsError):
        revert_changeset(None, dry_run=True)  # type: ignore[call-overload]
