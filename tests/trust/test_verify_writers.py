"""`verify` beside writers: what is on its way is no fault."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import mongoengine as me
import pytest
from mongoengine import Document
from support.changes import automatic

from mongoengine_history import verify

WRITERS = 8
DOCUMENTS = 12


class Desk(Document):
    meta = {"collection": "desks", "auto_create_index": False}
    number = me.IntField(primary_key=True)
    last = me.IntField()
    counts = me.DictField()
    papers = me.ListField(me.StringField())


tracking = automatic(Desk)


def write(writer: int, stop: threading.Event) -> None:
    step = 0
    while not stop.is_set():
        step += 1
        desk = Desk.objects.get(number=step % DOCUMENTS)
        desk.last, desk.counts[f"w{writer}"] = step * WRITERS + writer, step
        desk.papers = [f"{writer}-{step}", *desk.papers][:5]
        desk.save()
        if not step % 7:
            Desk.objects(number=step % DOCUMENTS).update(push__papers=f"{writer}.{step}")


@pytest.mark.usefixtures("database")
def test_nothing_is_reported_beside_writers() -> None:
    for number in range(DOCUMENTS):
        Desk(number=number).save()
    stop = threading.Event()
    with ThreadPoolExecutor(WRITERS) as pool:
        at_work = [pool.submit(write, writer, stop) for writer in range(WRITERS)]
        try:
            found: list[Any] = [it for _ in range(5) for it in verify(Desk)]
        finally:
            stop.set()
        for each in at_work:
            each.result()
    assert [*map(str, found)] == []
    assert [*map(str, verify(Desk))] == []
