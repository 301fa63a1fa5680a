"""What revisions in a row overwrote: by drift it may be other than the history had."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

from mongoengine_history.state.merge import is_relative, put
from mongoengine_history.state.patches import CHANGE, REMOVE, Draft, Patch, touched
from mongoengine_history.state.values import ABSENT, Path, State, encode, find, same, unordered

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


class Overwritten:
    """What revisions overwrote, path by path; they are added in the order of their numbers."""

    def __init__(self) -> None:
        #: As the history had it before the first revision that set a path …
        self._believed: dict[Path, object] = {}
        #: … and what each one found and left there.
        self._steps: dict[Path, list[tuple[object, object]]] = {}

    def add(self, found: Iterable[tuple[Path, object]], before: State, after: State) -> None:
        """
        Add what a revision has *found*, with the states around it as the history has them.

        A path that is found twice was renamed: it is there under one of its names.
        """
        pairs = [*found]
        values = {path: value for path, value in pairs if value is not ABSENT}
        for path, value in {**dict(pairs), **values}.items():
            self._believed.setdefault(path, find(before, path))
            self._steps.setdefault(path, []).append((value, find(after, path)))

    def put_into(self, state: State) -> State:
        """Return *state*, which the first of them followed, with what was stored then."""
        values = {path: self._stored(path) for path in self._steps}
        if all(same(value, self._believed[path]) for path, value in values.items()):
            return state
        firsts = {path: place for place, path in enumerate(self._steps)}
        draft = Draft(state)
        for path in sorted(firsts, key=len):  # parts go into the whole that was set after them
            ends = [firsts[path[:end]] for end in range(1, len(path)) if path[:end] in firsts]
            if min(ends, default=firsts[path]) >= firsts[path]:
                put(draft, path, values[path])
        return draft.state

    def _stored(self, path: Path) -> object:
        """
        Return what the first of them found.

        Writers that overlap may be numbered in another order than they wrote: what the first number
        found, a later one left. All of them began with what the history had then.
        """
        believed, steps = self._believed[path], self._steps[path]
        in_order = all(same(new, old) for (_, new), (old, _) in pairwise(steps))
        found = Counter(_name(old) for old, _ in steps)
        left = Counter(_name(new) for _, new in steps)
        overlap = not in_order and _name(believed) in (found - left or found)
        return believed if overlap else steps[0][0]

    def explains(self, state: State, stored: State) -> bool:
        """
        Say whether *stored* is what they leave in another order than that of their numbers.

        *state* is the one to which they lead in that order. Keys may stand in another order, too.
        """
        draft = Draft(state)
        for path, steps in self._steps.items():
            now, then = find(stored, path), find(state, path)
            are_dicts = isinstance(now, dict) and isinstance(then, dict)  # of which parts are told
            if not are_dicts and not same(now, then):
                if not _may_end(steps, now):
                    return False
                put(draft, path, now)
        return same(unordered(draft.state), unordered(stored))


def _may_end(steps: Sequence[tuple[object, object]], value: object) -> bool:
    """Say whether steps, each from one value to another, can end with a value in some order."""
    left = Counter(_name(new) for _, new in steps)
    found = Counter(_name(old) for old, _ in steps)
    return _name(value) in (left - found or left)


def found_by(patches: Iterable[Patch], before: State) -> Iterator[tuple[Path, object]]:
    """Yield what patches found, by path; those of items were made for the list that is known."""
    for patch in patches:
        for index, path in enumerate(touched(patch)):
            if is_relative(patch):
                yield path, find(before, path)
            else:
                yield path, _old(patch, index)


def _old(patch: Patch, index: int) -> object:
    if patch.action == CHANGE:
        return patch.data[0]
    return patch.data[index][1] if patch.action == REMOVE else ABSENT


def _name(value: object) -> bytes:
    return b"" if value is ABSENT else encode(unordered(value))
