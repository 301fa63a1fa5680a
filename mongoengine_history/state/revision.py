"""Frozen values: what one write did to one document, as it is stored and as it is shown."""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mongoengine_history.state.moments import clock_of, moment_of
from mongoengine_history.state.patches import (
    ADD,
    REMOVE,
    DictdifferPatch,
    Draft,
    Patch,
    apply,
    apply_to,
    invert,
)
from mongoengine_history.state.telling import json_ready, told
from mongoengine_history.state.wording import changes, facts, shortened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime
    from typing import TypeGuard

    from bson import ObjectId

    from mongoengine_history.state.context import Context
    from mongoengine_history.state.values import Path, State


CREATE: Final = "create"
UPDATE: Final = "update"
DELETE: Final = "delete"
REVERT: Final = "revert"
UNDO: Final = "undo"
RESTORE: Final = "restore"
EXTERNAL: Final = "external"
EVENT: Final = "event"
REDACT: Final = "redact"

KNOWN_OPERATIONS: Final = (CREATE, UPDATE, DELETE, REVERT, UNDO, RESTORE, EXTERNAL, EVENT, REDACT)
"""All words for what a revision is."""

ANEW: Final = {CREATE, RESTORE}
"""Operations that start from nothing, whatever the history had before."""

UNCHANGING: Final = (EVENT, REDACT)
"""
Operations that change nothing.

The one patch of such a revision is empty: it adds nothing to the document, or removes nothing where
there is none.
"""


@dataclass(frozen=True, slots=True)
class Revision:
    """
    What one write did to one document, as a reader sees it.

    Values have the types that the document's connection gives. ``str()`` is a line for people,
    ``f"{revision:full}"`` has all changes, and `to_dict` is for programs.
    """

    #: 1, 2, 3, … within the document, without gaps.
    number: int
    #: The moment of the write, aware, in UTC, to the microsecond.
    at: datetime
    #: Who answers for it; None if nobody was named.
    identity: Any
    #: ``create``, ``update``, ``delete``, ``revert``, ``undo``, ``restore``, ``external``,
    #: ``event``, ``redact``, or a later word.
    operation: str
    #: Why, in words.
    reason: str | None
    #: Anything else that was said about the write.
    metadata: Mapping[str, Any]
    #: Shared by all revisions of one unit of work.
    changeset: ObjectId | None
    #: dictdiffer's ``(action, path, data)``, in the order in which they apply.
    patches: tuple[DictdifferPatch, ...]

    def __hash__(self) -> int:
        return hash((self.number, self.at, self.operation))

    def __str__(self) -> str:
        return f"{self._head()}: {'; '.join(self._lines(room=60, most=3))}"

    def __format__(self, wanted: str) -> str:
        """Write one line, as ``str()`` does, or with ``full`` one for each change, uncut."""
        if wanted != "full":
            return format(str(self), wanted)
        lines = self._lines(room=sys.maxsize, most=sys.maxsize)
        return "\n".join([self._head(), *(f"  {line}" for line in lines)])

    def _lines(self, room: int, most: int) -> list[str]:
        if self.operation == EVENT:
            return facts(self.metadata, room, most)
        return changes(self.patches, room, most)

    def _head(self) -> str:
        who = "" if self.identity is None else f" by {shortened(str(self.identity), 60)}"
        why = "" if self.reason is None else f" ({shortened(self.reason, 60)})"
        moment = self.at.replace(tzinfo=None).isoformat(" ", "milliseconds")
        return f"{self.number}. {moment} UTC, {self.operation}{who}{why}"

    def to_dict(
        self,
        *,
        json: bool = False,
        names: Callable[[Path], Path] = tuple,
        item_key: str = "_id",
    ) -> dict[str, Any]:
        """
        Return all that there is to show, as plain data. Reads nothing.

        Each of ``changes`` has a ``kind`` (``edited``, ``added``, ``removed``, ``moved``), its
        ``path`` as a text and its ``keys`` as a list, and the values ``old`` and ``new`` as far as
        there are any. An item of a list that was taken out and put in elsewhere is ``moved``, and
        ``from`` says where it was. If a list was replaced, ``items`` says the same of its items,
        with an ``index`` each.

        Args:
            json: Make it ready for JSON: of the revision's own fields `at` is a text by ISO 8601
                and `changeset` one of 24 digits; stored values are MongoDB's relaxed Extended JSON,
                which `bson.json_util.loads` reads; a mask is ``{"$masked": fingerprint}``.
            names: Gives a path by names of attributes; `Timeline.names` does. Stored names else.
            item_key: The key by which items of a list are recognised, by its stored name.
        """
        shown = {it.name: getattr(self, it.name) for it in fields(self) if it.name != "patches"}
        shown["changes"] = told(self.patches, item_key, names)
        if not json:
            return shown
        own = {"at": self.at.isoformat(), "changeset": self.changeset and str(self.changeset)}
        return json_ready({**shown, **own})  # type: ignore[no-any-return]  # a dict stays one


class StoredRevision(NamedTuple):
    """All patches of one write to one document, as they are stored."""

    #: 1, 2, 3, … within the document, without gaps.
    number: int
    #: Microseconds since 1970 UTC, never lower than that of the revision before.
    stamp: int
    #: One of the words above, or one of a later release.
    operation: str
    #: Who and why.
    context: Context
    #: What changed, in the order in which it applies.
    patches: tuple[Patch, ...]
    #: Hashes of outermost lists after the revision, by their paths as `path_text` writes them.
    lists: Mapping[str, bytes] = MappingProxyType({})
    #: Where the state after it has masks of values that were erased.
    redacted: tuple[Path, ...] = ()

    @property
    def at(self) -> datetime:
        """The moment of the write, aware, in UTC."""
        return moment_of(self.stamp)

    @property
    def clock(self) -> datetime:
        """The same as the wall clock of this process shows it; see `wall_clock`."""
        return clock_of(self.stamp)

    def shown(self) -> Revision:
        """Return what a reader sees; values stay of the types with which they were read."""
        return Revision(
            self.number,
            self.at,
            self.context.identity,
            self.operation,
            self.context.reason,
            self.context.metadata,
            self.context.changeset,
            () if self.is_unchanging else tuple(patch.as_dictdiffer() for patch in self.patches),
        )

    @property
    def is_unchanging(self) -> bool:
        """Say whether the document is after it what it was before."""
        return self.operation in UNCHANGING

    @property
    def leaves_nothing(self) -> bool:
        """Say whether there is no document after it."""
        return leaves_nothing(self.operation, next((it.action for it in self.patches), ADD))

    @property
    def comes_from_nothing(self) -> bool:
        """Say whether there was no document before it, as far as that matters."""
        return self.operation in ANEW or (self.is_unchanging and self.leaves_nothing)

    def after(self, state: State) -> State:
        """Return the state after this revision, given the one before it; see `replay`."""
        return replay([(self.operation, self.patches)], state)

    def before(self, state: State) -> State:
        """
        Return the state before this revision, given the one after it.

        Raises:
            PatchError: the revision led to another state.
        """
        if self.comes_from_nothing:
            return {}
        return apply(invert(self.patches), {} if self.leaves_nothing else state)


def leaves_nothing(operation: object, action: object) -> bool:
    """Say whether there is no document after a revision, by what its first record says."""
    return operation == DELETE or (operation in UNCHANGING and action == REMOVE)


def nothing_done(*, is_gone: bool) -> Patch:
    """Return the patch of a revision that changes nothing of a document, be it gone or not."""
    return Patch(REMOVE if is_gone else ADD, (), [])


def replay(steps: Iterable[tuple[str, Iterable[Patch]]], state: State) -> State:
    """
    Return the state after revisions, given the one before the first of them.

    A creation starts from nothing and a deletion leaves nothing, whatever stood there.

    Raises:
        PatchError: a revision was made for another state.
    """
    draft = Draft(state)
    for operation, patches in steps:
        if operation in ANEW or operation == DELETE:
            draft = Draft({})
        if operation != DELETE:
            apply_to(draft, patches)
    return draft.state


def is_index(given: object) -> TypeGuard[int]:
    """Say whether somebody asks for a revision by its number, counted from either end."""
    return isinstance(given, int) and not isinstance(given, bool) and abs(given) < 2**63
