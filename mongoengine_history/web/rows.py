"""Revisions as the pages show them, in words, with masks where somebody may not look."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mongoengine_history.errors import HistoryError
from mongoengine_history.state.revision import CREATE, DELETE, EVENT, REDACT
from mongoengine_history.web.failures import told

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mongoengine import Document

    from mongoengine_history.faces.line import Line, Piece
    from mongoengine_history.faces.words import Words
    from mongoengine_history.read.history_of import Timeline
    from mongoengine_history.state.patches import DictdifferPatch
    from mongoengine_history.state.revision import Revision
    from mongoengine_history.web.rights import Rights


MOST_GAPS: Final = 1_000
"""Missing revisions that a page names."""


@dataclass(frozen=True)
class Row:
    """One revision of one document."""

    model: type[Document]
    pk: Any
    number: int
    #: In words; nothing of one that cannot be read.
    when: str = ""
    iso: str = ""
    who: str = ""
    done: str = ""
    reason: str = ""
    operation: str = ""
    changeset: str = ""
    metadata: list[tuple[str, str]] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    #: Why it cannot be read.
    problem: str = ""

    @classmethod
    def of(cls, rights: Rights, words: Words, revision: Revision) -> Row:
        """Tell a revision to somebody."""
        shown = rights.veil.revision(revision)
        said = {} if revision.operation == EVENT else dict(revision.metadata)
        return cls(
            rights.model,
            rights.pk,
            revision.number,
            words.moment(revision.at),
            revision.at.isoformat(),
            words.who(revision.identity),
            words.done(revision),
            "" if revision.reason is None else words.line(revision.reason),
            revision.operation,
            str(revision.changeset or ""),
            [(words.line(name), words.value(it)) for name, it in said.items()],
            words.lines(shown),
        )

    @property
    def can_be_undone(self) -> bool:
        """Whether it may make sense to take it back alone."""
        return not self.problem and self.operation not in {CREATE, DELETE, EVENT, REDACT, ""}

    @property
    def has_state(self) -> bool:
        """Whether there is a document after it."""
        return not self.problem and self.operation != DELETE


def page_of(timeline: Timeline[Any], question: Any, before: int | None, size: int) -> list[Any]:
    """Read a page; where something in it cannot be read, one revision after another."""
    chosen = timeline.filter(**question.conditions)
    try:
        found = chosen.page(before=before, size=size)
        return found if question.conditions else _without_gaps(found)
    except HistoryError:
        if question.conditions:
            raise
    newest = len(timeline) if before is None else before - 1
    return [_one(timeline, number) for number in range(newest, max(newest - size, 0), -1)]


def _without_gaps(found: list[Any]) -> list[Any]:
    """Say where a revision between others is missing."""
    if not found or found[0].number - found[-1].number == len(found) - 1:
        return found
    known = {it.number: it for it in found}
    wanted = range(found[0].number, found[-1].number - 1, -1)
    return [known.get(it) or _missing(it) for it in islice(wanted, MOST_GAPS + len(found))]


def _missing(number: int) -> Row:
    return Row(type(None), None, number, problem="This revision is missing.")


def _one(timeline: Timeline[Any], number: int) -> Any:
    try:
        return timeline[number]
    except HistoryError as error:
        return Row(type(None), None, number, problem=told(error)[1])


def rows(found: Sequence[Any], rights: Rights, words: Words) -> list[Row]:
    """Tell some revisions of a document, also those that cannot be read."""
    return [
        replace(it, model=rights.model, pk=rights.pk)
        if isinstance(it, Row)
        else Row.of(rights, words, it)
        for it in found
    ]


class Sides(NamedTuple):
    """One change with the older value on the left, and the newer one on the right."""

    depth: int
    kind: str
    path: str
    left: list[Piece]
    right: list[Piece]
    origin: str = ""


LEFT_ROLES: Final = {"old", "gone", "same"}

RIGHT_ROLES: Final = {"new", "came", "same"}


def side_by_side(lines: Sequence[Line], depth: int = 0) -> Iterator[Sides]:
    """Yield each change of some lines, and those inside of it below it."""
    for line in lines:
        path, *others = [it.text for it in line.pieces if it.role == "path"]
        left, right = (
            [it for it in line.pieces if it.role in roles] for roles in (LEFT_ROLES, RIGHT_ROLES)
        )
        yield Sides(depth, line.kind, path, left, right, "".join(others))
        yield from side_by_side(line.inner, depth + 1)


def lines_of(
    patches: Sequence[DictdifferPatch], like: Revision, rights: Rights, words: Words
) -> list[Line]:
    """Tell changes that are of no revision, by one from which all else is taken."""
    shown = replace(like, operation="update", patches=tuple(patches))
    return words.lines(rights.veil.revision(shown))
