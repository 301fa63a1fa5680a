"""Writers that race: each stores values that nobody else stores, so that each is told apart."""

from __future__ import annotations

import json
import random
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import mongoengine as me
from mongoengine import signals

from mongoengine_history import DocumentTrack, track_changes, track_history

THREADS, SAVES = 4, 20

KEYS = ("a", "b")
"""The keys of ``cells`` that all writers set."""

PATIENCE = 60


class Blocked(me.Document):
    """Its saves are recorded by blocks and signals."""

    meta = {"collection": "raced_blocked", "auto_create_index": False}
    number = me.IntField(primary_key=True)
    title = me.StringField()
    lines = me.ListField(me.StringField())
    cells = me.DictField()


class Tracked(me.Document):
    """All that is written to it is recorded."""

    meta = {"collection": "raced_tracked", "auto_create_index": False}
    number = me.IntField(primary_key=True)
    title = me.StringField()
    lines = me.ListField(me.StringField())
    cells = me.DictField()


MODELS = {model.__name__: model for model in (Blocked, Tracked)}


def set_title(document: Any, who: str) -> None:
    document.title = who


def set_key(document: Any, who: str) -> None:
    document.cells[random.choice(KEYS)] = who


def set_cells(document: Any, who: str) -> None:
    document.cells = {random.choice(KEYS): who, "whole": who}


def set_lines(document: Any, who: str) -> None:
    document.lines = [who]


def append_line(document: Any, who: str) -> None:
    document.lines.append(who)


EDITS: dict[str, Callable[[Any, str], None]] = {
    it.__name__: it for it in (set_title, set_key, set_cells, set_lines, append_line)
}


def saves(model: Any, keys: list[int], writer: str, edits: list[str], number: int) -> list[str]:
    """Save stale copies and fresh ones, and return who each save was told to be."""
    chance, copies, told = random.Random(writer), {}, []
    for count in range(number):
        key, who = chance.choice(keys), f"{writer}-{count}"
        if key not in copies or not chance.randrange(3):
            copies[key] = model.objects.get(pk=key)
        with DocumentTrack(copies[key], who):
            EDITS[chance.choice(edits)](copies[key], who)
            copies[key].save()
        told.append(f"{key}:{who}")
    return told


def by_threads(model: Any, keys: list[int], edits: list[str], number: int = SAVES) -> list[str]:
    start = threading.Barrier(THREADS)

    def work(place: int) -> list[str]:
        start.wait(PATIENCE)
        return saves(model, keys, f"t{place}", edits, number)

    with ThreadPoolExecutor(THREADS) as pool:
        return [who for told in pool.map(work, range(THREADS)) for who in told]


def main(task: dict[str, Any]) -> None:
    me.connect(task["database"], host=task["uri"], uuidRepresentation="standard")
    signals.post_save.connect(track_changes, sender=Blocked)
    track_history(Tracked)
    print("ready", flush=True)
    sys.stdin.readline()
    model = MODELS[task["model"]]
    told = saves(model, task["keys"], task["writer"], task["edits"], task["number"])
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
