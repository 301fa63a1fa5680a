"""A changeset is taken back step by step, in the reverse order of writing, as few as may be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import mongoengine as me
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mongoengine import CASCADE, DENY, Document
from mongoengine.context_managers import switch_db
from support.changes import tracked
from support.library import by_another
from support.strategies import examples

from mongoengine_history import (
    ChangesetRefusedError,
    changeset,
    history_of,
    revert_changeset,
    track_history,
)


class Page(Document):
    meta = {"collection": "ro_pages"}
    slug = me.StringField(unique=True)
    number = me.IntField(default=0)


class Parcel(Document):
    meta = {"collection": "ro_parcels"}
    weight = me.IntField(default=0)


class Label(Document):
    meta = {"collection": "ro_labels"}
    parcel = me.ReferenceField(Parcel, reverse_delete_rule=DENY)
    text = me.StringField()


class Stamp(Document):
    meta = {"collection": "ro_stamps"}
    parcel = me.ReferenceField(Parcel, reverse_delete_rule=CASCADE)


class Shelf(Document):
    meta = {"collection": "ro_shelves"}
    inside = me.ReferenceField("self", reverse_delete_rule=DENY)


class Strange(Document):
    """As stored, each has a name; today's class cannot even be loaded without one."""

    meta = {"collection": "ro_strange"}
    name = me.StringField(required=True)

    def __init__(self, *args: Any, **values: Any) -> None:
        super().__init__(*args, **values)
        self.name = "a " + self.name


TRACKED = (Page, Parcel, Label, Stamp, Shelf, Strange)


@pytest.fixture(autouse=True)
def tracking(database: Any) -> Iterator[None]:
    with tracked(*TRACKED):
        Page.ensure_indexes()
        yield


def stored(*models: type[Document]) -> list[Any]:
    return [[*model._get_collection().find(sort=[("_id", 1)])] for model in models or TRACKED]


def edited(document: Any, **values: Any) -> None:
    for name, value in values.items():
        setattr(document, name, value)
    document.save()


def handed_on() -> None:
    old = Page.objects.get(slug="1")
    edited(old, slug="old")
    Page(slug="1").save()
    edited(old, number=1)


def swapped() -> None:
    one, two = Page.objects.get(slug="1"), Page.objects.get(slug="2")
    edited(one, slug="0")
    edited(two, slug="1")
    edited(one, slug="2")


def freed_and_taken() -> None:
    Page.objects.get(slug="1").delete()
    Page(slug="1").save()


def counted_after_the_children() -> None:
    parcel = Parcel().save()
    for _ in range(3):
        Label(parcel=parcel).save()
        Stamp(parcel=parcel).save()
        parcel.update(inc__weight=1)


def referred_to_later() -> None:
    label = Label.objects.first()
    edited(label, parcel=Parcel().save())
    label.update(text="x")
    other = Label().save()
    edited(other, parcel=Parcel().save())


def nested() -> None:
    inner = Shelf().save()
    for _ in range(3):
        inner = Shelf(inside=inner).save()


def gone_with_its_referrers() -> None:
    parcel = Parcel.objects.first()
    Label.objects.delete()
    parcel.delete()


def gone_and_made_anew() -> None:
    label = Label.objects.first()
    label.delete()
    parcel = Parcel().save()
    Label(id=label.pk, parcel=parcel, text="b").save()


def gone_and_made_anew_with_what_was_taken() -> None:
    first, second = Page.objects.get(slug="1"), Page.objects.get(slug="2")
    first.delete()
    edited(second, slug="1")
    Page(id=first.pk, slug="2").save()


def made_and_gone() -> None:
    Strange(name="x").save().delete()
    Page(slug="3").save().delete()
    Page(slug="3").save()


STORIES = [
    handed_on,
    swapped,
    freed_and_taken,
    counted_after_the_children,
    referred_to_later,
    nested,
    gone_with_its_referrers,
    gone_and_made_anew,
    gone_and_made_anew_with_what_was_taken,
    made_and_gone,
]


def stocked() -> None:
    Page(slug="1").save(), Page(slug="2").save()
    Label(parcel=Parcel().save(), text="a").save()


@pytest.mark.parametrize("story", STORIES)
def test_what_was_done_step_by_step_is_taken_back_and_done_again(
    story: Callable[[], None],
) -> None:
    stocked()
    before = stored()
    with changeset() as done:
        story()
    after = stored()
    own = revert_changeset(done)
    assert stored() == before
    revert_changeset(own)
    assert stored() == after


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=12))
@examples(40)
def test_unique_values_that_went_round_come_back(
    database: Any, moves: list[tuple[int, int]]
) -> None:
    Page.objects.delete()
    pages = [Page(slug=str(number)).save() for number in range(3)]
    before = stored(Page)
    with changeset() as done:
        for which, slug in moves:
            if not Page.objects(slug=str(slug)):
                edited(pages[which], slug=str(slug), number=pages[which].number + 1)
            else:
                edited(pages[which], number=pages[which].number + 1)
    revert_changeset(done)
    assert stored(Page) == before


def test_each_document_is_written_once_where_that_suffices() -> None:
    first, second = Parcel().save(), Parcel().save()
    with changeset() as done:
        for weight in (1, 2, 3):
            edited(first, weight=weight)
            edited(second, weight=weight)
    plan = revert_changeset(done, dry_run=True)
    assert sorted(step.revisions for step in plan.steps) == [(4, 3, 2), (4, 3, 2)]
    revert_changeset(done)
    assert [len(history_of(it)) for it in (first, second)] == [5, 5]


def test_what_others_took_meanwhile_is_told_with_what_can_be_done() -> None:
    page = Page(slug="1").save()
    with changeset() as done:
        edited(page, slug="2")
    by_another(lambda: Page(slug="1").save())
    with pytest.raises(ChangesetRefusedError, match="E11000") as caught:
        revert_changeset(done)
    assert caught.value.refused[0][:2] == ("ro_pages", page.pk)


def costs(commands: Any, size: int, write: Callable[[int], None]) -> int:
    with changeset() as done:
        write(size)
    commands.clear()
    revert_changeset(done)
    return len(commands.sent)


def inserted(size: int) -> None:
    Page.objects.insert([Page(slug=f"{n}") for n in range(size)], load_bulk=False)


def saved(size: int) -> None:
    for number in range(size):
        edited(Page(slug=str(number)).save(), number=1)


def updated(size: int) -> None:
    by_another(lambda: Parcel.objects.insert([Parcel() for _ in range(size)]))
    Parcel.objects.update(inc__weight=1)


def renumbered(size: int) -> None:
    by_another(lambda: [Page(slug=f"{n}").save() for n in range(size)])
    for number, page in enumerate(Page.objects.order_by("id")):
        edited(page, slug=f"{number - 1}")


def deleted(size: int) -> None:
    Parcel.objects.delete()


def interleaved(size: int) -> None:
    for _ in range(size):
        Label(parcel=Parcel().save()).save()


@pytest.mark.parametrize("write", [inserted, saved, updated, interleaved])
def test_the_number_of_commands_does_not_grow_with_that_of_documents(
    commands: Any, write: Callable[[int], None]
) -> None:
    costs(commands, 1, write)
    Parcel.objects.delete()
    known = costs(commands, 10, write)
    Parcel.objects.delete()
    assert costs(commands, 40, write) == known
    assert Page.objects.count() == 0
    assert Parcel.objects(weight__ne=0).count() == 0


def test_unique_values_that_move_on_come_back_together(commands: Any) -> None:
    known = []
    for size in (5, 5, 50):
        known.append(costs(commands, size, renumbered))
        assert sorted(Page.objects.scalar("slug")) == sorted(str(n) for n in range(size))
        Page.objects.delete()
    assert known[1] == known[2]


def test_that_many_come_back_costs_no_more(commands: Any) -> None:
    known = []
    for size in (5, 5, 50):
        Parcel.objects.insert([Parcel(weight=number) for number in range(size)])
        before = stored(Parcel)
        known.append(costs(commands, size, deleted))
        assert stored(Parcel) == before
        Parcel.objects.delete()
    assert known[1] == known[2]


@track_history
class Price(Document):
    meta = {"collection": "ro_prices"}
    cents = me.IntField()


def test_what_was_written_by_switch_db_is_taken_back_there() -> None:
    kept = Price(cents=5).save()
    with switch_db(Price, "other"):
        far = Price(cents=5).save()
    with changeset() as done:
        edited(kept, cents=6)
        Price(cents=1).save()
        with switch_db(Price, "other"):
            Price.objects.update(cents=7)
            Price(cents=2).save()
            gone = Price(cents=3).save()
        there = Price(cents=4)
        there.switch_db("other")
        there.save()
    with switch_db(Price, "other"):
        with changeset() as deletion:
            gone.delete()
    revert_changeset(deletion)
    own = revert_changeset(done)
    assert [*Price.objects.scalar("cents")] == [5]
    with switch_db(Price, "other"):
        assert [*Price.objects.scalar("cents")] == [5]
        assert [it.operation for it in history_of(far)] == ["create", "update", "undo"]
    revert_changeset(own)
    with switch_db(Price, "other"):
        assert sorted(Price.objects.scalar("cents")) == [2, 3, 4, 7]
