"""What is read of many histories at once: all that is wanted, and hardly more."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mongoengine_history.record.overview import _ranges

NUMBERS = st.dictionaries(st.binary(max_size=2), st.integers(0, 300_000), max_size=5)


@given(numbers=NUMBERS, more=st.integers(0, 500), every=st.sampled_from([0, 1, 7, 100]))
def test_a_range_begins_with_a_full_state_and_ends_soon(
    numbers: dict[bytes, int], more: int, every: int
) -> None:
    place: Any = SimpleNamespace(
        options=SimpleNamespace(version_every=every), of=lambda some: {"keys": some}
    )
    last = {key: number + more for key, number in numbers.items()}
    ranges = _ranges(place, {key: key for key in numbers}, numbers, last)
    assert sorted(key for each in ranges for key in each["keys"]) == sorted(numbers)
    for each in ranges:
        first, end = each["revision"]["$gte"], each["revision"]["$lte"]
        for key in each["keys"]:
            assert first <= numbers[key] < first + max(every, 1)
            assert last[key] <= end <= last[key] + (last[key] - first) // 8
