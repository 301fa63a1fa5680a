"""Every field type and every shape of document comes back as it was stored, to the byte."""

from __future__ import annotations

import contextlib
import copy
from typing import Any

import pytest
from mongoengine import Document, signals
from mongoengine.errors import DoesNotExist
from support.documents import FIELDS, document_with, stored

from mongoengine_history import DocumentTrack, History, revert, track_changes


def save(document: Document) -> None:
    """Save; MongoEngine writes a changed reference to nobody, and raises when it looks for it."""
    with contextlib.suppress(DoesNotExist):
        document.save()


def made(name: str) -> tuple[type[Document], Any, Any]:
    field, values = FIELDS[name]
    first, second = values() if callable(values) else copy.deepcopy(values)
    return document_with(field), first, second


@pytest.mark.parametrize("name", FIELDS)
def test_a_change_of_a_stored_document_is_taken_back(database: Any, name: str) -> None:
    cls, first, second = made(name)
    signals.post_save.connect(track_changes, sender=cls)
    document = cls(value=first, other="x").save()
    before = stored(document)
    with DocumentTrack(document, "anna"):
        document.value = second
        document._mark_as_changed("value")  # MongoEngine takes 1.0 and 1.00 for the same
        save(document)
    changed = stored(document)
    assert changed != before
    assert History.objects(document_id=document.pk).count() > 0
    revert(document).save()
    assert stored(document) == before
    revert(document, revision=1).save()
    assert stored(document) == changed
    loaded = cls.objects.no_dereference().get(pk=document.pk)
    revert(loaded).save()
    assert stored(document) == before


@pytest.mark.parametrize("name", FIELDS)
def test_a_created_document_is_recorded_from_its_creation(database: Any, name: str) -> None:
    cls, first, second = made(name)
    signals.post_save.connect(track_changes, sender=cls)
    document = cls(value=first)
    with DocumentTrack(document):
        document.save()
        created = stored(document)
        document.value, document.other = second, "y"
        save(document)
    revert(document).save()
    assert stored(document) == created
    assert History.objects.order_by("revision").first().revision == 1
