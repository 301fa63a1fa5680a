"""What tests do to documents in a block, who hears of it, and what their history says then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import mongoengine as me
import pytest
from mongoengine import signals

from mongoengine_history import (
    DocumentTrack,
    history_of,
    track_changes,
    track_history,
    untrack_history,
)


def watch(*classes: type[me.Document], deletions: bool = True) -> None:
    """Connect `track_changes`, until the end of a test."""
    for cls in classes:
        signals.post_save.connect(track_changes, sender=cls)
        if deletions:
            signals.post_delete.connect(track_changes, sender=cls)


def watched(*classes: type[me.Document], deletions: bool = True) -> Callable[..., None]:
    """Make a fixture by which classes are watched in each test of a module."""

    @pytest.fixture(autouse=True)
    def connected(database: Any) -> None:
        watch(*classes, deletions=deletions)

    return connected


def automatic(*classes: type[me.Document]) -> Callable[..., Iterator[None]]:
    """Make a fixture by which all writes to classes are recorded in the tests of a module."""

    @pytest.fixture(scope="module", autouse=True)
    def tracking() -> Iterator[None]:
        with tracked(*classes):
            yield

    return tracking


@contextmanager
def tracked(*classes: type[me.Document], **options: Any) -> Iterator[None]:
    """Track classes inside the block, with some options."""
    with ExitStack() as tracking:
        for cls in classes:
            track_history(cls, **options)
            tracking.callback(untrack_history, cls)
        yield


@contextmanager
def tracked_otherwise(cls: type[me.Document], **options: Any) -> Iterator[None]:
    """Track a class that is tracked by `automatic` with other options, inside the block."""
    untrack_history(cls)
    try:
        with tracked(cls, **options):
            yield
    finally:
        track_history(cls)


def edited(document: Any, who: object = None, **values: Any) -> Any:
    """Save some values as one revision."""
    with DocumentTrack(document, who):
        for name, value in values.items():
            setattr(document, name, value)
        document.save()
    return document


def deleted(document: Any, who: object = None) -> Any:
    """Delete it as one revision."""
    with DocumentTrack(document, who):
        document.delete()
    return document


def told(document: Any) -> list[tuple[str, Any]]:
    """Operation and identity of all revisions, oldest first."""
    return [(it.operation, it.identity) for it in history_of(document)]


def agrees(document: Any) -> bool:
    """Whether the history says what is stored."""
    return history_of(document).compare(-1) == []


def numbers(revisions: Any) -> list[int]:
    return [revision.number for revision in revisions]
