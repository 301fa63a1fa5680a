"""Appends revisions: gives them their numbers, and keeps a version with every so many of them."""

from __future__ import annotations

import logging
import random
import time
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from bson.errors import BSONError
from pymongo import ASCENDING
from pymongo.errors import BulkWriteError, PyMongoError, ServerSelectionTimeoutError

from mongoengine_history.archive import Archive
from mongoengine_history.diffing import diff
from mongoengine_history.errors import HistoryError, HistoryNotRecordedError, RevisionConflictError
from mongoengine_history.layout import documents_of_revision, revision_of
from mongoengine_history.ledger import Head
from mongoengine_history.lists import is_relative, remember, settle
from mongoengine_history.merging import collapse, concerns, without
from mongoengine_history.patching import ADD, REMOVE, Patch, paths_of
from mongoengine_history.revision import ANEW, DELETE, UPDATE, Context, StoredRevision
from mongoengine_history.turns import Turn, turn_at

if TYPE_CHECKING:
    from mongoengine_history.hiding import Hiding
    from mongoengine_history.options import HistoryOptions
    from mongoengine_history.values import Path, State

LOG: Final = logging.getLogger("mongoengine_history")

ATTEMPTS: Final = 30

LONGEST_WAIT: Final = 0.05
"""Seconds between two attempts at most."""

DUPLICATE_KEY: Final = 11000


class Change(NamedTuple):
    """What one write did, before it has a number."""

    operation: str
    context: Context
    before: State
    after: State
    patches: list[Patch]
    #: Microseconds since 1970 UTC.
    stamp: int
    #: Dicts that were sent as a whole, so that nothing of others was left in them.
    wholes: frozenset[Path] = frozenset()
    #: Fields that memory had otherwise than the server, before the write.
    stale: frozenset[str] = frozenset()


class Store(Archive):
    """The history of one document, for reading and for appending."""

    def append(self, change: Change, head: Head, base: State | None) -> Head:
        """
        Number a change and insert it, with one round trip if *head* is the newest revision.

        Args:
            change: What was written.
            head: What is known of the newest revision.
            base: The stored state before the very first revision, kept as version 0; None where
                there was no document, or where *head* is not the beginning.

        Returns:
            The head after it.

        Raises:
            HistoryNotRecordedError: the records could not be written, or other writers were faster
                ``ATTEMPTS`` times.
            pymongo.errors.PyMongoError: the same inside a transaction, which undoes the write, too.
        """
        try:
            return self._recorded(change, head, base)
        except HistoryNotRecordedError as error:
            report(error, self.options)
            return Head()  # nothing is known any more

    def _recorded(self, change: Change, head: Head, base: State | None) -> Head:
        if self.hiding.rules:
            base = base and self.hiding.hidden(base)
            head = replace(head, state=head.state and self.hiding.hidden(head.state))
        if self.in_transaction:  # of which others must know nothing before it is committed
            if base is not None and not head.number:  # a duplicate key would end it
                self.history.delete_many({**self.mine, "revision": 0}, session=self.session)
            return self._append(change, head, base)
        with self.turn.taken():
            appended = self.turn.head = self._append(
                change, self.turn.latest(head), base, head.number
            )
        if base is not None and not head.number and appended.number > 1:
            with suppress(
                HistoryError, PyMongoError, BSONError
            ):  # all is recorded, so this is no failure
                self._take_out_of_versions(change, base, appended.number)
        return appended

    @cached_property
    def turn(self) -> Turn:
        """The turn at this document; to be kept between its saves."""
        return turn_at(self.address)

    def _append(
        self, change: Change, head: Head, base: State | None, known: int | None = None
    ) -> Head:
        documents: list[dict[str, Any]] = []
        known = head.number if known is None else known
        for attempt in range(ATTEMPTS):
            try:
                if attempt or head.is_contended:
                    head = self._looked_again(head, attempt)
                revision, state = self._with_state(numbered(change, head, known), head)
                documents = self._laid_out(revision, state, None if head.number else base)
                if self._insert(documents):
                    return _head_after(revision, state, head)
            except PyMongoError as error:
                if self.in_transaction:
                    raise
                if documents and not isinstance(error, ServerSelectionTimeoutError):  # it was sent
                    if self._is_inserted(documents):  # only the answer was lost
                        return _head_after(revision, state, head)
                    self._take_out(documents)
                documents = documents or self._laid_out(numbered(change, head, known), None, None)
                raise HistoryNotRecordedError(self.document_id, documents, error) from error
        with suppress(PyMongoError):  # a number that may still be free when they are inserted later
            documents = self._laid_out(numbered(change, self.head(), known), None, None)
        conflict = RevisionConflictError(self.document_id, ATTEMPTS)
        raise HistoryNotRecordedError(self.document_id, documents, conflict) from conflict

    def _looked_again(self, head: Head, attempt: int) -> Head:
        """
        Read the newest revision, after a random pause that grows with each attempt.

        Who met another writer looks first from then on, until nobody has come in between.
        """
        if attempt:
            longest = min(LONGEST_WAIT, 0.0005 * 2**attempt)
            time.sleep(random.random() * longest)  # noqa: S311  # spreads writers, no secret
        newest = self.head()
        if newest.number == head.number:
            return replace(head, is_contended=False)  # whose state may be known
        return replace(newest, is_contended=True)

    def _with_state(
        self, revision: StoredRevision, head: Head
    ) -> tuple[StoredRevision, State | None]:
        """Return a new revision and the state after it, if that is known or a version needs it."""
        is_due = self.options.is_due(revision.number)
        if head.state is None and not is_due:
            return revision, None
        try:
            before = self.replayed(head.number) if head.state is None else head.state
            return revision, revision.after(before or {})
        except HistoryError:  # records were lost: what is stored is a new beginning
            state = (self.recordable() or {}) if is_due else None
            return revision._replace(lists={}), state

    def _laid_out(
        self, revision: StoredRevision, state: State | None, base: State | None
    ) -> list[dict[str, Any]]:
        """Return all that is inserted with a revision: its records first, version 0 at last."""
        options = self.options
        version = state if options.is_due(revision.number) else None
        base = base if options.version_every else None
        return documents_of_revision(revision, self.owner, version, base)

    def _insert(self, documents: list[dict[str, Any]]) -> bool:
        """Insert the documents of a revision; False if its number is taken."""
        try:
            self.history.insert_many(documents, session=self.session)
        except BulkWriteError as error:
            place = duplicate_in(error)
            if self.in_transaction or place is None:
                raise
            if place == 0:
                return False
            # Parts or a version are left of records that were deleted: these take their place.
            taken = [documents[0]["revision"], documents[-1]["revision"]]
            ours = {"$nin": [document["_id"] for document in documents]}
            leftovers = {**self.mine, "revision": {"$in": taken}, "_id": ours}
            self.history.delete_many(leftovers, session=self.session)
            self.history.insert_many(documents[place:], session=self.session)
        return True

    def _take_out_of_versions(self, change: Change, base: State, number: int) -> None:
        """
        Take a change out of versions before its revision, which was meant to be the first.

        Others have read the document between this write and its record, and took what they found
        for what was there before. Where patches of lists build on it, it stays.
        """
        for _ in range(ATTEMPTS):
            found = list(self._records({"revision": {"$gte": 0, "$lt": number}}))
            records = [document for document in found if document["position"] >= 0]
            revisions = [revision_of(whole) for whole in self.wholes(records, ASCENDING)]
            versions = [document for document in found if "state" in document]
            if all(self._is_without(version, change, base, revisions) for version in versions):
                return

    def _is_without(
        self, version: Any, change: Change, base: State, revisions: list[StoredRevision]
    ) -> bool:
        """Take a change out of one version; False if others have changed that meanwhile."""
        relative = [
            patch
            for revision in revisions
            for patch in revision.patches
            if is_relative(patch) or revision.number <= version["revision"]
        ]
        own = [path for path in paths_of(change.patches) if not concerns(path, paths_of(relative))]
        mended = without(version["state"], change.after, base, own)
        if mended is None:
            return True
        is_same = {"_id": version["_id"], "state": version["state"]}
        done = self.history.update_one(is_same, {"$set": {"state": mended}}, session=self.session)
        return done.modified_count > 0

    def _is_inserted(self, documents: list[dict[str, Any]]) -> bool:
        """Say whether all documents of a revision are there, although the insert failed."""
        ids = [document["_id"] for document in documents if "_id" in document]
        with suppress(PyMongoError):
            return self.history.count_documents({"_id": {"$in": ids}}) == len(documents)
        return False

    def _take_out(self, documents: list[dict[str, Any]]) -> None:
        """Remove what was inserted of a revision before it failed, so that all can be later."""
        with suppress(PyMongoError):
            ids = [document["_id"] for document in documents if "_id" in document]
            self.history.delete_many({"_id": {"$in": ids}}, session=self.session)


def report(error: HistoryNotRecordedError, options: HistoryOptions) -> None:
    """Raise an error, or log it with its records where the class is to go on."""
    if options.on_error == "raise":
        raise error
    LOG.error("%s", error, extra={"records": error.records})


def patched(change: Change, hiding: Hiding) -> Change:
    """Return a change as it is recorded, with its patches; a mere key that comes has one, too."""
    before, after = hiding.pair(change.before, change.after)
    patches = diff(before, after)
    is_gone = change.operation == DELETE  # maybe one of which all is hidden
    if not patches and (is_gone or (change.operation != UPDATE and not change.before)):
        patches = [Patch(REMOVE if change.operation == DELETE else ADD, (), [])]
    if not hiding.rules:
        return change._replace(patches=patches)
    before, after = hiding.blank(before), hiding.blank(after)
    patches = [replace(patch, data=hiding.blank(patch.data)) for patch in patches]
    return change._replace(before=before, after=after, patches=patches)


def numbered(change: Change, head: Head, known: int | None = None) -> StoredRevision:
    """
    Make a change the revision after *head*; patches are kept where they fit for sure.

    Args:
        change: What was written.
        head: The newest revision.
        known: The number of the newest one when the change was made; None if that is *head*.
    """
    is_alone = known is None or known == head.number
    wholes = {path for path in change.wholes if not is_alone or path[0] in change.stale}
    patches = change.patches
    if wholes:
        patches = collapse(patches, wholes, change.before, change.after)
    if any(map(is_relative, patches)):
        patches = settle(patches, change.before, change.after, head.list_hash)
    is_anew = change.operation in ANEW or change.operation == DELETE
    lists = remember({} if is_anew else head.lists, patches, change.after)
    stamp = max(change.stamp, head.stamp)
    number = head.number + 1
    return StoredRevision(number, stamp, change.operation, change.context, tuple(patches), lists)


def _head_after(revision: StoredRevision, state: State | None, head: Head) -> Head:
    number, lists, operation = revision.number, revision.lists, revision.operation
    return Head(number, revision.stamp, lists, state, operation, head.is_contended)


def duplicate_in(error: PyMongoError) -> int | None:
    """Return the place of the document whose key is taken, None if it failed otherwise."""
    if not isinstance(error, BulkWriteError):
        return None
    first = error.details["writeErrors"][0] if error.details.get("writeErrors") else {}
    return first["index"] if first.get("code") == DUPLICATE_KEY else None
