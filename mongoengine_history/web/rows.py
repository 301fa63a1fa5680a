"""Revisions as the pages show them, in words, with masks where somebody may not look."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mongoengine_history.errors import HistoryError
from mongoengine_history.state.revision import CREATE, DELETE, EVENT, REDACT
from mongoengine_history.web.failures import MESSAGES, told

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mongoengine import Document

    from mongoengine_history import Revision, Timeline
    from mongoengine_history.faces.line import Line, Piece
    from mongoengine_history.faces.question import Question
    from mongoengine_history.faces.words import Words
    from mongoengine_history.state.patches import DictdifferPatch
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
    #: Who answers for it, as it was recorded.
    identity: Any = None

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
            identity=revision.identity,
        )

    @property
    def can_be_undone(self) -> bool:
        """Whether it may make sense to take it back alone."""
        return not self.problem and self.operation not in {CREATE, DELETE, EVENT, REDACT, ""}

    @property
    def has_state(self) -> bool:
        """Whether there is a document after it."""
        return not self.problem and self.operation != DELETE


def page_of(
    rights: Rights, words: Words, question: Question, before: int | None, size: int
) -> list[Row]:
    """Read a page; where something in it cannot be read, one revision after another."""
    timeline, asked = rights.timeline, question.conditions
    try:
        found = timeline.filter(**asked).page(before=before, size=size)
    except HistoryError:
        if asked:
            raise
        newest = len(timeline) if before is None else before - 1
        numbers = range(newest, max(newest - size, 0), -1)
        return [_one(timeline, rights, words, number) for number in numbers]
    rows = [Row.of(rights, words, it) for it in found]
    return rows if asked else _without_gaps(rows, words)


def _one(timeline: Timeline[Any], rights: Rights, words: Words, number: int) -> Row:
    try:
        return Row.of(rights, words, timeline[number])
    except HistoryError as error:
        return Row(rights.model, rights.pk, number, problem=words.gettext(told(error)[1]))


def _without_gaps(rows: list[Row], words: Words) -> list[Row]:
    """Say where a revision between others is missing."""
    if not rows or rows[0].number - rows[-1].number == len(rows) - 1:
        return rows
    known = {it.number: it for it in rows}
    wanted = range(rows[0].number, rows[-1].number - 1, -1)
    some = islice(wanted, MOST_GAPS + len(rows))
    missing = partial(Row, rows[0].model, rows[0].pk, problem=words.gettext(MESSAGES["missing"]))
    return [known.get(it) or missing(it) for it in some]


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


def sides_of(patches: Iterable[DictdifferPatch], rights: Rights, words: Words) -> list[Sides]:
    """Tell changes, which need be of no revision, side by side."""
    return [*side_by_side(words.changes(rights.veil.patches(patches)))]
