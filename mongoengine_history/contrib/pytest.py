"""pytest: tests say what a piece of code has to leave in the history. A plugin, once installed."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from mongoengine_history import history_of, track_history, untrack_history, untracked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mongoengine_history import Revision

__all__ = ["no_revision", "one_revision"]


@pytest.fixture
def history_off() -> Iterator[None]:
    """Let nothing be recorded during a test, in its thread."""
    with untracked():
        yield


@pytest.fixture
def history_on() -> Iterator[Callable[..., None]]:
    """Return what tracks a class until the end of a test, with options as `track_history`."""
    tracked: list[type[Any]] = []

    def track(model: type[Any], **options: Any) -> None:
        track_history(model, **options)
        tracked.append(model)

    yield track
    for model in reversed(tracked):
        untrack_history(model)


@contextmanager
def one_revision(
    document: Any,
    changes: Mapping[str, tuple[Any, Any]] | None = None,
    **said: Any,
) -> Iterator[list[Revision]]:
    """
    Assert that a block leaves exactly one revision of a document.

    Args:
        document: Saved, or to be saved in the block.
        changes: By paths of names of attributes, old and new value: all that it changes, and
            nothing else. What was not there, or is not any more, is None. None asserts nothing.
        said: ``identity``, ``reason``, ``operation`` or any other attribute of `Revision` that it
            has to have.

    Returns:
        A list, which holds the revision once the block has ended.

    Raises:
        AssertionError: it left none, or several, or another one.
    """
    before, found = _count(document), list["Revision"]()
    yield found
    found.extend(history_of(document)[before + 1 :])
    _hold(len(found) == 1, f"{_told(found)} recorded in the place of one revision")
    [revision] = found
    for name, value in said.items():
        own = getattr(revision, name)
        _hold(own == value, f"{name} is {own!r}, not {value!r}, in:\n{revision:full}")
    if changes is not None:
        told = revision.to_dict(names=history_of(document).names)["changes"]
        made = {it["path"]: (it.get("old"), it.get("new")) for it in told}
        _hold(made == {**changes}, f"it changed {made!r}, not {changes!r}")


@contextmanager
def no_revision(document: Any) -> Iterator[None]:
    """
    Assert that a block leaves no revision of a document.

    Args:
        document: Saved, or to be saved in the block.

    Raises:
        AssertionError: it left one, or several.
    """
    before = _count(document)
    yield
    found = history_of(document)[before + 1 :] if document.pk is not None else []
    _hold(not found, f"{_told(found)} recorded in the place of none")


def _hold(is_so: bool, problem: str) -> None:  # as assert, which -O leaves out
    __tracebackhide__ = True
    if not is_so:
        raise AssertionError(problem)


def _count(document: Any) -> int:
    return 0 if document.pk is None else len(history_of(document))


def _told(found: list[Revision]) -> str:
    lines = "\n".join(f"{revision:full}" for revision in found)
    return f"{len(found)} revisions were" + (f"\n{lines}\n" if lines else "")
