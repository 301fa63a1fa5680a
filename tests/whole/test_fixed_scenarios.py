"""
What fixed scenarios cost: round trips, records, patches and bytes, against committed numbers.

Nothing is timed, so that all numbers are exact on any machine. Who changes what a write or a read
costs changes `COSTS`, too, and says why; a failure shows the numbers as they are now.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from benchmarks.shapes import documents, edit, filled, insert, leaves
from bson import ObjectId
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from mongoengine import Document
from pymongo import UpdateOne
from support.browsing import browse

from mongoengine_history import (
    History,
    as_of,
    changeset,
    history_of,
    load_history,
    revert,
    track_history,
    undo,
    verify,
)
from mongoengine_history.state.moments import EPOCH

SHAPES = {name: track_history(kind) for name, kind in documents("Fixed").items()}
SMALL = SHAPES["small"]
WHO = ObjectId("5f0000000000000000000001")
NEVER = EPOCH.replace(year=2999)


class Cost(NamedTuple):
    """Of one scenario."""

    #: Commands that were sent.
    trips: int
    #: Documents that came into the history, …
    records: int = 0
    #: … how many of them are patches, …
    patches: int = 0
    #: … and how long the BSON of all of them is.
    bytes: int = 0


COSTS: dict[str, Cost] = {
    "small, created": Cost(2, 1, 1, 1_153),
    "small, 0 changed": Cost(0),
    "small, 1 changed": Cost(2, 1, 1, 432),
    "small, 10 changed": Cost(2, 10, 10, 3_276),
    "small, 20 changed": Cost(2, 20, 20, 6_726),
    "small, 1 changed, not known before": Cost(3, 2, 1, 911),
    "small, deleted": Cost(2, 1, 1, 1_156),
    "medium, created": Cost(2, 1, 1, 4_460),
    "medium, 1 changed": Cost(2, 1, 1, 488),
    "medium, 10 changed": Cost(2, 10, 10, 3_838),
    "medium, 50 changed": Cost(2, 11, 11, 8_816),
    "large, 1 changed": Cost(2, 1, 1, 496),
    "large, 10 changed": Cost(2, 10, 10, 3_738),
    "large, 50 changed": Cost(2, 50, 50, 18_192),
    "list of 500, one inserted at the head": Cost(2, 1, 1, 536),
    "list of 500, the first moved to the end": Cost(2, 2, 2, 969),
    "list of 500, shuffled": Cost(2, 1, 1, 97_211),
    "update of 10 by a query": Cost(5, 10, 10, 4_040),
    "delete of 10 by a query": Cost(4, 10, 10, 11_560),
    "insert of 100": Cost(3, 100, 100, 115_300),
    "bulk_write of 100 updates": Cost(6, 100, 100, 40_400),
    "revert and save": Cost(2, 1, 1, 432),
    "all patches of 31 revisions": Cost(1),
    "a state of 31 revisions": Cost(2),
    "revert to one of 31 revisions": Cost(3),
    "undo of one of 31 revisions": Cost(4),
    "first page of the browser": Cost(3),
    "the class at a moment": Cost(5),
    "verification of 31 revisions": Cost(2),
}

Act = Callable[[], object]


def stored(shape: str = "small", saves: int = 0) -> Document:
    """Make a document that was created and saved so many times."""
    document = filled(SHAPES[shape]).save()
    for number in range(saves):
        edit(leaves(document), 1, 5_000 + number)
        document.save()
    return document


def saved(shape: str, count: int) -> Act:
    document = stored(shape)
    edit(leaves(document), count, 10_000)
    return document.save


def saved_list(rearranged: Callable[[list[Any]], list[Any]]) -> Act:
    document = stored("list")
    document["items"] = rearranged([*document["items"]])
    return document.save


def shuffled(items: list[Any]) -> list[Any]:
    return random.Random(1).sample(items, len(items))


def inserted_at_the_head() -> Act:
    document = stored("list")
    insert(document, 10_000)
    return document.save


def known_to_nobody() -> Act:
    """Store it past the history, as one that was there before its class was tracked."""
    plain = SMALL._get_db()[SMALL._get_collection_name()]
    document = SMALL.objects.get(pk=plain.insert_one(filled(SMALL).to_mongo()).inserted_id)
    edit(leaves(document), 1, 10_000)
    return document.save


def many(count: int, write: Callable[[list[Any]], object]) -> Act:
    made = SMALL.objects.insert([filled(SMALL, number) for number in range(count)])
    return lambda: write([document.id for document in made])


def written_in_bulk(keys: list[Any]) -> object:
    asked = [UpdateOne({"_id": key}, {"$inc": {"s1": 1}}) for key in keys]
    return SMALL._get_collection().bulk_write(asked)


def reverted() -> Act:
    document = revert(stored(saves=3), revision=2)
    return document.save


def read(of: Callable[[Document], object]) -> Act:
    document = stored(saves=30)
    return lambda: of(document)


def first_page(document: Document) -> object:
    client = browse(SMALL)
    return client.get(f"/{SMALL._class_name}/{document.id}").raise_for_status()


SCENARIOS: dict[str, Callable[[], Act]] = {
    "small, created": lambda: filled(SMALL).save,
    "small, 0 changed": lambda: saved("small", 0),
    "small, 1 changed": lambda: saved("small", 1),
    "small, 10 changed": lambda: saved("small", 10),
    "small, 20 changed": lambda: saved("small", 20),
    "small, 1 changed, not known before": known_to_nobody,
    "small, deleted": lambda: stored().delete,
    "medium, created": lambda: filled(SHAPES["medium"]).save,
    "medium, 1 changed": lambda: saved("medium", 1),
    "medium, 10 changed": lambda: saved("medium", 10),
    "medium, 50 changed": lambda: saved("medium", 50),
    "large, 1 changed": lambda: saved("large", 1),
    "large, 10 changed": lambda: saved("large", 10),
    "large, 50 changed": lambda: saved("large", 50),
    "list of 500, one inserted at the head": inserted_at_the_head,
    "list of 500, the first moved to the end": lambda: saved_list(lambda it: it[1:] + it[:1]),
    "list of 500, shuffled": lambda: saved_list(shuffled),
    "update of 10 by a query": lambda: many(10, lambda _: SMALL.objects.update(set__s1=-1)),
    "delete of 10 by a query": lambda: many(10, lambda _: SMALL.objects.delete()),
    "insert of 100": lambda: lambda: many(100, list),
    "bulk_write of 100 updates": lambda: many(100, written_in_bulk),
    "revert and save": reverted,
    "all patches of 31 revisions": lambda: read(load_history),
    "a state of 31 revisions": lambda: read(lambda it: history_of(it).state(17)),
    "revert to one of 31 revisions": lambda: read(lambda it: revert(it, revision=17)),
    "undo of one of 31 revisions": lambda: read(lambda it: undo(it, 31)),
    "first page of the browser": lambda: read(first_page),
    "the class at a moment": lambda: many(10, lambda _: [*as_of(SMALL, NEVER)]),
    "verification of 31 revisions": lambda: read(lambda it: [*verify(it).findings]),
}


@pytest.fixture(autouse=True)
def indexed(database: Any) -> None:
    """The indexes of the history are there, whatever dropped them before; the process knows."""
    History.ensure_indexes()
    stored().delete()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_fixed_scenario_costs_what_it_did(scenario: str, database: Any, commands: Any) -> None:
    with changeset(WHO, reason="fixed"):
        act = SCENARIOS[scenario]()
        known = database["history"].distinct("_id")
        commands.clear()
        act()
        trips = len(commands.names)
    raw = database["history"].with_options(CodecOptions(RawBSONDocument))
    added = list(raw.find({"_id": {"$nin": known}}))
    patches = sum("action" in record for record in added)
    cost = Cost(trips, len(added), patches, sum(len(record.raw) for record in added))
    assert cost == COSTS[scenario]


def test_each_cost_belongs_to_a_scenario() -> None:
    assert [*COSTS] == [*SCENARIOS]
