"""What is stored of a document and is not in its history becomes a revision."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from mongoengine_history.record.append import append
from mongoengine_history.record.change import Change, patched
from mongoengine_history.record.states import replayed
from mongoengine_history.state.hiding import Hiding
from mongoengine_history.state.merge import differs
from mongoengine_history.state.redaction import covered
from mongoengine_history.state.revision import CREATE, DELETE

if TYPE_CHECKING:
    from collections.abc import Callable

    from mongoengine_history.record.head import Head
    from mongoengine_history.record.revisions import Revisions
    from mongoengine_history.state.context import Context
    from mongoengine_history.state.values import State

LOOKS: Final = 5
"""How often to look whether somebody else's record of what is stored is only on its way …"""

PAUSE: Final = 0.1
"""… and seconds between two looks."""


def record_drift(  # noqa: PLR0913, PLR0917  # what is compared, and how it is told
    revisions: Revisions,
    context: Context,
    operation: str,
    stored: State | None = None,
    made: State | None = None,
    is_told: Callable[[], bool] = bool,
) -> bool:
    """
    Record what is stored and is not in the history; say whether there is anything.

    Args:
        revisions: Of the document.
        context: Who answers for it.
        operation: What it is called, where it is no creation and no deletion.
        stored: What was stored, if that is not to be read.
        made: What a creation has sent, without which no history begins.
        is_told: Says whether records of it wait elsewhere; asked after a pause.
    """
    head, change = _drift(revisions, context, operation, stored, made)
    for _ in range(LOOKS):
        if change is None:
            return False
        time.sleep(PAUSE)
        now, other = _drift(revisions, context, operation, stored, made)
        if now.record == head.record and other is not None:
            break  # what was stored then is told by nobody; of what came since nobody knows
        head, change = now, other
    if change is None or is_told():
        return False
    append(revisions, change, head, None)
    return True


def _drift(
    revisions: Revisions,
    context: Context,
    operation: str,
    stored: State | None,
    made: State | None,
) -> tuple[Head, Change | None]:
    """Compare what is or was stored with the newest revision."""
    now = time.time_ns() // 1000
    head, live = revisions.opening()
    stored = live if stored is None else stored
    made = made and {name: it for name, it in made.items() if name != "_id"}
    is_made = made is not None and not differs(stored or {}, made)
    if not head.number and not is_made:
        return head, None  # a history begins with what the next write finds
    before = replayed(revisions, head.number) if head.number else None
    after = stored and covered(revisions.place.hiding.hidden(stored), before)
    if before is None and after is None:
        return head, None
    return head, change_between(before, after, context, operation, now)


def change_between(
    before: State | None, after: State | None, context: Context, operation: str, stamp: int
) -> Change | None:
    """Make a change of two states as the history may have them; None if they are alike."""
    done = DELETE if after is None else CREATE if before is None else operation
    change = patched(Change(done, context, before or {}, after or {}, [], stamp), Hiding())
    return change if change.patches else None
