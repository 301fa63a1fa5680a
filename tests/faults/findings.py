"""What is found after a run: counts, and some examples of what should not be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

COUNTED: Final = {
    "acknowledged": "writes acknowledged",
    "raised": "writes that raised an error",
    "cut": "writes cut by a kill of the writer",
    "rolled_back": "acknowledged, and rolled back by the server",
    "documents": "documents",
    "revisions": "revisions",
    "external": "of them made for writes that raised (`external`)",
    "told_errors": "`HistoryNotRecordedError`",
    "told_lines": "lines in the log",
    "told": "stored, not recorded, told",
    "told_in_vain": "told as not recorded, recorded then or later",
    "cut_drift": "stored, not recorded, cut by a kill",
    "doubts": "**raised, stored, not recorded, not told**",
    "drift": "documents with drift, of many writers or after an error or a kill",
    "reconciled": "revisions by which `reconcile` recorded drift then",
    "torn_by_failure": "incomplete revisions of writes that raised or were cut",
    "unreadable_by_failure": "states that need one of these",
    "losses": "**silent losses**",
    "gaps": "**gaps in the numbers**",
    "duplicates": "**writes recorded twice**",
    "strays": "**records of no revision**",
    "torn": "**other incomplete revisions**",
    "unreadable": "**other states that cannot be read**",
    "own_drift": "**other documents with drift**",
    "unverified": "**what `reconcile` leaves, or `verify` finds then**",
    "unexpected": "**errors that no page names**",
}
"""The rows of a table, in order."""

RULED_OUT: Final = [name for name, text in COUNTED.items() if text.startswith("**")]
"""What never happens where the server keeps what it has acknowledged."""

MOST_EXAMPLES: Final = 5


@dataclass
class Findings:
    """What was counted in one setting."""

    setting: str
    #: Whether the server keeps what it has acknowledged.
    is_safe: bool
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTED, 0))
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, name: str, *examples: object) -> None:
        """Count each of the *examples*, and keep the first ones as text."""
        self.counts[name] += len(examples)
        kept = [*self.examples.get(name, []), *map(str, examples)]
        self.examples[name] = kept[:MOST_EXAMPLES]

    @property
    def faults(self) -> list[str]:
        """Name what the guarantees rule out and was found."""
        return [name for name in RULED_OUT if self.is_safe and self.counts[name]]
