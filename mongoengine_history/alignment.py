"""Where two lists differ, when equal items are matched with each other."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Any, NamedTuple

from mongoengine_history.values import encode, same

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


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
    start, step, growing = 0, 1, True
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
    places: defaultdict[bytes, deque[int]] = defaultdict(deque)
    for i, item in enumerate(old):
        places[encode(item)].append(i)
    pairs = []
    for j, item in enumerate(new):
        same_items = places.get(encode(item))
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
