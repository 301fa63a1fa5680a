"""What views and tasks write, and what its history says about who did."""

from __future__ import annotations

from mongoengine import Document, StringField

from mongoengine_history import History, track_history


@track_history
class Note(Document):
    text = StringField()


def write(text: str) -> str:
    Note(text=text).save()
    return text


def records() -> dict[str, History]:
    """The record of each note that was written, by its text."""
    texts = dict(Note.objects.scalar("id", "text"))
    return {texts[record.document_id]: record for record in History.objects}


def authors() -> dict[str, object]:
    return {text: record.identity for text, record in records().items()}
