"""Two classes of one definition, one of them tracked: both do the same, and one tells of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import bson
import mongoengine as me
import pytest
from bson import ObjectId
from bson.raw_bson import RawBSONDocument
from mongoengine import Document
from pymongo.results import BulkWriteResult, InsertManyResult, InsertOneResult
from support.documents import Line, fields_of

from mongoengine_history import (
    DocumentDidNotExistError,
    History,
    history_of,
    track_history,
    untrack_history,
)

Model = type[Document]
Act = Callable[[Any], Any]

IDS = [ObjectId(f"{number:024x}") for number in range(1, 7)]
"""The primary keys of what is there at the beginning."""

NEW_ID = re.compile(r"\b(?!0{23})[0-9a-f]{24}\b")
"""An id that was made by a test, so that it is another one each time."""

PLAN = re.compile(r"Tree: .*?Sort:", re.DOTALL)
"""How the server reads a query, which may have been limited to what was read."""

CLOCK = re.compile(r"'\$clusterTime': {.*?}}|Timestamp\(\d+, \d+\)")
"""What a server tells of time in an error."""

NAMES = re.compile(r"(twin)_?(plain|tracked)", re.IGNORECASE)

TOLD = ("n", "nModified", "updatedExisting", "upserted", "ok")
"""What a server answers about a write itself: nothing of clocks, elections and sessions."""


def seed(number: int) -> dict[str, Any]:
    """Make the document with a number, from 1 on, as it is stored."""
    return {
        "_id": IDS[number - 1],
        "name": f"name {number}",
        "number": number,
        "tags": ["x", "y", f"t{number}"],
        "facts": {"a": number, "deep": {"b": [1, {"c": 2}]}},
        "lines": [{"sku": "s1", "qty": number}, {"sku": "s2", "qty": 10 * number}],
        "code": number,
        "parent": IDS[0],
        "place": {"type": "Point", "coordinates": [number / 10, number / 10]},
    }


def fields() -> dict[str, Any]:
    """Make the fields of a twin."""
    return {
        "name": me.StringField(max_length=20),
        "number": me.IntField(),
        "tags": me.ListField(me.StringField()),
        "facts": me.DictField(),
        "lines": me.EmbeddedDocumentListField(Line),
        "code": me.IntField(),
        "parent": me.ReferenceField("self"),
        "place": me.PointField(auto_index=False),
    }


def twin(name: str, **meta: Any) -> Model:
    """Make a class; its name tells whether it is the plain or the tracked one."""
    collection = f"twin_{name.lower()}"
    meta = {"collection": collection, "auto_create_index": False, **meta}
    return type(f"Twin{name}", (Document,), {"meta": meta, **fields()})


class Twins:
    """A plain class and a tracked one, with the same documents."""

    def __init__(self, **meta: Any) -> None:
        self.plain, self.tracked = twin("Plain", **meta), twin("Tracked", **meta)

    @contextmanager
    def tracking(self, **options: Any) -> Iterator[None]:
        track_history(self.tracked, **options)
        yield
        untrack_history(self.tracked)
        for model in (self.plain, self.tracked):
            model.drop_collection()

    def fill(self, *, known: bool) -> None:
        """Store documents; if they are *known*, the history has their creation."""
        for model in (self.plain, self.tracked):
            collection = model._get_collection()
            collection.create_index("code", unique=True, sparse=True)
            there = collection if known else model._get_db()[collection.name]
            there.insert_many([seed(number) for number in range(1, 6)])

    def recording(self) -> Callable[..., Iterator[None]]:
        """Make a fixture by which one of them is tracked in the tests of a module."""

        @pytest.fixture(scope="module", autouse=True)
        def tracking() -> Iterator[None]:
            with self.tracking():
                yield

        return tracking

    def unknown_and_known(self) -> Callable[..., None]:
        """Make a fixture that stores documents, which the history knows or does not."""

        @pytest.fixture(params=["before it was tracked", "with a creation on record"])
        def filled(request: Any, database: Any) -> None:
            self.fill(known=request.param.startswith("with"))

        return filled

    def both(self, act: Act) -> Any:
        """Do the same to both, and check that it is the same and recorded. Returns what it told."""
        expected = outcome(act, self.plain)
        with recorded(self.tracked):
            found = outcome(act, self.tracked)
        assert found == expected
        assert contents(self.tracked) == contents(self.plain)
        return found


def raws(model: Model) -> dict[Any, bytes]:
    """Read all documents, to the byte, by their primary keys."""
    collection = model._get_db()[model._get_collection_name()]
    codec = collection.codec_options
    found = collection.with_options(codec.with_options(document_class=RawBSONDocument)).find()
    return {it["_id"]: it.raw for it in found}


def contents(model: Model) -> list[str]:
    """Tell what is stored, in an order and with ids that are the same each time."""
    return sorted(settled(shown(bson.decode(raw))) for raw in raws(model).values())


def outcome(act: Act, model: Model) -> str:
    """Tell what something returns, or raises."""
    try:
        return settled(shown(act(model)))
    except Exception as error:
        return settled(f"{type(error).__name__}: {error}")


def settled(text: str) -> str:
    """Take out of a text which of the twins it is about, and ids that are new each time."""
    ids: dict[str, str] = {}
    text = NEW_ID.sub(lambda found: ids.setdefault(found[0], f"new id {len(ids)}"), text)
    text = text.replace("multi: False, ", "")  # older PyMongo says it of a replacement, too
    return NAMES.sub(r"\1", CLOCK.sub("now", PLAN.sub("", text)))


def shown(result: Any) -> str:
    """Tell a result by type and value."""
    if isinstance(result, Document):
        return f"{type(result).__name__} {shown(result.to_mongo())} {result._created}"
    if isinstance(result, dict):
        return "{" + ", ".join(f"{key}: {shown(value)}" for key, value in result.items()) + "}"
    if isinstance(result, list | tuple):
        return "[" + ", ".join(shown(item) for item in result) + "]"
    return answer(result) if hasattr(result, "acknowledged") else repr(result)


def answer(result: Any) -> str:
    """Tell what PyMongo answers to a write."""
    told = f"{type(result).__name__}, acknowledged: {result.acknowledged}, "
    if isinstance(result, InsertOneResult):
        return told + repr(result.inserted_id)
    if isinstance(result, InsertManyResult):
        return told + repr(result.inserted_ids)
    if not result.acknowledged:
        return told
    if isinstance(result, BulkWriteResult):
        return told + shown(dict(sorted(result.bulk_api_result.items())))
    return told + shown({name: result.raw_result.get(name) for name in TOLD})


def numbers(model: Model) -> dict[Any, list[int]]:
    """Read the numbers of all revisions, in order, by the primary keys of their documents."""
    mine = {"document_type": model._get_collection_name(), "position": 0}
    found: dict[Any, list[int]] = {}
    for record in History._get_collection().find(mine).sort("revision", 1):
        found.setdefault(record["document_id"], []).append(record["revision"])
    return found


@contextmanager
def recorded(model: Model, *, once: bool = True) -> Iterator[None]:
    """
    Check that each document that is changed inside gets a revision, and no other gets one.

    Args:
        model: Its class.
        once: Whether each is changed by one write, so that it gets exactly one revision.
    """
    before, known = raws(model), numbers(model)
    yield
    after, found = raws(model), numbers(model)
    changed = [key for key in before | after if before.get(key) != after.get(key)]
    expected = dict(known)
    for key in changed:
        next_one = len(known.get(key, [])) + 1
        last = next_one if once else max(len(found[key]), next_one)
        expected[key] = list(range(1, last + 1))
    assert found == expected
    for key in changed:
        told_rightly(model, key, before.get(key), after.get(key), once=once)


def told_rightly(
    model: Model, key: Any, before: bytes | None, after: bytes | None, *, once: bool
) -> None:
    """Check that the newest revision leads to what is stored, and *once* from what was stored."""
    timeline = history_of(model, key)
    newest = timeline[-1]
    operation = "create" if before is None else "delete" if after is None else "update"
    assert newest.operation == operation
    for number, raw in [(newest.number, after), (newest.number - 1, before)][: 1 + once]:
        try:
            state = timeline.state(number)
        except DocumentDidNotExistError:
            assert raw is None
        else:
            assert fields_of(state) == fields_of(bson.decode(raw or b""))
