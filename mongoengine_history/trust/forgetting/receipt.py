"""What was forgotten: the answer to those who ask for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

LONGEST_NUMBERS: Final = 10_000
"""Letters that the numbers of revisions take in a receipt."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What `redact`, `erase` or `anonymise` did; names no value."""

    #: What was to be forgotten, such as ``path email``.
    what: str
    #: Name of the collection of the documents; None where there were several.
    document_type: str | None
    #: The primary key of the document; None where it may be several.
    document_id: Any
    #: In how many histories something was erased.
    documents: int = 0
    #: How many values were erased, or a part of them; in full states that are kept, too.
    values: int = 0
    #: In which revisions, as ``1-3, 5``; of one document only.
    revisions: str = ""
    #: The number of the revision that says so; None if nothing had to be erased, or of several.
    revision: int | None = None
    #: When, aware, in UTC; None if nothing had to be erased.
    at: datetime | None = None
    #: Who asked for it; None if nobody was named.
    identity: Any = None
    #: Why, in words.
    reason: str | None = None

    def __hash__(self) -> int:
        return hash((self.what, self.document_type, self.values, self.revision, self.at))


def added(total: Receipt, receipt: Receipt) -> Receipt:
    """Add the receipt of another document to one of several."""
    if not receipt.documents:
        return total
    return replace(
        total,
        documents=total.documents + receipt.documents,
        values=total.values + receipt.values,
        at=receipt.at,
        identity=receipt.identity,
        reason=receipt.reason,
    )


def ranges(numbers: Sequence[int]) -> str:
    """Write ascending numbers as ``1-3, 5``; of very many the first and the last."""
    ends = [0, *(index for index, it in enumerate(pairwise(numbers), 1) if it[1] != it[0] + 1)]
    runs = [numbers[start:end] for start, end in zip(ends, [*ends[1:], None], strict=True)]
    text = ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs if run)
    return text if len(text) <= LONGEST_NUMBERS else f"many from {numbers[0]} to {numbers[-1]}"
