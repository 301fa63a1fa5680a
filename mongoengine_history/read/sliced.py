"""Some revisions of a document, by the numbers of a slice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mongoengine_history.errors import OptionsError
from mongoengine_history.record.complete import gone

if TYPE_CHECKING:
    from mongoengine_history.record.revisions import Revisions
    from mongoengine_history.state.revision import Revision


def sliced(revisions: Revisions, shown: Revisions, index: slice) -> list[Revision]:
    """
    Read the revisions that a slice means, from *shown*: the same, as the application reads them.

    Raises:
        OptionsError: its ends are no numbers.
        IncompleteRevisionError: one of them is gone, or records of it are missing.
    """
    ends = [it for it in (index.start, index.stop, index.step) if it is not None]
    are_numbers = all(isinstance(it, int) and not isinstance(it, bool) for it in ends)
    if not are_numbers or index.step == 0:
        raise OptionsError("number", index, "its ends are numbers, and its step is not 0")
    start, stop, step = index.indices(revisions.head().number + 1)
    # Not gone through before all are found; number 0 is no revision.
    wanted = range(max(start, 1), stop, step) if step > 0 else range(start, max(stop, 0), step)
    if not wanted:
        return []
    found = shown.between(*sorted([wanted[0], wanted[-1]]))
    made = {it.number: it.shown() for it in found if it.number in wanted}
    for number in wanted:
        if number not in made:
            raise gone(revisions, number)
    return [made[number] for number in wanted]
