"""What a history holds is counted by collections."""

from __future__ import annotations

from typing import Any

import bson
import mongoengine as me
from mongoengine import Document

from mongoengine_history import History, history_of, track_history, untrack_history


class Box(Document):
    meta = {"collection": "held_boxes", "auto_create_index": False}
    number = me.IntField()


def test_it_tells_documents_revisions_bytes_and_moments(database: Any) -> None:
    assert History.report() == []
    track_history(Box, version_every=1)
    first, last = [Box(number=it).save() for it in range(2)]
    last.update(set__number=7)
    untrack_history(Box)
    [held] = History.report()
    assert (held.document_type, held.documents, held.revisions) == ("held_boxes", 2, 3)
    assert held.bytes == sum(len(bson.encode(it)) for it in database.history.find())
    assert (held.oldest, held.newest) == (history_of(first)[1].at, history_of(last)[-1].at)
