"""``refuse_stale``: what was sent, seen and stored says what is refused, and nothing else does."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from decimal import Decimal
from typing import Any

import pytest
from bson import Decimal128
from hypothesis import given
from hypothesis import strategies as st
from mongoengine.errors import DoesNotExist
from support.crews import PATIENCE
from support.documents import FIELDS, document_with, encoded, fields_of, raw
from support.edits import Edit, Order, strict_edits
from support.paths import find, outermost_list
from support.stale import Card, PlainCard, by_another, loaded, put, refused, tracked_by
from support.strategies import examples, values

from mongoengine_history import ABSENT, DocumentTrack, StaleDocumentError, history_of

way = tracked_by(Card, Order, ways=["automatic"])


def values_at(state: Any, names: list[str]) -> list[Any]:
    """Return what an update would overwrite, lists whole, as the server compares it."""
    found = []
    for name in names:
        path: tuple[str | int, ...] = ()
        for part in name.split("."):
            is_index = part.isdecimal() and isinstance(find(state, path), list)
            path = (*path, int(part) if is_index else part)
        found.append(comparable(find(state, outermost_list(path))))
    return found


def comparable(value: Any) -> Any:
    """Tell values apart as ``$eq`` does: by types and order, but for the types of numbers."""
    if value is ABSENT:
        return ABSENT
    if isinstance(value, dict):
        return [(key, comparable(item)) for key, item in value.items()]
    if isinstance(value, list):
        return ["list", *map(comparable, value)]
    if isinstance(value, Decimal128):
        value = value.to_decimal()
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return "nan" if value != value else value  # noqa: PLR0124  # which only NaN is
    return encoded(value)


def sent(document: Any) -> list[str]:
    return [name for values in document._get_update_doc().values() for name in values]


@contextmanager
def counting(model: Any, monkeypatch: Any) -> Iterator[Counter[str]]:
    """Count how often documents are made to what is stored."""
    calls: Counter[str] = Counter()
    to_mongo = model.to_mongo

    def counted(document: Any, *args: Any, **kwargs: Any) -> Any:
        calls[type(document).__name__] += 1
        return to_mongo(document, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(model, "to_mongo", counted)
        yield calls


dicts = st.dictionaries(st.sampled_from(["a", "b", "0", "1", "a.b", "ß"]), values, max_size=3)


@examples(60)
@given(seen=dicts, changed=dicts, edits=st.lists(strict_edits, min_size=1, max_size=3))
def test_refused_is_what_would_overwrite_a_value_that_is_another_one_now(
    seen: Any, changed: Any, edits: list[Edit]
) -> None:
    order, plain = (loaded(Order, {"n": 5, "notes": seen}) for _ in range(2))
    before = raw(order)
    with DocumentTrack(order, refuse_stale=True):
        for each in (order, plain):
            for edit in edits:
                edit(each)
            by_another(each, {"$set": {"notes": changed}})
        names = sent(order)
        if values_at(before, names) != values_at(raw(order), names):
            refused(order, validate=False)
            return
        found = [outcome(each) for each in (order, plain)]
    assert found[0] == found[1]
    assert fields_of(raw(order)) == fields_of(raw(plain))


def outcome(document: Any) -> Any:
    try:
        document.save(validate=False)
    except Exception as error:
        return type(error)


def zoo_of(name: str) -> tuple[Any, Any, Any]:
    field, pair = FIELDS[name]
    return document_with(field), *(pair() if callable(pair) else pair)


def written(document: Any, value: Any) -> None:
    document.value = value
    with suppress(DoesNotExist):  # which MongoEngine raises after it has saved a dangling reference
        document.save()


@pytest.mark.parametrize("name", FIELDS)
def test_each_kind_of_field_is_written_again_and_again_where_nobody_else_writes(name: str) -> None:
    zoo, first, second = zoo_of(name)
    written(zoo(other="a"), first)
    for block in [(second, first), (second,), (first,)]:
        document = zoo.objects.get()
        with DocumentTrack(document, refuse_stale=True):
            for value in block:
                written(document, value)


@pytest.mark.parametrize(
    "name", [it for it in FIELDS if it != "decimal128"]
)  # whose values are equal numbers
def test_each_kind_of_field_is_refused_where_somebody_else_wrote(name: str) -> None:
    zoo, first, second = zoo_of(name)
    written(zoo(), first)
    document = zoo.objects.get()
    with DocumentTrack(document, refuse_stale=True):
        before = raw(document)
        written(zoo.objects.get(), second)
        document._mark_as_changed("value")
        shown = [fields_of(zoo._from_son(it).to_mongo()) for it in (before, raw(document))]
        if shown[0] != shown[1]:
            assert refused(document).path[0] in {"value", "stored"}


RACES = {
    "scalars": lambda card, _: put(count=card.count + 1)(card),
    "keys": lambda card, _: put(facts__n=card.facts["n"] + 1)(card),
    "lists": lambda card, who: card.tags.append(f"{who}"),
}


@pytest.mark.parametrize("what", RACES)
def test_what_several_writers_count_is_never_lost(what: str) -> None:
    """Who is refused loads anew and counts once more."""
    threads, number = 4, 10
    key = loaded(Card, {"c": 0, "facts": {"n": 0}, "tags": []}).pk
    start = threading.Barrier(threads)

    def count(who: int) -> None:
        start.wait(PATIENCE)
        for turn in range(number):
            while not counted(f"{who}-{turn}"):
                pass

    def counted(who: str) -> bool:
        card = Card.objects.get(pk=key)
        try:
            with DocumentTrack(card, who, refuse_stale=True):
                RACES[what](card, who)
                card.save()
        except StaleDocumentError:
            return False
        return True

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(count, range(threads)))
    card = Card.objects.get(pk=key)
    assert threads * number in (card.count, card.facts["n"], len(set(card.tags)))
    timeline = history_of(card)
    everyone = {f"{who}-{turn}" for who in range(threads) for turn in range(number)}
    assert {it.identity for it in timeline} == everyone
    assert len(timeline) == threads * number


def edited(model: Any, **values: Any) -> Any:
    card = loaded(model, {"text": "a", "facts": {"k": 1}, "tags": ["x"]})
    put(**values)(card)
    return card


SAVES: dict[str, Callable[[Any], Any]] = {
    "new": lambda model: model(text="a"),
    "scalar": lambda model: edited(model, text="b"),
    "key": lambda model: edited(model, facts__k=2),
    "list": lambda model: edited(model, tags=["b"]),
    "unchanged": edited,
}


@pytest.mark.parametrize("what", SAVES)
@pytest.mark.parametrize("block", [True, False])
def test_without_the_option_nothing_is_made_of_memory_for_the_history(
    monkeypatch: Any, what: str, block: bool
) -> None:
    found = []
    for model in (PlainCard, Card):
        documents = [SAVES[what](model) for _ in range(2)]
        with counting(model, monkeypatch) as calls:
            for card in documents:
                if block and model is Card:
                    with DocumentTrack(card, "ann"):
                        card.save()
                else:
                    card.save()
                card.text = "again"
                card.save()
        found.append(calls.total())
    assert found[0] == found[1]
