"""What an application does itself when documents are saved and deleted, and how to get past it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from mongoengine import signals
from support.binding import binds
from support.ways import (
    TRACKED,
    Asking,
    Entry,
    Hidden,
    Kind,
    Narrow,
    Refusing,
    Shelved,
    Special,
    Total,
    tracking,
)

from mongoengine_history import (
    ChangesetRefusedError,
    History,
    changeset,
    history_of,
    revert_changeset,
)


@pytest.fixture(autouse=True)
def tracked(database: Any) -> Iterator[None]:
    with tracking():
        yield


def stored() -> list[Any]:
    return [[*model._get_collection().find(sort=[("_id", 1)])] for model in TRACKED]


def hidden() -> Any:
    kept = Hidden(name="a").save()
    with changeset() as done:
        kept.name = "b"
        kept.save()
        Hidden(name="new").save()
    return done


def shelved() -> Any:
    Shelved(name="a").save()
    with changeset() as done:
        Shelved.objects.update(name="b")
        Shelved(name="new").save()
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
    shelved: "its delete() has left it where it was",
    asking: "wants arguments",
    refusing: "PermissionError: invoices are kept",
    narrow: "too long",
    unknown: "unknown",
}


@pytest.mark.parametrize(("story", "why"), REFUSED.items(), ids=lambda it: str(it)[:20])
@binds
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


@binds
def test_a_save_that_does_nothing_is_told() -> None:
    kept = Refusing(name="a").save()
    with changeset() as done:
        kept.name = "c"
        kept.save()
    Refusing.refuses = True
    with pytest.raises(ChangesetRefusedError, match="left it as it was"):
        revert_changeset(done)


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


def test_totals_count_once_without_transactions_and_whenever_they_are_written(alone: None) -> None:
    total = Total(cents=5).save()

    def count(sender: Any, document: Any, **_: Any) -> None:
        document.total.update(inc__cents=document.cents)

    def discount(sender: Any, document: Any, **_: Any) -> None:
        document.total.update(dec__cents=document.cents)

    signals.pre_save.connect(count, sender=Entry)
    signals.pre_delete.connect(discount, sender=Entry)
    with changeset() as done:
        Entry(total=total, cents=2).save()
    assert Total.objects.get().cents == 9
    revert_changeset(done)
    assert (Total.objects.get().cents, Entry.objects.count()) == (5, 0)


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


def test_a_document_that_is_as_bad_now_needs_no_leave() -> None:
    Narrow._get_collection().insert_one({"name": "a long one", "unknown": 1, "code": "x"})
    before = stored()
    with changeset() as done:
        Narrow.objects.update(code="y")
    revert_changeset(done)
    assert stored() == before
