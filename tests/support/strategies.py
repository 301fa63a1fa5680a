"""What Hypothesis draws, BSON values and states, and how many examples of it."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from bson import DBRef, Decimal128, Int64, ObjectId, Regex, Timestamp
from bson.binary import Binary
from hypothesis import settings
from hypothesis import strategies as st

#: Few and nasty keys, so that states collide: dots, dollars, digits, nothing, other digits.
keys = st.sampled_from(["a", "b", "c", "0", "1", "a.b", "", "$x", "²", "٣", "ß"])

#: Values that compare equal in Python and are different BSON, and one or two of every type.
scalars = st.one_of(
    st.sampled_from(
        [
            None, True, False, 0, 1, Int64(1), 1.0, 0.0, -0.0, math.nan, math.inf, 2**53,
            2**53 + 1, 0.3, 0.1 + 0.2, "", "1", "x", b"", b"x", Binary(b"x", 128),
            Decimal128("1.0"), Decimal128("1.00"), Timestamp(1, 1), Regex("a", "i"),
            datetime(2020, 1, 1), datetime(1, 1, 1), ObjectId("0" * 24),
            DBRef("c", 1), Binary(bytes(16), 4), Binary(bytes(16), 3),
        ]
    ),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(max_size=3).filter(lambda text: "\x00" not in text),
)  # fmt: skip

values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)

states = st.dictionaries(keys, values, max_size=5)


def examples(number: int, **options: Any) -> settings:
    """Ask for so many examples, or for a tenth of them under the profile `quick`."""
    return settings(max_examples=number * settings().max_examples // 100, **options)
