"""One of many writers, as a process of its own: ``python writers_at_work.py '{"writer": …}'``.

It says ``ready``, waits for a line, saves, and prints each save that came through as a line.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import mongoengine as me
from mongoengine import signals
from pymongo import monitoring
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError

from mongoengine_history import DocumentTrack, track_changes

SHARED = "shared"
"""The key of ``cells`` that all writers set; each has one of its own, too."""


class Sheet(me.Document):
    meta = {"collection": "sheets", "auto_create_index": False, "history": {"version_every": 7}}
    number = me.IntField(primary_key=True)
    title = me.StringField()
    lines = me.ListField(me.StringField())
    cells = me.DictField()


class Leaflet(me.Document):
    meta = {"collection": "leaflets", "auto_create_index": False, "history": {"version_every": 3}}
    number = me.IntField(primary_key=True)
    title = me.StringField()
    lines = me.ListField(me.StringField())
    cells = me.DictField()


class Folder(me.Document):
    """Has more lists than a revision carries hashes."""

    meta = {"collection": "folders", "auto_create_index": False}
    title = me.StringField()
    lists = me.MapField(me.ListField(me.StringField()))
    facts = me.DictField()


class HistoryCommands(monitoring.CommandListener):
    """Counts the round trips to the history."""

    def __init__(self) -> None:
        self.count = 0

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if is_of_history(event.command):
            self.count += 1

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        pass

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        pass


def is_of_history(command: Any) -> bool:
    """Say whether a command asks the history; the rest of a cursor's batches counts, too."""
    return "history" in (command[next(iter(command))], command.get("collection"))


def edit_lines(document: Any, who: str, chance: random.Random) -> None:
    kind = chance.choice(["append", "insert", "insert", "remove", "remove"])
    if kind == "append" or len(document.lines) < 2:  # to empty what is empty would be no change
        document.lines.append(who)
    elif kind == "insert":
        document.lines.insert(chance.randrange(len(document.lines)), who)
    else:
        document.lines.pop(chance.randrange(len(document.lines)))


def edit_own_cell(document: Any, who: str, chance: random.Random) -> None:
    own = who.partition("-")[0]
    if own in document.cells and not chance.randrange(4):
        del document.cells[own]
    else:
        document.cells[own] = who


def edit_shared_cell(document: Any, who: str, chance: random.Random) -> None:
    document.cells[SHARED] = who


def edit_title(document: Any, who: str, chance: random.Random) -> None:
    document.title = who


EDITS = [edit_lines, edit_own_cell, edit_shared_cell, edit_title]


def saves(
    model: type[Any], keys: Sequence[int], writer: str, number: int, *, all_edits: bool = False
) -> Iterator[dict[str, Any]]:
    """
    Save documents as one of many writers, from copies that are loaded anew now and then.

    Yields:
        Of each save that changed something: who, which document, and when it began and ended by a
        clock that all processes of a machine share.
    """
    chance = random.Random(writer)
    copies = {key: model.objects.get(pk=key) for key in keys}
    for count in range(number):
        key = chance.choice(keys)
        how = chance.choice(["stale", "stale", "stale", "reloaded", "loaded anew"])
        if how == "reloaded":
            copies[key].reload()
        elif how == "loaded anew":
            copies[key] = model.objects.get(pk=key)
        who = f"{writer}-{count}"
        with DocumentTrack(copies[key], who):
            edits = EDITS if all_edits else chance.sample(EDITS, chance.choice([1, 1, 2]))
            for edit in [*edits, edit_title] if edits == [edit_lines] else edits:
                edit(copies[key], who, chance)  # an item that is gone already is no change
            began = time.monotonic_ns()
            copies[key].save()
            ended = time.monotonic_ns()
            copies[key].save()  # which changes nothing
        yield {"who": who, "key": key, "began": began, "ended": ended}


def insert_one_by_one(pause: float, hold: int | None) -> None:
    """
    Make ``insert_many`` of the history send each document in a command of its own.

    So may a server that dies in between leave them, or PyMongo, which splits large inserts.

    Args:
        pause: Seconds between two documents.
        hold: After how many documents to say ``held`` and stop for good; None for never.
    """
    whole = Collection.insert_many

    def insert_many(self: Any, documents: Any, *args: Any, **kwargs: Any) -> None:
        if self.name != "history":
            return whole(self, documents, *args, **kwargs)
        for place, document in enumerate(documents):
            if place == hold:
                print("held", flush=True)
                sys.stdin.read()
            time.sleep(pause if place else 0)
            try:
                whole(self, [document], *args, **kwargs)
            except BulkWriteError as error:
                error.details["writeErrors"][0]["index"] = place
                raise
        return None

    Collection.insert_many = insert_many


def main(task: dict[str, Any]) -> None:
    commands = HistoryCommands()
    me.connect(
        task["database"],
        host=task["uri"],
        uuidRepresentation="standard",
        event_listeners=[commands],
    )
    model = {"sheets": Sheet, "leaflets": Leaflet}[task["collection"]]
    signals.post_save.connect(track_changes, sender=model)
    if "pause" in task:
        insert_one_by_one(task["pause"], task.get("hold"))
    print("ready", flush=True)
    sys.stdin.readline()
    all_edits = task.get("all_edits", False)
    for save in saves(model, task["keys"], task["writer"], task["saves"], all_edits=all_edits):
        print(json.dumps({**save, "commands": commands.count}), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
