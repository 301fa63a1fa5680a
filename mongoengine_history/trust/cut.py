"""Where histories begin after retention: found for a batch of documents, and written."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from pymongo import ASCENDING

from mongoengine_history.errors import HistoryError
from mongoengine_history.record.complete import RECORD, complete, gone
from mongoengine_history.record.cutting import delete_before, write_marks, write_versions
from mongoengine_history.record.head import NO_HEAD
from mongoengine_history.record.indexes import BY_REVISION
from mongoengine_history.record.layout import documents_of_version, revision_of
from mongoengine_history.record.overview import firsts, heads, near, numbers_at, state_near
from mongoengine_history.record.revisions import ONE_BY_ONE, Revisions
from mongoengine_history.record.states import state_at
from mongoengine_history.state.context import Context
from mongoengine_history.state.problem import is_number
from mongoengine_history.state.revision import DELETE, StoredRevision
from mongoengine_history.state.values import encode, identifier
from mongoengine_history.trust.finding import MISSING, Finding
from mongoengine_history.trust.hold import held
from mongoengine_history.trust.remainders import LEFT, Remainders

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mongoengine_history.record.place import Place

    Firsts = dict[tuple[object, int], Mapping[str, Any]]

MOST_BYTES: Final = 16 * 1024 * 1024
"""Bytes of full states to write together."""

OF_FIRST: Final = ("document_id", "document_type", "revision", "stamp", "checksum", "identity")


@dataclass(frozen=True)
class Cut:
    """The revision with which one history begins from now on."""

    key: Any
    number: int
    #: How many revisions go.
    revisions: int
    #: Whether it goes, too: the document was deleted by it.
    is_end: bool = False


class Batch:
    """Some documents of a class, and where their histories are cut."""

    def __init__(
        self,
        place: Place,
        keys: Sequence[Any],
        keep: int | None,
        before: int | None,
        needed: int | None,
    ) -> None:
        self._place, self.keys = place, keys
        self._held_keys = held(place, keys)
        self.findings: list[Finding] = []
        self._bounds = [numbers_at(place, [*keys], it - 1) for it in (before, needed) if it]
        self._bounds += [{}] if needed == 0 else []
        self._keep = keep
        self.held: list[Any] = []
        self.cuts = list(self._found())

    def _found(self) -> Iterator[Cut]:
        known, lowest = heads(self._place, [*self.keys]), self._lowest()
        for key in self.keys:
            name = identifier(key)
            head, first = known.get(name, NO_HEAD), lowest.get(name, 0)
            number = self._number(key, head.number)
            is_gone = number == head.number > 0 and head.operation == DELETE
            is_end = self._keep is None and is_gone
            if not is_number(first) or number < 1 or (first >= number and not is_end):
                continue
            if name in self._held_keys:
                self.held.append(key)
                continue
            yield Cut(key, number, number - max(first, 1) + is_end, is_end)

    def _number(self, key: Any, newest: int) -> int:
        """Return the lowest of the numbers with which the history may begin."""
        name = identifier(key)
        numbers = [it.get(name, 0) for it in self._bounds]
        numbers += [] if self._keep is None else [newest - self._keep + 1]
        return min(it if is_number(it) else 0 for it in [*numbers, newest])

    def _lowest(self) -> dict[object, Any]:
        """Read the lowest number of each history, be it that of a version."""
        lowest: dict[object, Any] = {}
        for name in self._place.names:
            own = {**self._place.of(self.keys), "document_type": name, "revision": {"$gte": 0}}
            pipeline = firsts(own, ["revision"], dict.fromkeys(BY_REVISION, ASCENDING))
            for it in self._place.aggregate(pipeline):
                key = identifier(it["_id"])
                lowest[key] = min(lowest.get(key, it["revision"]), it["revision"])
        return lowest

    def write(self, context: Context) -> None:
        """Keep a full state where each begins, mark it, and let go what was before."""
        if not self.cuts:
            return
        firsts = self._firsts()
        self._keep_versions(firsts)
        self._mark(firsts, context)
        delete_before(self._place, [(it.key, it.number + it.is_end) for it in self.cuts])

    def _firsts(self) -> Firsts:
        """Read the first records of the revisions at the cuts, and of those before."""
        either = [
            {**self._place.owned(cut.key), "revision": number, "position": 0}
            for cut in self.cuts
            for number in (cut.number - 1, cut.number)
        ]
        fields = dict.fromkeys((*OF_FIRST, "pruned"), 1)
        found = self._place.find(BY_REVISION, {"$or": either}, projection=fields)
        return {(identifier(it["document_id"]), it["revision"]): it for it in found}

    def _keep_versions(self, firsts: Firsts) -> None:
        cuts = {identifier(it.key): it for it in self.cuts}
        keys = {it: cut.key for it, cut in cuts.items()}
        versions, size, self.cuts = list[dict[str, Any]](), 0, []
        for name, found in near(self._place, keys, {it: cuts[it].number for it in cuts}):
            cut = cuts[name]
            try:
                version = self._version(cut, found, firsts.get((identifier(cut.key), cut.number)))
            except HistoryError as error:
                self._tell(cut, error)
                continue
            self.cuts.append(cut)
            versions, size = versions + version, size + len(encode(version))
            if size > MOST_BYTES:
                write_versions(self._place, versions)
                versions, size = [], 0
        write_versions(self._place, versions)

    def _tell(self, cut: Cut, error: HistoryError) -> None:
        what = f"its state cannot be rebuilt ({type(error).__name__}), so it is left whole"
        name = self._place.document_type
        self.findings.append(Finding(name, cut.key, cut.number, MISSING, what))

    def _version(
        self, cut: Cut, found: Sequence[Mapping[str, Any]], first: Mapping[str, Any] | None
    ) -> list[dict[str, Any]]:
        """Return the documents of the full state at a cut; none where there is no document."""
        revisions = Revisions(self._place, cut.key)
        if first is None:
            raise gone(revisions, cut.number)
        state = None if cut.is_end else state_near(revisions, cut.number, found, state_at)
        ends = [it for it in found if (it["revision"], it["position"]) == (cut.number, -1)]
        if state is None or ends:
            return []
        context = Context(first.get("identity"))
        revision = StoredRevision(cut.number, first["stamp"], "", context, ())
        owner = {name: first[name] for name in ("document_type", "document_id")}
        return documents_of_version(state, revision, owner)

    def _mark(self, firsts: Firsts, context: Context) -> None:
        said = {"at": datetime.now(timezone.utc), "by": context.identity, "reason": context.reason}
        marks, cuts, erased, self.cuts = [], self.cuts, self._erased(), []
        for cut in cuts:
            first = firsts[identifier(cut.key), cut.number]
            last = firsts.get((identifier(cut.key), cut.number - 1), {})
            mark = {"before": last.get("checksum", b""), **said, "revisions": cut.number - 1}
            try:
                left = {LEFT: self._left(cut)} if identifier(cut.key) in erased else {}
            except HistoryError as error:
                self._tell(cut, error)
                continue
            self.cuts.append(cut)
            if "pruned" not in first:
                marks.append((first["_id"], {**mark, **left}))
        write_marks(self._place, marks)

    def _erased(self) -> set[object]:
        """Name those of which values were erased in what goes."""
        either = [
            {**self._place.owned(it.key), "revision": {"$gte": 1, "$lt": it.number}, "position": 0}
            for it in self.cuts
        ]
        there = {"$exists": True}
        query = {
            "$and": [{"$or": either}, {"$or": [{"digests": there}, {f"pruned.{LEFT}": there}]}]
        }
        found = (
            self._place.find(BY_REVISION, query, projection={"document_id": 1}) if either else ()
        )
        return {identifier(it["document_id"]) for it in found}

    def _left(self, cut: Cut) -> bytes:
        """Return the digest over what is left of erased values in what goes."""
        revisions, remainders = Revisions(self._place, cut.key), Remainders()
        query = {"revision": {"$gte": 1, "$lt": cut.number}, "position": RECORD}
        for records in complete(revisions, revisions.records(query, batch_size=ONE_BY_ONE), 1):
            with revisions.reading(records):
                remainders.add(revision_of(records), records[0])
        return remainders.digest
