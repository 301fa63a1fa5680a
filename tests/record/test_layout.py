"""What is laid out in documents is read back as it was, through BSON and in parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import bson
import pytest
from bson import ObjectId
from hypothesis import assume, given
from hypothesis import strategies as st
from support.strategies import examples, scalars, states, values

from mongoengine_history.record import layout
from mongoengine_history.record.layout import (
    documents_of_version,
    joined,
    records_of_revision,
    revision_of,
    state_of,
)
from mongoengine_history.state.context import Context
from mongoengine_history.state.diff import diff
from mongoengine_history.state.revision import CREATE, UPDATE, StoredRevision
from mongoengine_history.state.values import WIRE, encode, wire

normal = states.map(lambda state: wire(state, WIRE))
identities = scalars.map(lambda value: wire({"": value}, WIRE)[""])
moments = st.integers(0, 4_102_444_800_000_000)


@st.composite
def revisions(draw: st.DrawFn) -> StoredRevision:
    patches = diff(draw(normal), draw(normal))
    assume(patches)
    metadata = draw(st.dictionaries(st.sampled_from("abc"), values, max_size=2))
    why = draw(st.none() | st.sampled_from(["", "why"]))
    shared = draw(st.none() | st.binary(min_size=12, max_size=12).map(ObjectId))
    return StoredRevision(
        draw(st.integers(1, 2**31 - 1)),
        draw(moments),
        draw(st.sampled_from([CREATE, UPDATE, "a later word"])),
        Context(draw(identities), why, metadata, shared),
        tuple(patches),
        draw(st.dictionaries(st.sampled_from(["a", "b\\.c"]), st.just(b"12345678"), max_size=2)),
    )


def owner(key: Any = 1) -> dict[str, Any]:
    return {"document_type": "things", "document_id": key}


def sent(documents: list[dict[str, Any]]) -> list[Mapping[str, Any]]:
    """Send documents to a server and read them again, as far as BSON is concerned."""
    return [bson.decode(bson.encode(it, codec_options=WIRE), WIRE) for it in documents]


def exactly(revision: StoredRevision) -> bytes:
    """All of a revision as BSON, in which NaN is NaN."""
    patches = [
        [it.action, list(it.path), it.data, it.places and list(it.places)]
        for it in revision.patches
    ]
    context = revision.context
    return encode(
        [
            *(revision.number, bson.Int64(revision.stamp), revision.operation, patches),
            *(context.identity, context.reason, dict(context.metadata), dict(revision.lists)),
            context.changeset,
        ]
    )


@pytest.fixture(params=[layout.LARGEST_VALUE, 150, 1])
def largest(request: pytest.FixtureRequest, monkeypatch: Any) -> int:
    """The size from which on values are stored in parts."""
    monkeypatch.setattr(layout, "LARGEST_VALUE", request.param)
    return request.param


@pytest.fixture(params=[layout.DEEPEST_VALUE, 2])
def deepest(request: pytest.FixtureRequest, monkeypatch: Any) -> int:
    """The depth from which on values are stored in parts."""
    monkeypatch.setattr(layout, "DEEPEST_VALUE", request.param)
    return request.param


@given(revisions())
@examples(40)
def test_a_revision_is_read_back_as_it_was(
    largest: int, deepest: int, revision: StoredRevision
) -> None:
    documents = sent(records_of_revision(revision, owner()))
    assert exactly(revision_of(documents)) == exactly(revision)


@given(revisions())
@examples(40)
def test_its_documents_are_numbered_and_say_how_many_they_are(
    largest: int, revision: StoredRevision
) -> None:
    documents = records_of_revision(revision, owner())
    assert [it["position"] for it in documents] == list(range(len(documents)))
    assert {it["size"] for it in documents} == {len(documents)}
    for document in documents:
        assert (document["document_type"], document["document_id"]) == ("things", 1)
        assert (document["revision"], document["stamp"]) == (revision.number, revision.stamp)
        assert ("action" in document) != ("part_of" in document)
    assert len([it for it in documents if "action" in it]) == len(revision.patches)


@given(revisions())
def test_who_and_why_stand_on_each_record_and_the_lists_on_the_first(
    revision: StoredRevision,
) -> None:
    documents = records_of_revision(revision, owner())
    context = revision.context
    for document in documents:
        assert ("identity" in document) == (context.identity is not None)
        assert document.get("reason") == context.reason
        assert encode(document.get("metadata", {})) == encode(dict(context.metadata))
    assert ["lists" in document for document in documents] == [
        position == 0 for position in range(len(documents))
    ]


@given(normal, revisions(), st.none() | st.just(0))
@examples(40)
def test_a_version_is_read_back_as_it_was(
    largest: int, deepest: int, state: Any, revision: StoredRevision, number: int | None
) -> None:
    documents = sent(documents_of_version(state, revision, owner(), number))
    assert encode(state_of(documents)) == encode(state)
    count = len(documents)
    assert [it["position"] for it in documents] == list(range(-count, 0))
    assert {it["revision"] for it in documents} == {number if number == 0 else revision.number}
    assert [("part_of" in it) for it in documents] == [False] + [True] * (count - 1)
    assert not any("action" in it for it in documents)
    assert all(len(it.get("bytes", b"")) <= largest for it in documents)


@given(normal, revisions())
def test_the_version_before_the_first_revision_is_nobodys(
    state: Any, revision: StoredRevision
) -> None:
    [document] = documents_of_version(state, revision, owner(), 0)
    assert "identity" not in document
    [document] = documents_of_version(state, revision, owner())
    assert document.get("identity") is revision.context.identity


@given(revisions(), normal)
@examples(40)
def test_laying_out_changes_nothing_that_was_given(
    largest: int, revision: StoredRevision, state: Any
) -> None:
    key, kept = {"a": [1]}, (exactly(revision), encode(state))
    records_of_revision(revision, owner(key))
    documents_of_version(state, revision, owner(key))
    assert (exactly(revision), encode(state), key) == (*kept, {"a": [1]})


def test_a_large_value_leaves_its_record_and_small_ones_stay(monkeypatch: Any) -> None:
    monkeypatch.setattr(layout, "LARGEST_VALUE", 1000)
    patches = diff({}, {"a": 1}) + diff({"b": 1, "c": 1}, {"b": "x" * 2500, "c": 2})
    revision = StoredRevision(1, 0, UPDATE, Context(), tuple(patches))
    documents = records_of_revision(revision, owner())
    assert [(it.get("path"), it.get("parts"), it.get("part_of")) for it in documents] == [
        *(("", None, None), ("b", 3, None), ("c", None, None)),
        *((None, None, 1), (None, None, 1), (None, None, 1)),
    ]
    assert "data" not in documents[1]
    assert joined(documents)[1]["data"] == {"old": 1, "new": "x" * 2500}


def test_a_reader_sees_the_changeset() -> None:
    shared = ObjectId()
    context = Context(changeset=shared)
    revision = StoredRevision(1, 0, UPDATE, context, tuple(diff({}, {"a": 1})))
    assert revision_of(records_of_revision(revision, owner())).shown().changeset == shared
