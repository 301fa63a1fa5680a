"""What goes, or changes, because something else goes, is on record, under the same name."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import mongoengine as me
import pytest
from mongoengine import CASCADE, DENY, NULLIFY, PULL, Document, signals
from support.changes import automatic
from support.twins import Model, contents, numbers, outcome, recorded

from mongoengine_history import (
    DocumentTrack,
    History,
    changeset,
    history_of,
    restore,
    track_history,
    untrack_history,
)


def made(name: str, /, **fields: Any) -> Model:
    meta = {"collection": f"twin_{name.lower()}", "auto_create_index": False}
    return type(f"Twin{name}", (Document,), {"meta": meta, **fields})


class Family:
    """Classes that refer to each other by every rule."""

    def __init__(self, name: str) -> None:
        self.author = author = made(
            f"{name}Author",
            name=me.StringField(primary_key=True),
            mentor=me.ReferenceField("self", reverse_delete_rule=CASCADE),
        )
        self.book = book = made(
            f"{name}Book",
            title=me.StringField(primary_key=True),
            author=me.ReferenceField(author, reverse_delete_rule=CASCADE),
        )
        self.review = made(
            f"{name}Review",
            text=me.StringField(primary_key=True),
            book=me.ReferenceField(book, reverse_delete_rule=CASCADE),
        )
        self.shop = made(
            f"{name}Shop",
            name=me.StringField(primary_key=True),
            favourite=me.ReferenceField(book, reverse_delete_rule=NULLIFY),
        )
        self.shelf = made(
            f"{name}Shelf",
            name=me.StringField(primary_key=True),
            books=me.ListField(me.ReferenceField(book, reverse_delete_rule=PULL)),
        )
        self.contract = made(
            f"{name}Contract",
            name=me.StringField(primary_key=True),
            author=me.ReferenceField(author, reverse_delete_rule=DENY),
        )
        self.all = [self.author, self.book, self.review, self.shop, self.shelf, self.contract]

    def fill(self) -> None:
        anna = self.author(name="anna").save()
        ben = self.author(name="ben", mentor=anna).save()
        cleo = self.author(name="cleo", mentor=ben).save()
        self.author(name="dora").save()
        books = [
            self.book(title=f"{each.name} {number}", author=each).save()
            for each in (anna, ben, cleo)
            for number in (1, 2)
        ]
        for book in books:
            self.review(text=f"of {book.title}", book=book).save()
            self.shop(name=f"of {book.title}", favourite=book).save()
        self.shelf(name="all", books=books).save()
        self.shelf(name="some", books=books[3:]).save()


PLAIN, TRACKED = Family("Plain"), Family("Tracked")


tracking = automatic(*TRACKED.all)


@pytest.fixture(autouse=True)
def filled(database: Any) -> None:
    PLAIN.fill()
    TRACKED.fill()


def both(act: Callable[[Family], Any]) -> str:
    """Do the same to both, and check that it is the same, and recorded in every class."""
    expected = outcome(act, PLAIN)
    with ExitStack() as stack:
        for model in TRACKED.all:  # a shelf has many books, which MongoEngine takes in many writes
            stack.enter_context(recorded(model, once=model is not TRACKED.shelf))
        assert outcome(act, TRACKED) == expected
    for plain, tracked in zip(PLAIN.all, TRACKED.all, strict=True):
        assert contents(tracked) == contents(plain)
    return expected


def said(*names: str) -> set[Any]:
    """What the newest revisions of all documents say."""
    last: dict[Any, Any] = {}
    for record in History.objects(operation__ne="create").order_by("revision"):
        last[record.document_type, record.document_id] = record
    told = {tuple(getattr(record, name) for name in names) for record in last.values()}
    return {each[0] for each in told} if len(names) == 1 else told


WAYS: dict[str, Callable[[Family], Any]] = {
    "a document": lambda family: family.author.objects.get(pk="ben").delete(),
    "a query": lambda family: family.author.objects(name__in=["ben", "dora"]).delete(),
    "a limited query": lambda family: family.author.objects.order_by("-name").limit(3).delete(),
    "a book": lambda family: family.book.objects.get(pk="ben 1").delete(),
    "books": lambda family: family.book.objects(author="anna").delete(),
    "one without consequences": lambda family: family.author.objects.get(pk="dora").delete(),
}


@pytest.mark.parametrize("way", WAYS)
def test_all_that_follows_a_deletion_is_recorded(way: str) -> None:
    both(WAYS[way])


def test_a_chain_that_begins_in_its_own_class_is_recorded() -> None:
    both(lambda family: family.author.objects.get(pk="anna").delete())
    assert {tuple(known) for known in numbers(TRACKED.review).values()} == {(1, 2)}
    assert [len(each.books) for each in TRACKED.shelf.objects] == [0, 0]


def test_what_is_denied_leaves_no_record() -> None:
    for family in (PLAIN, TRACKED):
        family.contract(name="c", author="ben").save()
    assert both(WAYS["a document"]).startswith("OperationError")
    assert both(WAYS["a query"]).startswith("OperationError")
    assert said("operation") == set()


def test_who_deletes_answers_for_all_that_follows() -> None:
    TRACKED.book.objects.get(pk="anna 1").delete(signal_kwargs={"identity": "zoe", "reason": "r"})
    assert said("identity", "reason") == {("zoe", "r")}
    assert len(numbers(TRACKED.review)["of anna 1"]) == 2
    book = TRACKED.book.objects.get(pk="anna 2")
    with DocumentTrack(book, "yves", reason="r"):
        book.delete()
    assert said("identity", "reason") == {("zoe", "r"), ("yves", "r")}
    with changeset("xena") as work:
        TRACKED.author.objects(name="ben").delete()
    assert said("identity") == {"zoe", "yves", "xena"}
    assert History.objects(changeset=work.id, operation="delete").distinct("document_id") == [
        "ben", "ben 1", "ben 2", "cleo", "cleo 1", "cleo 2",
        "of ben 1", "of ben 2", "of cleo 1", "of cleo 2",
    ]  # fmt: skip


def test_what_was_deleted_by_a_rule_can_be_restored() -> None:
    TRACKED.author.objects.get(pk="ben").delete()
    for model, key in [(TRACKED.book, "ben 1"), (TRACKED.review, "of ben 1")]:
        restore(model, key).save()
    assert TRACKED.review.objects.get(pk="of ben 1").book.pk == "ben 1"
    assert [it.operation for it in history_of(TRACKED.book, "ben 1")] == [
        "create",
        "delete",
        "restore",
    ]


def test_a_document_that_comes_again_under_its_key_goes_on_with_its_history() -> None:
    with recorded(TRACKED.author):
        TRACKED.author.objects.get(pk="dora").delete()
    with recorded(TRACKED.author):
        dora = TRACKED.author(name="dora", mentor="anna").save()
    with recorded(TRACKED.author):
        dora.delete()
    with recorded(TRACKED.author):
        TRACKED.author.objects.insert(TRACKED.author(name="dora"))
    assert [it.operation for it in history_of(dora)] == ["create", "delete"] * 2 + ["create"]


@pytest.mark.parametrize("signal", [signals.pre_delete, signals.post_delete])
def test_receivers_of_deletions_make_them_one_by_one_and_each_is_recorded(signal: Any) -> None:
    heard = []

    def hear(sender: Any, document: Any, **kwargs: Any) -> None:
        heard.append(document.pk)

    for family in (PLAIN, TRACKED):
        signal.connect(hear, sender=family.author)
        signal.connect(hear, sender=family.book)
    both(lambda family: family.author.objects(name__in=["ben", "dora"]).delete())
    assert len(heard) % 2 == 0
    assert heard[: len(heard) // 2] == heard[len(heard) // 2 :]
    assert {"ben", "dora"} <= set(heard)


def test_what_a_receiver_of_a_deletion_writes_is_recorded_too() -> None:
    def rename(sender: Any, document: Any, **kwargs: Any) -> None:
        TRACKED.shop(name=f"closed by {document.pk}").save()
        document.mentor = None
        document.save()

    signals.pre_delete.connect(rename, sender=TRACKED.author)
    TRACKED.author.objects.get(pk="cleo").delete(signal_kwargs={"identity": "zoe"})
    signals.pre_delete.disconnect(rename, sender=TRACKED.author)
    revisions = list(history_of(TRACKED.author, "cleo"))
    assert [it.operation for it in revisions] == ["create", "update", "delete"]
    assert len(history_of(TRACKED.shop, "closed by cleo")) == 1


def test_a_cached_reference_that_follows_its_document_is_recorded(database: Any) -> None:
    person = made("CachedPerson", name=me.StringField())
    cached = me.CachedReferenceField(person, fields=["name"])
    letter = track_history(made("CachedLetter", to=cached))
    cached.start_listener()
    someone = person(name="a").save()
    letters = [letter(to=someone).save() for _ in range(2)]
    with recorded(letter):
        someone.name = "b"
        someone.save()
    assert [history_of(each).state(-1)["to"]["name"] for each in letters] == ["b", "b"]
    with recorded(letter):
        person.objects.update(name="c")
        letter.to.sync_all()
    assert [len(history_of(each)) for each in letters] == [3, 3]
    untrack_history(letter)
