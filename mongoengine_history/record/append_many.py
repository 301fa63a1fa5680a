"""Many documents of one collection: what was stored of them, and revisions of what became of it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from itertools import chain, groupby
from typing import TYPE_CHECKING, Any

import bson
from pymongo.errors import ConnectionFailure, OperationFailure, PyMongoError

from mongoengine_history.errors import HistoryNotRecordedError
from mongoengine_history.record.append import append
from mongoengine_history.record.doubt import is_doubtful, remember, settle_all
from mongoengine_history.record.entries import Entry, Found, entries_of
from mongoengine_history.record.head import NO_HEAD
from mongoengine_history.record.inserts import duplicate_in, is_unmet, missing, take_out
from mongoengine_history.record.not_recorded import not_recorded
from mongoengine_history.record.overview import MOST, heads, states_of
from mongoengine_history.record.place import projection
from mongoengine_history.record.reaction import react
from mongoengine_history.record.revisions import Revisions
from mongoengine_history.record.signals import revision_recorded, tell_recorded
from mongoengine_history.state.revision import CREATE, DELETE, UPDATE
from mongoengine_history.state.updates import is_completed, only
from mongoengine_history.state.values import State, identifier, same

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set

    from mongoengine_history.record.place import Place
    from mongoengine_history.state.context import Context


class Bulk:
    """Reads and records documents of one place, all for one write."""

    def __init__(self, place: Place, context: Context) -> None:
        self.place, self._context = place, context
        #: What could not be recorded since the last `react`.
        self.lost: list[HistoryNotRecordedError] = []
        place.ensure_indexes()

    def batches(
        self, query: Mapping[str, Any], roots: set[str] | None = None, **options: Any
    ) -> Iterator[list[Found]]:
        """
        Read all documents that a query matches, in the order of keys, so that none comes twice.

        The rest than the *roots*, top-level names that will be written, is not read of documents of
        which the history has no use for it; None for all.
        """
        options = {"sort": [("_id", 1)], "allow_disk_use": True, **options}
        for batch in self._find(query, projection=projection(roots), **options):
            settle_all(self.place, [found.key for found in batch])
            known = self._rebuilt(self._with_heads(batch))
            yield known if roots is None else self._completed(known)

    def _completed(self, batch: list[Found]) -> list[Found]:
        """Read all of the documents of which a version will be kept as they were stored."""
        every = self.place.options.version_every
        partial = [it for it in batch if every and self._is_due(it) and it.head.state is None]
        if not partial:
            return batch
        complete = self.stored(partial)
        return [it._replace(state=complete.get(identifier(it.key), it.state)) for it in batch]

    def _is_due(self, found: Found) -> bool:
        number = found.head.number
        return not number or self.place.options.is_due(number + 1)

    def _rebuilt(self, batch: list[Found]) -> list[Found]:
        """Rebuild the states of which a version will be kept: what is stored may be drift."""
        due = [it for it in batch if it.head.number and self._is_due(it)]
        if not due:
            return batch
        states = states_of(self.place, [(it.key, it.head.number) for it in due])
        known = ((it, states.get(identifier(it.key))) for it in batch)
        return [it._replace(head=replace(it.head, state=state)) for it, state in known]

    def _find(self, query: Mapping[str, Any], **options: Any) -> Iterator[list[Found]]:
        """Read batches as the server sends them, which bounds their bytes, too: 16 MB."""
        asked = self.place.documents.with_options(codec_options=self.place.codec)
        options = {"batch_size": MOST, **options}
        with self.place.dated() as session:
            for raw in asked.find_raw_batches(query, session=session, **options):
                moment = session.operation_time
                found = [
                    Found.of(document, moment) for document in bson.decode_all(raw, self.place.wire)
                ]
                if found:
                    yield found

    def updated(
        self,
        batch: Sequence[Found],
        roots: set[str] | None,
        count: int | None = None,
        operation: str = UPDATE,
    ) -> None:
        """
        Record what an update has done to a batch of documents, of which it has changed a *count*.

        It may have set the *roots*, None for any; what others wrote meanwhile to other names is
        theirs.
        """
        stored = self.stored(batch, roots)
        changes = (
            (found, only(found.state, roots), stored[identifier(found.key)])
            for found in batch
            if identifier(found.key) in stored
        )
        if count is None or count == len(batch):
            self._append(operation, changes)
        else:
            changed = [change for change in changes if not same(change[1], change[2])]
            self._append(operation, self._own(changed, count))

    def deleted(self, batch: Sequence[Found], count: int | None = None) -> None:
        """Record that documents of a batch are gone, *count* of them if that is known."""
        left = {} if count == len(batch) else self.stored(batch)
        nothing: State = {}
        gone = [(it, it.state, nothing) for it in batch if identifier(it.key) not in left]
        self._append(DELETE, gone if count is None else self._own(gone, count))

    def _own(
        self, changes: list[tuple[Found, State, State]], count: int
    ) -> list[tuple[Found, State, State]]:
        """Leave out what was done by others in between: of these there are revisions already."""
        if len(changes) <= count:
            return changes
        then = [found for found, *_ in changes]
        pairs = zip(then, self._with_heads(then), strict=True)
        others = [identifier(now.key) for was, now in pairs if now.head.number > was.head.number]
        theirs = {*others[: len(changes) - count]}
        return [change for change in changes if identifier(change[0].key) not in theirs]

    def inserted(
        self,
        documents: Sequence[Found],
        fresh: Set[object] = frozenset(),
        operation: str = CREATE,
    ) -> None:
        """Record that documents are there now; *fresh* keys were made just now, by `identifier`."""
        for start in range(0, len(documents), MOST):
            made = documents[start : start + MOST]
            try:
                made = self.opened(made, fresh)
            except PyMongoError as error:
                if self.place.in_transaction:
                    raise
                self._lose(self._created(made, operation), error)
            else:
                self._insert([*self._created(made, operation)])

    def opened(self, made: Sequence[Found], fresh: Set[object] = frozenset()) -> list[Found]:
        """Read the newest revisions of documents that are there now, but of *fresh* ones."""
        return self._with_heads(self._completed_by_server(made), fresh)

    def several(
        self, changes: Iterable[tuple[str, Found, State, State]], counts: Mapping[str, int | None]
    ) -> None:
        """
        Record changes of several operations, each with the document as it was found, in order.

        The *counts* say how many of an operation are those of this write, if that is known.
        """
        changes, own = list(changes), set[int]()
        for operation in {it[0] for it in changes}:
            some = [it[1:] for it in changes if it[0] == operation]
            count = counts.get(operation)
            if count is not None and len(some) > count:
                some = self._own([it for it in some if not same(it[1], it[2])], count)
            own |= {id(it[0]) for it in some}
        mine = groupby((it for it in changes if id(it[1]) in own), key=lambda it: it[0])
        entries = [
            entry
            for operation, some in mine
            for entry in entries_of(self.place, operation, self._context, (it[1:] for it in some))
        ]
        self._store(entries)

    def _completed_by_server(self, made: Sequence[Found]) -> list[Found]:
        """Read the documents into which the server has put something itself."""
        open_ones = [found for found in made if is_completed(found.state)]
        if not open_ones:
            return list(made)
        stored = self.stored(open_ones)
        return [it._replace(state=stored.get(identifier(it.key), it.state)) for it in made]

    def _created(self, made: Iterable[Found], operation: str) -> Iterator[Entry]:
        nothing: State = {}
        changes = ((found, nothing, found.state) for found in made)
        return entries_of(self.place, operation, self._context, changes)

    def stored(self, batch: Sequence[Found], roots: set[str] | None = None) -> dict[object, State]:
        """Read documents of a batch as they are stored now, or top-level names of them."""
        query = {"_id": {"$in": [found.key for found in batch]}}
        options = {"projection": projection(roots), "batch_size": MOST + 1}  # in one round trip
        found = chain.from_iterable(self._find(query, **options))
        return {identifier(it.key): only(it.state, roots) for it in found}

    def _append(self, operation: str, changes: Iterable[tuple[Found, State, State]]) -> None:
        self._store(list(entries_of(self.place, operation, self._context, changes)))

    def _store(self, entries: list[Entry]) -> None:
        self._insert(self._without_early(entries))

    def _without_early(self, entries: list[Entry]) -> list[Entry]:
        """Take away versions 0 that were kept early: what is stored now takes their place."""
        early = [it.found.key for it in entries if it.base is not None and it.found.head.stamp]
        if not early or self.place.clear({**self.place.of(early), "revision": 0}):
            return entries
        # Who may not take them away leaves them.
        both = ((it, [each for each in it.documents if each["revision"]]) for it in entries)
        return [it._replace(documents=left) for it, left in both]

    def _with_heads(self, batch: Sequence[Found], fresh: Set[object] = frozenset()) -> list[Found]:
        """Read the newest revisions of documents, but of those that are *fresh*."""
        keys = [it.key for it in batch if not fresh or identifier(it.key) not in fresh]
        if not keys:
            return list(batch)
        newest = heads(self.place, keys)
        return [
            Found(it.key, it.state, newest.get(identifier(it.key), NO_HEAD), it.moment)
            for it in batch
        ]

    def _insert(self, entries: list[Entry]) -> None:
        """Insert revisions together; one whose number is taken by now is numbered anew, alone."""
        while entries:
            documents = [document for entry in entries for document in entry.documents]
            try:
                self.place.history.insert_many(documents, session=self.place.session)
                self._tell(entries)
                break
            except PyMongoError as error:
                if self.place.in_transaction:
                    raise
                index = duplicate_in(error)
                if index is None:
                    self._lose(entries, error)
                    break
                taken, behind = _split(entries, index)
                self._tell(entries[: -1 - len(behind)])
                entries = behind
                self._append_alone(taken)

    def _tell(self, entries: Iterable[Entry]) -> None:
        """Tell of what is recorded, if anybody listens."""
        for entry in entries if revision_recorded.receivers else ():
            tell_recorded(self.place, entry.documents)

    def _append_alone(self, entry: Entry) -> None:
        revisions = Revisions(self.place, entry.found.key)
        try:
            take_out(self.place, entry.documents)
            append(revisions, entry.change, entry.found.head, entry.base)
        except HistoryNotRecordedError as error:
            self.lost.append(error)
        except PyMongoError as error:
            self._lose([entry], error)

    def _lose(self, entries: Iterable[Entry], why: PyMongoError) -> None:
        """Keep what could not be recorded, for `react`."""
        entries = list(entries)
        sent = [document for entry in entries for document in entry.documents]
        gone = {id(it) for it in (sent if is_unmet(why) else missing(self.place, sent))}
        torn = [it.documents for it in entries if any(id(each) in gone for each in it.documents)]
        lost = [document for documents in torn for document in documents]
        keys = {identifier(it["document_id"]): it["document_id"] for it in lost}
        if keys:
            self.lost.append(not_recorded(self.place, [*keys.values()], lost, why))

    def react(self, because_of: BaseException | None = None) -> None:
        """
        Tell what could not be recorded since the last time; log it where another error is raised.

        Raises:
            HistoryNotRecordedError: some revisions could not be stored.
        """
        lost, self.lost = self.lost, []
        if lost:
            keys = [key for error in lost for key in error.document_ids]
            records = [record for error in lost for record in error.records]
            unrecorded = not_recorded(self.place, keys, records, lost[0].__cause__)
            react(unrecorded, self.place, because_of)

    @contextmanager
    def recording(self, written: Mapping[str, Sequence[Found]]) -> Iterator[None]:
        """Doubt what was *written*, by operations, where the block cannot read it to record it."""
        try:
            yield
        except PyMongoError as error:
            if self.place.in_transaction:
                raise
            self.doubt(written)
            keys = [found.key for found in chain.from_iterable(written.values())]
            self.lost.append(not_recorded(self.place, keys, [], error))
        except BaseException:  # a signal, or a time limit
            self.doubt(written)
            raise

    def settle(
        self,
        written: Mapping[str, Sequence[Found]],
        error: BaseException,
        record: Callable[[], None],
    ) -> None:
        """Record what a write did that gave an error, or remember that it may have done it."""
        if self.place.in_transaction and isinstance(error, OperationFailure):
            return  # which is over by that, with all that was done
        is_open = is_doubtful(error)
        if not isinstance(error, ConnectionFailure):
            try:
                record()
                is_open = is_open and not isinstance(error, PyMongoError)
            except PyMongoError:
                is_open = True
        if is_open:
            self.doubt(written)
        self.react(because_of=error)

    def doubt(self, written: Mapping[str, Sequence[Found]]) -> None:
        """Remember that writes may have been done to documents, by operations."""
        for operation, batch in written.items():
            for found in batch:
                made = found.state if operation == CREATE else None
                remember(Revisions(self.place, found.key), operation, self._context, made)


def _split(entries: list[Entry], index: int) -> tuple[Entry, list[Entry]]:
    """Find the entry whose document stands at *index* in all of them, and those behind it."""
    for number, entry in enumerate(entries):
        if index < len(entry.documents):
            return entry, entries[number + 1 :]
        index -= len(entry.documents)
    raise IndexError(index)
