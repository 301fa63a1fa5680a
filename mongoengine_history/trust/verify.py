"""Is a history complete and unaltered, and does it lead to what is stored?"""

from __future__ import annotations

import time
from functools import cached_property
from itertools import chain, groupby
from typing import TYPE_CHECKING, Any, Final

from mongoengine import Document
from mongoengine.connection import DEFAULT_CONNECTION_NAME

from mongoengine_history.documents.fieldrules import concrete
from mongoengine_history.documents.options import is_tracked
from mongoengine_history.documents.snapshot import check_model, check_progress
from mongoengine_history.errors import HistoryError, OptionsError
from mongoengine_history.record.chain import earlier_keys
from mongoengine_history.record.comparison import recordable
from mongoengine_history.record.connected import connected
from mongoengine_history.record.histories import Histories
from mongoengine_history.record.indexes import BY_REVISION, behind
from mongoengine_history.record.overview import SMALL, batches, keys_behind, numbers_at, recorded
from mongoengine_history.record.place import Place, place_of_events
from mongoengine_history.record.revisions import ONE_BY_ONE, Revisions
from mongoengine_history.record.states import state_at
from mongoengine_history.state.context import plain
from mongoengine_history.state.moments import SKEW, stamp_of
from mongoengine_history.state.overwritten import Overwritten
from mongoengine_history.state.values import WIRE, identifier
from mongoengine_history.trust.changed_since import Since
from mongoengine_history.trust.checkpoint import opened
from mongoengine_history.trust.finding import DRIFT, Finding
from mongoengine_history.trust.inspection import Inspection, Rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set

    from mongoengine_history.state.values import State
    from mongoengine_history.trust.checkpoint import Checkpoint

PAUSES: Final = (0.0, 0.1, 0.3, 0.6)
"""Seconds before each further look at histories in which something seems to be wrong."""

ALL_NUMBERS: Final = {"revision": {"$gte": 0}}


def verify(
    target: Document | type[Document] | None = None,
    *,
    since: Checkpoint | str | None = None,
    keys: Sequence[bytes] = (),
    resume: object = None,
    progress: Callable[[Verification], object] | None = None,
) -> Verification:
    """
    Check a history: complete, unaltered, and leading to what is stored. Reads only.

    Its revisions are numbered without gaps and have all their records. Each checksum is that of
    the revision and the one before. Replayed, they lead to each full state that is kept and to the
    stored document. Nothing that the class hides stands in it. While others write, what seems
    wrong is looked at again until it is at rest.

    Args:
        target: A document, a class with all documents of its collection, those that are gone
            included; None for all classes that are tracked.
        since: A checkpoint, or its text: only what was recorded since, or within ten minutes
            before, is gone through, and each history is compared with where it stood then. For a
            class or all; whether it is signed, `Checkpoint.signed_by` says.
        keys: Earlier values of the class's ``checksum_key``.
        resume: What `Verification.resume` was: goes on behind that document. For a class only.
        progress: Is called after every 500 documents with the report.

    Returns:
        A report. Iterating it does the work, once, in constant memory; `Verification.ok` and
        `Verification.findings` do it to the end.

    Raises:
        OptionsError: *target* is no class or saved document, or another argument cannot be used.
    """
    check_progress(progress, "the report")
    if since is not None and (isinstance(target, Document) or resume is not None):
        raise OptionsError("since", since, "it is for a class as a whole, or for all")
    if resume is not None and not isinstance(target, type):
        raise OptionsError("resume", resume, "only the sweep through one class can be resumed")
    plain("resume", resume, WIRE)
    if isinstance(target, type):
        check_model(target)
    elif not isinstance(target, Document | None):
        raise OptionsError("target", target, "it must be a document, a class of them, or None")
    earlier = earlier_keys(keys)
    if isinstance(target, Document):
        return Verification(_one(Revisions.named(target), earlier), progress)
    unchecked: list[str] = []
    places = [Place(target)] if target is not None else _places(unchecked)
    if since is None:
        return Verification(_all(places, earlier, resume), progress, unchecked)
    models = [target] if target is not None else []
    before = Since(opened(since), Histories(models))
    found = _since(before, places, earlier, unchecked)
    return Verification(found, progress, unchecked, before.findings())


class Verification:
    """What `verify` finds, while it is iterated."""

    def __init__(
        self,
        batches: Iterator[list[Inspection]],
        progress: Callable[[Verification], object] | None = None,
        unchecked: list[str] | None = None,
        first: Iterable[Finding] = (),
    ) -> None:
        self._findings, self._progress = chain(first, self._gone_through(batches)), progress
        #: The classes that could not be checked: their connection was not registered, or their
        #: histories do not lie where those of the checkpoint do.
        self.unchecked: list[str] = [] if unchecked is None else unchecked
        #: How many histories were gone through so far …
        self.documents = 0
        #: … and how many revisions.
        self.revisions = 0
        #: Where `verify` can go on, once it was interrupted.
        self.resume: object = None

    def __iter__(self) -> Iterator[Finding]:
        """Find what is wrong, and what is worth knowing; each finding comes once."""
        return self._findings

    def _gone_through(self, batches: Iterator[list[Inspection]]) -> Iterator[Finding]:
        for batch in batches:
            for inspection in batch:
                yield from inspection.findings
                self.documents += 1
                self.revisions += inspection.count
            self.resume = batch[-1].key if batch else self.resume
            if self._progress:
                self._progress(self)

    @cached_property
    def all(self) -> tuple[Finding, ...]:
        """All findings that were not iterated before, faults or not."""
        return tuple(self)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The faults."""
        return tuple(it for it in self.all if it.is_fault)

    @property
    def notes(self) -> tuple[Finding, ...]:
        """What is no fault but worth knowing."""
        return tuple(it for it in self.all if not it.is_fault)

    @property
    def ok(self) -> bool:
        """Say whether all was checked, and there is no fault."""
        return not self.findings and not self.unchecked

    def __repr__(self) -> str:
        return f"<Verification: {self.documents} documents, {self.revisions} revisions>"


def _one(revisions: Revisions, keys: tuple[bytes, ...]) -> Iterator[list[Inspection]]:
    place, rules = revisions.place, _rules(revisions.place, keys)
    inspection = _inspection(place, rules, revisions.key)
    yield _at_rest(place, rules, [inspection.go_through(revisions.records(ALL_NUMBERS))])


def _all(
    places: Iterable[Place], keys: tuple[bytes, ...], resume: object
) -> Iterator[list[Inspection]]:
    for place in places:
        rules = _rules(place, keys)
        batch: list[Inspection] = []
        for key, documents in _histories(place, resume):
            batch.append(_inspection(place, rules, key).go_through(documents))
            if len(batch) == SMALL:
                yield _at_rest(place, rules, batch)
                batch = []
        yield _at_rest(place, rules, batch)


def _since(
    before: Since, places: Iterable[Place], keys: tuple[bytes, ...], unchecked: list[str]
) -> Iterator[list[Inspection]]:
    """Go through what was recorded since a checkpoint, whatever moment it bears."""
    stamp = stamp_of(before.known.moment) - SKEW
    early = list(before.backdated(stamp))
    for place in places:
        if not before.histories.lie_at(place):
            unchecked.append(place.model.__name__)
            continue
        rules, own = _rules(place, keys), [it for it in early if it.document_type in place.names]
        begun = [_begun(place, rules, it.document_id, it.revision) for it in own]
        yield _at_rest(place, rules, begun)
        yield from _later(place, rules, stamp, {identifier(it.document_id) for it in own})


def _later(
    place: Place, rules: Rules, stamp: int, known: Set[object]
) -> Iterator[list[Inspection]]:
    """Go through what was recorded after a moment, save of documents that are known."""
    changed = recorded(place, {"stamp": {"$gt": stamp}})
    for some in batches((key for key in changed if identifier(key) not in known), SMALL):
        numbers = numbers_at(place, some, stamp)
        begun = [_begun(place, rules, key, numbers.get(identifier(key), 0)) for key in some]
        yield _at_rest(place, rules, begun)


def _begun(place: Place, rules: Rules, key: Any, number: int) -> Inspection:
    """Go through what was recorded of a document behind a revision."""
    revisions, inspection = Revisions(place, key), _inspection(place, rules, key)
    try:
        state = state_at(revisions, number) if number else None
    except HistoryError:  # of what was before, which is gone through as well then
        number = 0
    if not number:
        return inspection.go_through(revisions.records(ALL_NUMBERS))
    found = revisions.records({"revision": number, "position": 0})
    inspection.go_on(number, next((it.get("checksum", b"") for it in found), b""), state)
    return inspection.go_through(revisions.records({"revision": {"$gt": number}}))


def _places(unchecked: list[str]) -> Iterator[Place]:
    """Yield where to look: of each collection once, by the class with which it begins."""
    seen = set()
    for known in concrete(Document):
        if is_tracked(known):
            if connected(known) is None:
                unchecked.append(known.__name__)
                continue
            place = Place(known)
            where = id(place.client), place.database, place.document_type
            if where not in seen:
                seen.add(where)
                yield place
    database = connected(DEFAULT_CONNECTION_NAME)
    if database is not None:
        yield place_of_events(database)


def _rules(place: Place, keys: tuple[bytes, ...]) -> Rules:
    own = place.options.checksum_key
    return Rules(place.hiding, (*([own] if own else []), *keys, None), bool(own))


def _inspection(place: Place, rules: Rules, key: Any, *, telling: bool = False) -> Inspection:
    overwritten = Overwritten() if telling else None
    return Inspection((place.document_type, key), rules, overwritten)


def _histories(place: Place, resume: object) -> Iterator[tuple[Any, Iterable[Mapping[str, Any]]]]:
    """Read all documents of all histories, in the order of the index of revisions."""
    if len(place.names) > 1:  # what was recorded under former names comes first
        for key in keys_behind(place, resume):
            yield key, Revisions(place, key).records(ALL_NUMBERS)
        return
    later = {} if resume is None else behind("document_id", resume)
    query = {"document_type": place.document_type, **ALL_NUMBERS, **later}
    found = place.find(BY_REVISION, query, batch_size=ONE_BY_ONE)
    groups = groupby(found, lambda it: identifier(it.get("document_id")))
    yield from (_with_key(own) for _, own in groups)


def _with_key(own: Iterator[Mapping[str, Any]]) -> tuple[Any, Iterable[Mapping[str, Any]]]:
    first = next(own)
    return first.get("document_id"), chain([first], own)


def _at_rest(place: Place, rules: Rules, batch: list[Inspection]) -> list[Inspection]:
    """Compare a batch with what is stored, and look again where something seems wrong."""
    stored = _stored(place, batch)
    for it in batch:
        it.compare(stored.get(identifier(it.key)))
    for pause in PAUSES:
        doubtful = [it for it in batch if not it.is_right]
        if not doubtful:
            break
        time.sleep(pause)
        again = {id(it): _look(place, rules, it) for it in doubtful}
        batch = [again.get(id(it), it) for it in batch]
    return batch


def _stored(place: Place, batch: list[Inspection]) -> dict[object, State]:
    if not place.document_type:  # of no document: there is nothing but its events
        return {identifier(it.key): {} for it in batch}
    return recordable(place, [it.key for it in batch]) if batch else {}


def _look(place: Place, rules: Rules, before: Inspection) -> Inspection:
    """Look at a history again; only what is at rest can differ from what is stored."""
    revisions = Revisions(place, before.key)
    now = _inspection(place, rules, before.key, telling=True)
    now.go_through(revisions.records(ALL_NUMBERS))
    now.compare(_stored(place, [now]).get(identifier(now.key)))
    if not now.is_right and not now.leads_there and now.number == before.number:
        now.find(DRIFT, "the stored document is another one; reconcile it")
    return now
