"""After any script of edits, every earlier state of the stored document comes back, to the byte."""

from __future__ import annotations

import contextlib
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, note
from hypothesis import strategies as st
from mongoengine import Document, signals
from mongoengine.errors import OperationError, ValidationError
from support.documents import Line, stored
from support.edits import LooseOrder, Order, loose_edits, scripts, strict_edits
from support.strategies import examples

from mongoengine_history import DocumentTrack, History, revert, track_changes

orders = st.one_of(
    st.tuples(st.just(Order), scripts(strict_edits)),
    st.tuples(st.just(LooseOrder), scripts(loose_edits)),
)


def save(document: Document) -> bool:
    """Save if MongoEngine and the server take the edits, else forget them."""
    try:
        document.save()
    except (ValidationError, OperationError) as error:
        note(f"refused: {error}")
        document.reload()
        return False
    return True


def numbers(document: Document) -> list[int]:
    return History.objects(document_id=document.pk).distinct("revision")


@pytest.fixture
def tracked(database: Any) -> None:
    for cls in (Order, LooseOrder):
        signals.post_save.connect(track_changes, sender=cls)


@given(orders, st.booleans(), st.booleans(), st.booleans())
@examples(80)
def test_every_revision_and_every_moment_comes_back(
    tracked: None,
    order: tuple[type[Document], Any],
    create_tracked: bool,
    one_block: bool,
    load_anew: bool,
) -> None:
    cls, script = order
    document = cls(name="first", tags=["a", "b", "c"])
    states = {}
    if create_tracked:
        with DocumentTrack(document):
            document.save()
        states[1] = stored(document)
    else:
        document.save()
        states[0] = stored(document)
    moments = [(datetime.now(), stored(document))]
    with DocumentTrack(document, "anna") if one_block else contextlib.nullcontext():
        for edits in script:
            before, known = stored(document), len(numbers(document))
            if load_anew and not one_block:
                document = cls.objects.get(pk=document.pk)
            with DocumentTrack(document, "ben"):
                for edit in edits:
                    edit(document)
                save(document)
            after = stored(document)
            assert len(numbers(document)) - known == (before != after)
            states[len(numbers(document))] = after
            moments.append((datetime.now(), after))
    assert numbers(document) == list(range(1, len(numbers(document)) + 1))
    for number, state in states.items():
        revert(document, revision=number)
        document.save()
        assert stored(document) == state, number
    for moment, state in moments:
        loaded = cls.objects.get(pk=document.pk)
        revert(loaded, since=moment)
        loaded.save()
        assert stored(document) == state


@st.composite
def many_copies(draw: st.DrawFn) -> tuple[type[Document], list[tuple[int, Any]]]:
    """Saves from three copies of one document, of which a copy may be loaded anew before."""
    cls, edit = draw(st.sampled_from([(Order, strict_edits), (LooseOrder, loose_edits)]))
    step = st.tuples(
        st.integers(0, 2), st.booleans(), st.booleans(), st.lists(edit, min_size=1, max_size=2)
    )
    return cls, draw(st.lists(step, min_size=1, max_size=10))


@given(many_copies())
@examples(60)
def test_saves_from_stale_copies_unwind_to_the_true_first_state(
    tracked: None, steps: tuple[type[Document], Any]
) -> None:
    """Writers who overwrite each other, and writes past the history, which stay."""
    cls, script = steps
    first = cls(name="first", tags=["a", "b", "c"], notes={"a": 1}, lines=[Line(sku="x")]).save()
    before = stored(first)
    copies = [cls.objects.get(pk=first.pk) for _ in range(3)]
    for which, anew, past, edits in script:
        if past:
            cls._get_collection().update_one({"_id": first.pk}, {"$inc": {"drift": 1}})
        if anew:
            copies[which] = cls.objects.get(pk=first.pk)
        document = copies[which]
        with DocumentTrack(document, which):
            for edit in edits:
                edit(document)
            save(document)
    assert numbers(first) == list(range(1, len(numbers(first)) + 1))
    drift = {key: value for key, value in stored(first).items() if key == "drift"}
    revert(first).save()
    if numbers(first):
        assert stored(first) == {**before, **drift}
