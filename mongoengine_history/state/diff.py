"""Two states become patches, by dictdiffer, made exact by type and value.

Equal parts never reach dictdiffer, and lists are aligned. The order of keys is kept inside values;
at the top level it is not, since no update of MongoDB can keep it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict, deque
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

import dictdiffer

from mongoengine_history.errors import PatchError
from mongoengine_history.state.patches import ADD, CHANGE, REMOVE, Patch, apply, invert, record_of
from mongoengine_history.state.values import Path, State, encode, find, same

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class _Leaf:
    """Hides a value from dictdiffer, to which two leaves are always different."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value

    def __deepcopy__(self, memo: object) -> _Leaf:
        return self


def diff(before: State, after: State) -> list[Patch]:
    """
    Return the patches that lead from *before* to *after*, to be applied in this order.

    They are proven: applied they give *after*, inverted they give *before*, to the byte; a single
    patch of a value has nothing to get wrong. Both states must be as `values.wire` returns them.
    """
    if not (before and after):  # no other result, but all documents that come or go have it
        items = list((before or after).items())
        return [Patch(REMOVE if before else ADD, (), items)] if items else []
    proven: list[Patch] = []
    for root, group in groupby(_diff(before, after, ()), lambda patch: patch.path[:1]):
        patches = list(group)
        if len(patches) > 1 and root:
            key = str(root[0])
            old, new = before[key], after[key]
            if not _proven(patches, {key: old}, {key: new}):
                patches = [Patch(CHANGE, root, (old, new))]
        proven += patches
    return proven


def _proven(patches: list[Patch], before: State, after: State) -> bool:
    try:
        there, back = apply(patches, before), apply(invert(patches), after)
    except PatchError:
        return False
    return same(there, after) and same(back, before)


def _diff(before: State, after: State, root: Path) -> list[Patch]:
    """Diff two dicts that stand at *root* in their states."""
    patches: list[Patch] = []
    first, second = _differing(before, after)
    if first.keys() == second.keys() and all(isinstance(it, _Leaf) for it in first.values()):
        # values alone: no other result, but most of all revisions
        pairs = ((old.value, second[key].value, (*root, key)) for key, old in first.items())
        return [patch for pair in pairs for patch in _change(*pair)]
    for action, path, data in dictdiffer.diff(first, second, dot_notation=False):
        where = (*root, *path)
        if action == CHANGE:
            patches += _change(data[0].value, data[1].value, where)
            continue
        items = [(key, leaf.value) for key, leaf in data]
        whole = find(after if action == ADD else before, tuple(path))
        patch = Patch(action, where, items, _places(whole, items) if where else None)
        # Keys are removed before others are added, so that places count the keys there are then.
        is_removal = action == REMOVE and patches and patches[-1].path == where
        patches.insert(len(patches) - 1 if is_removal else len(patches), patch)
    return patches


def _differing(before: State, after: State) -> tuple[dict[str, Any], dict[str, Any]]:
    """Copy what differs of two dicts; below their dicts all values are leaves."""
    first: dict[str, Any] = {}
    second: dict[str, Any] = {key: _Leaf(after[key]) for key in after if key not in before}
    for key, old in before.items():
        if key not in after:
            first[key] = _Leaf(old)
            continue
        pair = _pair(old, after[key])
        if pair:
            first[key], second[key] = pair
    return first, second


def _pair(old: Any, new: Any) -> tuple[Any, Any] | None:
    """Return what dictdiffer shall see of two values, or None where they are the same."""
    if old is new:
        return None
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return None if _same_leaf(old, new) else (_Leaf(old), _Leaf(new))
    if old == new and same(old, new):  # the first is fast, the second exact
        return None
    if [key for key in old if key in new] != [key for key in new if key in old]:
        return _Leaf(old), _Leaf(new)
    first, second = _differing(old, new)
    return (first, second) if first or second else None


def _same_leaf(old: Any, new: Any) -> bool:
    if isinstance(old, list) and isinstance(new, list) and old != new:
        return False  # long lists are worth the short cut; `gaps` finds none if it is only a NaN
    return same(old, new)


def _places(whole: State, items: list[tuple[str, Any]]) -> tuple[int, ...] | None:
    """Say where in *whole* the keys of *items* stand, or None where they are its last ones."""
    keys = [key for key, _ in items]
    if list(whole)[-len(keys) :] == keys:
        return None
    indexes = {key: index for index, key in enumerate(whole)}
    return tuple(indexes[key] for key in keys)


def _change(old: Any, new: Any, path: Path) -> list[Patch]:
    whole = Patch(CHANGE, path, (old, new))
    if not (isinstance(old, list) and isinstance(new, list)):
        return [whole]
    patches = [patch for gap in gaps(old, new) for patch in _fill(gap, old, new, path)]
    return patches if len(patches) == 1 or _size(patches) <= _size([whole]) else [whole]


def _fill(gap: Gap, old: list[Any], new: list[Any], path: Path) -> Iterator[Patch]:
    """Turn the old items of a gap into the new ones: change in pairs, remove or add the rest."""
    both = min(gap.old_end - gap.old_start, gap.new_end - gap.new_start)
    for offset in range(both):
        index = gap.new_start + offset
        yield from _change_item(old[gap.old_start + offset], new[index], (*path, index))
    index = gap.new_start + both
    for item in old[gap.old_start + both : gap.old_end]:
        yield Patch(REMOVE, path, [(index, item)])  # one by one: dictdiffer reverts no more
    if index < gap.new_end:
        yield Patch(ADD, path, list(enumerate(new[index : gap.new_end], index)))


def _change_item(old: Any, new: Any, path: Path) -> list[Patch]:
    whole = [Patch(CHANGE, path, (old, new))]
    if isinstance(old, list) and isinstance(new, list):
        return _change(old, new, path)
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return whole
    pair = _pair(old, new)
    if pair and isinstance(pair[0], _Leaf):
        return whole
    patches = _diff(old, new, path)
    return patches if _size(patches) <= _size(whole) else whole


def _size(patches: list[Patch]) -> int:
    return sum(len(encode(record_of(patch))) for patch in patches)


class Gap(NamedTuple):
    """A stretch of the old list that a stretch of the new one replaces; the ends do not count."""

    old_start: int
    old_end: int
    new_start: int
    new_end: int


def gaps(old: Sequence[Any], new: Sequence[Any]) -> Iterator[Gap]:
    """
    Yield where *old* and *new* differ, from left to right.

    Equal ends are trimmed at the speed of BSON encoding. Between them each item is matched with an
    equal one, and of these matches the longest ones in order are kept: the longest increasing
    subsequence, found by patience sorting (Fredman 1975) in O(n log n).
    """
    head = _common_start(old, new)
    tail = _common_start(old[head:][::-1], new[head:][::-1])
    old_end, new_end = len(old) - tail, len(new) - tail
    i, j = head, head
    for match_i, match_j in _matches(old[head:old_end], new[head:new_end]):
        if (i, j) != (head + match_i, head + match_j):
            yield Gap(i, head + match_i, j, head + match_j)
        i, j = head + match_i + 1, head + match_j + 1
    if i < old_end or j < new_end:
        yield Gap(i, old_end, j, new_end)


def _common_start(first: Sequence[Any], second: Sequence[Any]) -> int:
    """Count equal items at the start: ever longer stretches are encoded at once, then halved."""
    end = min(len(first), len(second))
    start = next((index for index in range(end) if first[index] is not second[index]), end)
    step, growing = 1, True
    while start < end:
        stop = min(start + step, end)
        if same(first[start:stop], second[start:stop]):
            start = stop
        elif stop - start == 1:
            break
        else:
            end, growing = stop - 1, False
        step = step * 2 if growing else max(1, (end - start + 1) // 2)
    return start


def _matches(old: Sequence[Any], new: Sequence[Any]) -> list[tuple[int, int]]:
    """Pair equal items by their BSON, both indexes rising."""
    indexes: defaultdict[bytes, deque[int]] = defaultdict(deque)
    for i, item in enumerate(old):
        indexes[encode(item)].append(i)
    pairs = []
    for j, item in enumerate(new):
        same_items = indexes.get(encode(item))
        if same_items:
            pairs.append((same_items.popleft(), j))
    return _longest_rising(pairs)


def _longest_rising(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Keep the longest run of *pairs*, sorted by the second, in which the first rises, too."""
    ends: list[int] = []  # the lowest last index of a run of each length …
    last: list[int] = []  # … and the number of the pair that has it
    previous: list[int] = []
    for number, (i, _) in enumerate(pairs):
        length = bisect_left(ends, i)
        previous.append(last[length - 1] if length else -1)
        ends[length : length + 1] = [i]
        last[length : length + 1] = [number]
    number = last[-1] if last else -1
    run = []
    while number >= 0:
        run.append(pairs[number])
        number = previous[number]
    return run[::-1]
