"""Something is forgotten of one history, and a revision says so; safe to be done again."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from pymongo import DESCENDING

from mongoengine_history.errors import (
    HistoryError,
    HistoryNotRecordedError,
    OptionsError,
    RevisionConflictError,
)
from mongoengine_history.record.append import append_made
from mongoengine_history.record.change import Change
from mongoengine_history.record.complete import RECORD, complete
from mongoengine_history.record.doubt import settle
from mongoengine_history.record.drift import LOOKS, PAUSE
from mongoengine_history.record.layout import revision_of
from mongoengine_history.record.revisions import ONE_BY_ONE, VERSION
from mongoengine_history.record.rewriting import (
    documents_left,
    legacy_left,
    records_left,
    version_left,
    write_left,
)
from mongoengine_history.record.states import state_at
from mongoengine_history.state.moments import moment_of
from mongoengine_history.state.redaction import erased_in
from mongoengine_history.state.revision import DELETE, REDACT, nothing_done
from mongoengine_history.state.values import ABSENT, identifier
from mongoengine_history.trust.forgetting.receipt import Receipt, added, ranges
from mongoengine_history.trust.hold import held
from mongoengine_history.trust.remainders import LEFT, Remainders
from mongoengine_history.trust.spool import Spool, rewrite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mongoengine_history.record.head import Head
    from mongoengine_history.record.place import Place
    from mongoengine_history.record.revisions import Revisions
    from mongoengine_history.state.context import Context
    from mongoengine_history.state.redaction import Forgotten
    from mongoengine_history.state.values import Path

HELD: Final = "it is held; release it first"
"""Why something stays as it is."""

MOST_BEGINNINGS: Final = 1_000
"""How often to begin with what others recorded meanwhile."""


def forget(revisions: Revisions, forgotten: Forgotten, what: str, context: Context) -> Receipt:
    """
    Take values out of a history, and append a revision that says so.

    The newest revisions come first: whatever is read meanwhile fits together. Writers that
    remember what is erased find that the next number is taken, and read again what is there.

    Raises:
        HistoryError: a document of the history cannot be read, or others write all the time.
    """
    if held(revisions.place, [revisions.key]):
        raise OptionsError("document", revisions.key, HELD)
    return _forgotten(revisions, forgotten, what, context)


def forget_each(
    histories: Iterable[tuple[Revisions, Context]],
    forgotten: Forgotten,
    total: Receipt,
    places: Iterable[Place],
    progress: Callable[[Receipt], object] | None,
) -> Receipt:
    """
    Do so with several histories, and all that spools of *places* hold; return a *total* receipt.

    Raises:
        OptionsError: some are held; they were left as they are. Or as `forget`.
    """
    on_hold = []
    for revisions, context in histories:
        if held(revisions.place, [revisions.key]):
            on_hold.append(revisions.key)
            continue
        receipt = _forgotten(revisions, forgotten, total.what, context)
        if receipt.documents and progress:
            progress(receipt)
        total = added(total, receipt)
    in_spool = sum(forget_in_spool(it, forgotten) for it in places)  # of nothing recorded yet
    if on_hold:
        raise OptionsError("documents", on_hold, HELD)
    return replace(total, values=total.values + in_spool)


def _forgotten(revisions: Revisions, forgotten: Forgotten, what: str, context: Context) -> Receipt:
    if revisions.place.in_transaction:
        raise OptionsError("session", "active", "what is forgotten, is so in no transaction")
    settle(revisions)
    in_spool = forget_in_spool(revisions.place, forgotten, revisions.key)
    sweep = _Sweep(revisions, forgotten, what, context)
    sweep.go_on(revisions.head())
    for _ in range(MOST_BEGINNINGS):
        try:
            made = append_made(revisions, sweep.told)
        except HistoryNotRecordedError as error:
            if not isinstance(error.__cause__, RevisionConflictError):
                raise
            continue
        if made is None:
            return replace(sweep.nothing, documents=min(in_spool, 1), values=in_spool)
        sweep.versions({"$in": [0, made.number - 1]})  # one that came behind its revision
        # What could not be recorded meanwhile is in the spool by now.
        forget_in_spool(revisions.place, forgotten, revisions.key)
        return sweep.receipt(made)
    raise RevisionConflictError(revisions.key, MOST_BEGINNINGS)


class _Sweep:
    """Goes through a history from the end to the beginning, and then through what came since."""

    def __init__(
        self, revisions: Revisions, forgotten: Forgotten, what: str, context: Context
    ) -> None:
        self._revisions, self._forgotten = revisions, forgotten
        self._what, self._context = what, context
        self._seen = -1
        #: How many values were erased in which revisions.
        self._values: Counter[int] = Counter()
        self._left, self._counted = Remainders(), 0
        #: Where the newest state has masks now; None where that is to be found out.
        self._paths: tuple[Path, ...] | None = None

    def go_on(self, head: Head) -> None:
        """Erase in all revisions up to the newest one that were not seen before."""
        bounds = {"$gte": self._seen + 1, "$lte": head.number}
        self._records(bounds)
        self._wait_for_version(head.number)
        self.versions(bounds)
        if self._seen < 0:
            for record in self._revisions.legacy():
                self._rewrite(0, [record], legacy_left)
        self._seen = head.number

    def _records(self, bounds: dict[str, int]) -> None:
        query = {"revision": bounds, "position": RECORD}
        found = self._revisions.records(query, DESCENDING, batch_size=ONE_BY_ONE)
        for records in complete(self._revisions, found, -1):
            self._rewrite(records[0]["revision"], records, records_left)

    def versions(self, bounds: Any) -> None:
        """Erase in full states."""
        query = {"revision": bounds, "position": VERSION}
        found = self._revisions.records(query, batch_size=ONE_BY_ONE)
        for number, group in groupby(found, itemgetter("revision")):
            self._rewrite(number, list(group), version_left)

    def _wait_for_version(self, number: int) -> None:
        """Wait for the version of the newest revision, which is written behind it."""
        query = {"revision": number, "position": -1}
        is_due = number and self._revisions.place.options.is_due(number)
        for _ in range(LOOKS if is_due else 0):
            if self._revisions.number_in(query, DESCENDING) is not None:
                break
            time.sleep(PAUSE)

    def _rewrite(self, number: int, documents: Sequence[Any], left: Callable[..., Any]) -> None:
        with self._revisions.reading(documents):
            own = partial(left, forgotten=self._forgotten)
            count = write_left(self._revisions.place, documents, own)
        if count:
            self._values[number] += count
            self._paths = None

    def told(self, head: Head) -> tuple[Change, Head] | None:
        """Return what says what was erased up to the head; None if there is nothing to say."""
        if head.number > self._seen:
            self.go_on(head)
        self._add_remainders(head)
        if not self._values and self._left.is_right:
            return None
        erased = {"what": self._what, "values": self._count, "revisions": self._numbers}
        metadata = {**self._context.metadata, "erased": erased, LEFT: self._left.digest}
        patches, now = [nothing_done(is_gone=head.operation == DELETE)], time.time_ns() // 1000
        change = Change(REDACT, replace(self._context, metadata=metadata), {}, {}, patches, now)
        if self._paths is None:
            self._paths = self._masked(head)
        return change, replace(head, redacted=self._paths)

    @property
    def _count(self) -> int:
        return sum(self._values.values())

    @property
    def _numbers(self) -> str:
        return ranges(sorted(self._values))

    def _add_remainders(self, head: Head) -> None:
        bounds = {"$gte": self._counted + 1, "$lte": head.number}
        query = {"revision": bounds, "position": RECORD}
        found = self._revisions.records(query, batch_size=ONE_BY_ONE)
        for records in complete(self._revisions, found, 1):
            with self._revisions.reading(records):
                revision = revision_of(records)
                self._left.add(revision, records[0])
            if revision.operation == REDACT and self._counted:  # others forget something, too
                self._left, self._counted = Remainders(), 0
                self._add_remainders(head)
                return
        self._counted = head.number

    def _masked(self, head: Head) -> tuple[Path, ...]:
        """Return where the state has masks of what is, or was, forgotten."""
        try:
            state = state_at(self._revisions, head.number) or {}
        except HistoryError:  # nothing is known to start from
            return head.redacted
        masks = erased_in(self._forgotten.state(state))
        return tuple(it for it in masks if self._forgotten.at(it) or it in head.redacted)

    @property
    def nothing(self) -> Receipt:
        """The receipt where nothing had to be erased."""
        return Receipt(self._what, self._revisions.place.document_type, self._revisions.key)

    def receipt(self, made: Head) -> Receipt:
        """Return the receipt of a revision that was made."""
        return replace(
            self.nothing,
            documents=1,
            values=self._count,
            revisions=self._numbers,
            revision=made.number,
            at=moment_of(made.stamp),
            identity=self._context.identity,
            reason=self._context.reason,
        )


def forget_in_spool(place: Place, forgotten: Forgotten, key: Any = ABSENT) -> int:
    """Take values of a document, or of all that are not held, out of a spool; return how many."""
    kept, count = place.options.on_error, 0

    def left(entry: dict[str, Any]) -> dict[str, Any]:
        nonlocal count
        is_there = (entry["database"], entry["collection"]) == (place.database, place.document_type)
        whose = entry["document_id"]
        is_meant = key is ABSENT or identifier(whose) == identifier(key)
        if not (is_there and is_meant) or (key is ABSENT and held(place, [whose])):
            return entry
        redone, some = documents_left(entry["records"], forgotten)
        count += some
        return {**entry, "records": redone}

    if isinstance(kept, Spool):
        rewrite(kept.path, left)
    return count
