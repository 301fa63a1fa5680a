"""One history is gone through, all of its documents once and in order; every fault is named."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from mongoengine_history.errors import PatchError
from mongoengine_history.record.chain import is_intact
from mongoengine_history.record.layout import revision_of, state_of
from mongoengine_history.state.hiding import Hiding
from mongoengine_history.state.merge import check, differs, is_same_state
from mongoengine_history.state.moments import stamp_of
from mongoengine_history.state.overwritten import found_by
from mongoengine_history.state.patches import paths_of, record_of
from mongoengine_history.state.problem import UNREADABLE, is_number, problem_in
from mongoengine_history.state.redaction import covered, erased_at
from mongoengine_history.state.revision import ANEW
from mongoengine_history.state.rules import CLASS
from mongoengine_history.state.values import same
from mongoengine_history.trust.finding import (
    ALTERED,
    IN_CLEAR,
    MALFORMED,
    MISSING,
    NOT_CHAINED,
    OTHER_VERSION,
    REPLAY,
    UNCHAINED,
    Finding,
)
from mongoengine_history.trust.remainders import Remainders

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mongoengine_history.state.overwritten import Overwritten
    from mongoengine_history.state.revision import StoredRevision
    from mongoengine_history.state.values import State

    Documents = Sequence[Mapping[str, Any]]

SHARED: Final = ("stamp", "created_at", "operation", "identity", "reason", "metadata", "changeset")
"""What all records of a revision have alike; only the first one is in the chain."""

WITHOUT_KEY: Final = "its checksums were made without the key"
"""What is noted of a history that is older than the key, or looks so."""

QUARTER: Final = 15 * 60 * 1_000_000
"""Microseconds: the clocks of two time zones differ by so many, or a multiple."""


@dataclass(frozen=True)
class Rules:
    """What the class of a document asks of its history."""

    #: What must not be in it.
    hiding: Hiding = field(default_factory=Hiding)
    #: The keys that checksums may have been made with, the newest first.
    keys: tuple[bytes | None, ...] = (None,)
    #: Whether it makes checksums with a key today.
    has_key: bool = False


class Inspection:
    """Goes through one history, and says what it finds and to which state it leads."""

    def __init__(
        self, owner: tuple[str, Any], rules: Rules, overwritten: Overwritten | None = None
    ) -> None:
        self._owner, self._rules = owner, rules
        #: Is told all that the revisions overwrote.
        self.overwritten = overwritten
        self.findings: list[Finding] = []
        #: The number of the last revision.
        self.number = 0
        #: How many there were.
        self.count = 0
        #: The state after the last one, None if it is not known or nothing is left.
        self.state: State | None = None
        #: Whether the state is known.
        self.is_known = False
        self._stamp = 0
        #: The checksum of the last revision; None if nobody knows it any more.
        self._before: bytes | None = b""
        self._is_keyed = self._is_bare = False
        self._left = Remainders()
        #: Whether it leads to what is stored, and nothing is wrong; after `compare`.
        self.leads_there = self.is_right = False

    def go_on(self, number: int, checksum: bytes, state: State | None) -> None:
        """Begin behind a revision that is known to be right, and the state after it."""
        self.number, self._before = number, checksum
        self.state, self.is_known = state, True

    @property
    def key(self) -> Any:
        """The primary key of the document."""
        return self._owner[1]

    def compare(self, stored: State | None) -> None:
        """Say whether all is right, with the document as it is stored; None if it is not."""
        self.leads_there = self._leads_to(stored)
        self.is_right = self.leads_there and not any(it.is_fault for it in self.findings)

    def _leads_to(self, stored: State | None) -> bool:
        if not self.is_known:
            return True
        stored = stored and covered(stored, self.state)
        if is_same_state(stored, self.state):
            return True
        if self.overwritten is None or stored is None or self.state is None:
            return False
        return self.overwritten.explains(self.state, stored)

    def find(self, kind: str, what: str, number: int | None = None) -> None:
        """Note what was found about a revision, the last one if no other is named."""
        where = self.number if number is None else number
        self.findings.append(Finding(*self._owner, where, kind, what))

    def go_through(self, documents: Iterable[Mapping[str, Any]]) -> Inspection:
        """Take all documents of the history, sorted by revision and position."""
        for number, group in groupby(documents, itemgetter("revision")):
            some = list(group)
            if not is_number(number):
                self.find(MALFORMED, f"its revision is {number!r}"[:200])
                continue
            kept = [it for it in some if _position_in(it) < 0]
            records = [it for it in some if _position_in(it) >= 0]
            state = self._state_of(kept, int(number)) if kept else None
            if number:
                self._take(int(number), records, state, kept)
            elif state is not None:
                self._begin(state)
        if not self._left.is_right:
            self.find(ALTERED, "what is left of erased values is not what its redaction says")
        if self.count and self._before == b"":
            self.find(NOT_CHAINED, "the history is not chained")
        elif self._is_bare and self._rules.has_key:
            self.find(NOT_CHAINED, WITHOUT_KEY)
        return self

    def _begin(self, state: State) -> None:
        self.state, self.is_known = state, True

    def _state_of(self, kept: Documents, number: int) -> State | None:
        try:
            if kept[-1]["position"] != -1 or kept[0].get("size") != len(kept):
                self.find(MISSING, "a part of the version is gone", number)
                return None
            state = state_of(kept, starting=not number)
        except UNREADABLE as error:
            self.find(MALFORMED, f"the version: {problem_in(kept, error)[1]}", number)
            return None
        self._look_for_values(state, number)
        return state

    def _take(
        self, number: int, records: Documents, version: State | None, kept: Documents
    ) -> None:
        mark = records[0].get("pruned") if records else None
        if isinstance(mark, Mapping):
            self._begin_anew(number, mark)
        elif number != self.number + 1:
            self._leap(number, version)
        self.number, self.count = number, self.count + 1
        revision = self._revision(records)
        if revision is None:
            self._before, self.state, self.is_known = None, version, version is not None
            return
        try:
            if isinstance(mark, Mapping):
                self._begin_before(revision, version)
            self._examine(revision, records)
        except UNREADABLE as error:
            self.find(MALFORMED, problem_in(records, error)[1])
            self._before, self.is_known = None, False
        if version is not None:
            self._compare_version(revision, version, kept)

    def _examine(self, revision: StoredRevision, records: Documents) -> None:
        self._compare_records(revision, records)
        self._follow(revision, records[0])
        self._left.add(revision, records[0])
        self._replay(revision)

    def _compare_version(self, revision: StoredRevision, version: State, kept: Documents) -> None:
        if self.is_known and differs(version, self.state or {}):
            self.find(OTHER_VERSION, "the full state is not what the revisions lead to")
        if kept[-1].get("stamp") != revision.stamp:
            self.find(OTHER_VERSION, "its stamp is not that of its revision")
        who = kept[0].get("identity")  # which may be erased where a receipt stays
        if who is not None and not same(who, revision.context.identity):
            self.find(OTHER_VERSION, "its identity is not that of its revision")
        if not revision.leaves_nothing:
            self._begin(version)

    def _leap(self, number: int, version: State | None) -> None:
        """Go on behind a hole."""
        first, last = self.number + 1, number - 1
        gone = f"revisions {first} to {last} are gone" if last > first else "it is gone"
        self.find(MISSING, gone[:200], first)
        self._before, self.state, self.is_known = None, version, version is not None

    def _begin_anew(self, number: int, mark: Mapping[str, Any]) -> None:
        """Begin where the history was pruned; what is left of before is on its way out."""
        before, last = mark.get("before"), self._before if self.number == number - 1 else None
        self.findings = [it for it in self.findings if it.kind != MISSING]
        if last is not None and last != before:
            self.find(ALTERED, "the revision before it is not the one that was pruned", number)
        self._stamp = 0
        self._before = before if isinstance(before, bytes) else None
        self.is_known = self._is_keyed = self._is_bare = False

    def _begin_before(self, revision: StoredRevision, version: State | None) -> None:
        """Take the state before the oldest revision out of the one after it."""
        after = {} if revision.leaves_nothing else version
        if after is None or revision.comes_from_nothing:
            return
        try:
            self._begin(revision.before(after))
        except PatchError:
            self.find(OTHER_VERSION, "the full state is not what its revision leads to")

    def _revision(self, records: Documents) -> StoredRevision | None:
        positions, count = [it.get("position") for it in records], len(records)
        if not count or positions != [*range(count)] or records[0].get("size") != count:
            self.find(MISSING, "records of it are gone, or there are too many")
            return None
        try:
            return revision_of(records)
        except UNREADABLE as error:
            self.find(MALFORMED, problem_in(records, error)[1])
            return None

    def _compare_records(self, revision: StoredRevision, records: Documents) -> None:
        """Compare what stands in a revision twice."""
        first = records[0]
        for name in _unlike(records) if len(records) > 1 else ():
            self.find(ALTERED, f"the {name} of its records differs")
        for record, patch in zip(records, revision.patches, strict=False):
            if record.get("path") != record_of(patch)["path"]:
                self.find(ALTERED, "path is not what keys say")
        if not _agree(first.get("created_at"), revision.stamp):
            self.find(ALTERED, "created_at is not what stamp says")
        if revision.stamp < self._stamp:
            self.find(ALTERED, "its stamp is lower than that of the revision before")
        self._stamp = revision.stamp

    def _follow(self, revision: StoredRevision, first: Mapping[str, Any]) -> None:
        """Check the checksum of a revision over it and the one before."""
        before, self._before = self._before, first.get("checksum", b"")
        if not self._before:
            if before:
                self.find(UNCHAINED, "it has no checksum")
            return
        if self.number > 1 and before == b"":
            self.find(NOT_CHAINED, f"the history is not chained until revision {self.number}")
        if before is None:  # what came before is gone
            return
        try:
            key = self._key(revision, first, before)
        except UNREADABLE:
            self.find(ALTERED, "its salt or its digests are not what they were")
            return
        if key is NO_KEY:
            self.find(ALTERED, "its checksum is not made of it and the revision before")
        elif key is None and self._is_keyed:
            self.find(ALTERED, "its checksum was made without the key")
        elif key is None:
            self._is_bare = True
        else:
            self._is_keyed = True
            if self._is_bare:
                self.find(NOT_CHAINED, f"{WITHOUT_KEY} until revision {self.number}")
            self._is_bare = False

    def _key(self, revision: StoredRevision, first: Mapping[str, Any], before: bytes) -> Any:
        """Return the key that the checksum was made with, `NO_KEY` if by none of them."""
        for key in self._rules.keys:
            if is_intact(revision, first, before, key):
                return key
        return NO_KEY

    def _replay(self, revision: StoredRevision) -> None:
        if revision.operation in ANEW:
            self._begin({})
        if not self.is_known:
            self.is_known = revision.leaves_nothing
            return
        before = self.state or {}
        try:
            after = revision.after(before)
            check(after, revision.lists)
        except PatchError as error:
            self.find(REPLAY, f"it does not fit the state before it at {list(error.path)!r}"[:200])
            self.is_known = False
            return
        self.state = None if revision.leaves_nothing else after
        if any(not erased_at(after, path) for path in revision.redacted):
            self.find(ALTERED, "what it says to be erased is not")
        if self.overwritten is not None:
            self.overwritten.add(found_by(revision.patches, before), before, after)
        if self._rules.hiding.rules:
            self._look_into(revision, after)

    def _look_into(self, revision: StoredRevision, after: State) -> None:
        """Look for values in the patches of a revision, old ones and new ones."""
        names = {CLASS, *(str(path[0]) for path in paths_of(revision.patches) if path)}
        with suppress(PatchError):  # of which nothing is wrong, since it fitted forwards
            for state in (revision.before(after), after):
                said = {name: value for name, value in state.items() if name in names}
                self._look_for_values(said, self.number)

    def _look_for_values(self, state: State, number: int) -> None:
        if not self._rules.hiding.hides_all_of(state):
            self.find(IN_CLEAR, "it holds what the class hides; redact it", number)


NO_KEY: Final = object()


def _unlike(records: Documents) -> list[str]:
    """Name what the records of a revision do not have alike; parts have a stamp only."""
    own = [it for it in records if "part_of" not in it]
    return [
        name
        for name in SHARED
        for some in (records if name == "stamp" else own,)
        if any(not same(it.get(name), some[0].get(name)) for it in some[1:])
    ]


def _position_in(document: Mapping[str, Any]) -> int:
    position = document.get("position")
    return position if isinstance(position, int) else 0


def _agree(clock: object, stamp: int) -> bool:
    """Say whether a wall clock, of whatever time zone, shows the moment of a stamp."""
    if not isinstance(clock, datetime):
        return False
    shown = clock.replace(tzinfo=timezone.utc)
    return (stamp_of(shown) - stamp // 1000 * 1000) % QUARTER == 0
