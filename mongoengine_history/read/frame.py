"""Revisions as a table of pandas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mongoengine_history.state.revision import Revision
    from mongoengine_history.state.values import Path

OF_REVISION: Final = ("number", "at", "identity", "operation", "reason", "changeset")

OF_CHANGE: Final = ("kind", "path", "old", "new")


def frame_of(revisions: Iterable[Revision], names: Callable[[Path], Path]) -> Any:
    """Return a DataFrame with a row for each change; ImportError without pandas."""
    import pandas as pd

    return pd.DataFrame(_rows(revisions, names), columns=[*OF_REVISION, *OF_CHANGE])


def _rows(revisions: Iterable[Revision], names: Callable[[Path], Path]) -> Iterator[list[Any]]:
    for revision in revisions:
        own = [getattr(revision, name) for name in OF_REVISION]
        for change in revision.to_dict(names=names)["changes"] or [{}]:
            yield [*own, *(change.get(name) for name in OF_CHANGE)]
