"""All phrases in which histories are told, in English. Another language is another mapping."""

from __future__ import annotations

from typing import Final

PHRASES: Final = {
    "head": "{number}. {when}, {done}{by}{because}",
    "by": " by {who}",
    "because": " ({reason})",
    # What was done, by the operation; one that is missing here is told by its own name.
    "create": "created",
    "update": "changed",
    "delete": "deleted",
    "revert": "reverted",
    "undo": "undone",
    "restore": "restored",
    "external": "changed from outside",
    "event": "event",
    "redact": "redacted",
    # One line for each change.
    "edited": "{path}: {old} → {new}",
    "woven": "{path}: {text}",
    "added": "{path}: {new}",
    "removed": "{path}: {old}",
    "moved": "{path}: moved from {origin}",
    "item": "{path}:",
    "fact": "{path}: {new}",
    "more": "… and {count} more",
    # What stands for values that are not there, or that the history does not hold.
    "nothing": "nothing",
    "masked": "hidden ({fingerprint})",
    "blank": "hidden",
}
"""
By their names, each with what it is filled with.

A line is made of pieces, so that a page can mark old and new: a translation may put them in another
order.
"""

SIGNS: Final = {"edited": "~", "added": "+", "removed": "-", "moved": ">", "fact": " "}
"""What a line begins with, by the kind of its change."""
