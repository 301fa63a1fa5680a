"""What became of histories since a checkpoint was made of them."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from mongoengine_history.record.histories import Histories, Tip, names_like
from mongoengine_history.record.overview import SMALL, batches
from mongoengine_history.state.values import identifier
from mongoengine_history.trust.checkpoint import BESIDE, Checkpoint, kept_leaves, opened, tip_of
from mongoengine_history.trust.finding import ALTERED, MISSING, PRUNED, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mongoengine import Document

    from mongoengine_history.record.histories import Span
    from mongoengine_history.trust.leaves import Page


def changed_since(checkpoint: Checkpoint | str, *models: type[Document]) -> Iterator[Finding]:
    """
    Find which histories are not any more what they were at a checkpoint. Reads only.

    Revisions that were recorded since change nothing. Whether a history is intact up to that
    revision, and after it, `verify` says.

    Args:
        checkpoint: It, or its text; whether it is signed, `Checkpoint.signed_by` says.
        models: As for `checkpoint`. Only their histories are compared.

    Returns:
        What is found, in batches, while it is iterated. Each names a document and its kind:
        ``missing``, ``altered``; or ``pruned``, which is no fault. Where leaves themselves are
        gone or altered, it names the history's collection and no document.

    Raises:
        OptionsError: an argument cannot be used.
    """
    return Since(opened(checkpoint), Histories(models)).findings()


class Since:
    """Histories as they stood at a checkpoint, as far as its leaves are kept."""

    def __init__(self, known: Checkpoint, histories: Histories) -> None:
        self.known, self.histories = known, histories

    def tips(self) -> Iterator[Tip]:
        """Read where they stood; what of the leaves cannot be trusted is left out."""
        return (tip for page in self._pages() for tips in self._alike(page) for tip in tips)

    def _pages(self) -> Iterator[Page]:
        return kept_leaves(self.known, self.histories.beside(BESIDE)).pages(self.known.root)

    def _alike(self, page: Page) -> Iterator[list[Tip]]:
        """Yield those of a page in batches, each of one collection."""
        tips = filter(self.histories.holds, map(tip_of, page.leaves or ()))
        for _, own in groupby(tips, lambda it: it.document_type):
            yield from batches(own, SMALL)

    def findings(self) -> Iterator[Finding]:
        """Compare them with what they are now; see `changed_since`."""
        count = 0
        for page in self._pages():
            count += len(page.leaves or ())
            for tips in self._alike(page):
                yield from self._compare(tips)
        if count != self.known.size:
            gone = f"{self.known.size - count} of the {self.known.size} leaves of the checkpoint"
            what = f"{gone} are gone, or are not what they were"
            yield Finding(self.histories.address, None, 0, MISSING, what)

    def _compare(self, tips: Sequence[Tip]) -> Iterator[Finding]:
        names = self._names(tips)
        wanted = [(it.document_id, number) for it in tips for number in {it.revision, 1}]
        found = self.histories.checksums(names, wanted)
        doubtful = [it for it in tips if not _is_there(found, it)]
        spans = self.histories.spans(names, [it.document_id for it in doubtful])
        for tip in doubtful:
            key = identifier(tip.document_id)
            checksums, has_first = found.get((key, tip.revision), ()), (key, 1) in found
            for kind in _told(tip, checksums, has_first=has_first, span=spans.get(key)):
                yield Finding(tip.document_type, tip.document_id, *kind)

    def _names(self, tips: Sequence[Tip]) -> tuple[str, ...]:
        return names_like(tips[0].document_type)

    def backdated(self, stamp: int) -> Iterator[Tip]:
        """Find those that went on after the checkpoint, though at a moment not after *stamp*."""
        for page in self._pages():
            for tips in self._alike(page):
                following = [(it.document_id, it.revision + 1) for it in tips]
                found = self.histories.early(self._names(tips), following, stamp)
                yield from (it for it in tips if identifier(it.document_id) in found)


def _is_there(found: Any, tip: Tip) -> bool:
    key = identifier(tip.document_id)
    return (key, 1) in found and tip.checksum in found.get((key, tip.revision), ())


def _told(
    tip: Tip, checksums: Sequence[bytes], *, has_first: bool, span: Span | None
) -> Iterator[tuple[int, str, str]]:
    """Say what became of a history: the revision, the kind, and what it is in words."""
    number = tip.revision
    if span is None:
        yield number, MISSING, f"the whole history is gone: it had revision {number}"
        return
    if checksums and tip.checksum not in checksums:
        yield number, ALTERED, "it is another revision than at the checkpoint"
    if span.is_pruned and span.first > number:
        yield number, PRUNED, f"it was pruned: the history begins with {span.first}"
        return
    if not span.is_pruned and not has_first:
        gone = f"revisions 1 to {span.first - 1}" if span.first > 2 else "it"
        yield 1, MISSING, f"the beginning is gone: {gone}"
    if not checksums and span.first <= number:
        ends = f"the end is gone: it ends with revision {span.last}"
        yield number, MISSING, ends if span.last < number else "it is gone"
