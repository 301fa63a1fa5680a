"""What ``updated`` makes of an update is what the server makes of it, to the order of keys."""

from __future__ import annotations

from typing import Any

import bson
from hypothesis import given
from hypothesis import strategies as st
from pymongo.errors import WriteError
from support.strategies import values

from mongoengine_history.state.updates import updated
from mongoengine_history.state.values import WIRE, wire

# Not "00" beside "0": for MongoDB 6.0.5 both are index 0, and it dies of a failed invariant.
names = st.text("0129ab²Z~", min_size=1, max_size=3).filter(
    lambda name: not name.startswith("0") or name == "0"
)
inner = st.recursive(
    st.integers(0, 9),
    lambda deeper: st.lists(deeper, max_size=3) | st.dictionaries(names, deeper, max_size=3),
)
paths = st.lists(names | st.sampled_from(["0", "1", "10", "2"]), min_size=1, max_size=3).map(
    ".".join
)


@given(
    st.dictionaries(names, inner, max_size=3),
    st.dictionaries(paths, values, max_size=4),
    st.sets(paths, max_size=2),
)
def test_an_update_gives_what_the_server_stores(
    database: Any, state: dict[str, Any], sets: dict[str, Any], unsets: set[str]
) -> None:
    collection = database.get_collection("updates", codec_options=WIRE)
    collection.replace_one({"_id": 1}, state, upsert=True)
    update = {"$set": sets, "$unset": dict.fromkeys(unsets - sets.keys(), 1)}
    update = {operator: paths for operator, paths in update.items() if paths}
    try:
        if update:
            collection.update_one({"_id": 1}, update)
    except WriteError:
        return  # conflicting paths, or a path through a scalar
    stored = collection.find_one({"_id": 1})
    del stored["_id"]
    try:
        expected = updated(wire(state, WIRE), wire(update, WIRE))
    except LookupError:
        return  # through a list that is too short: the tracker then asks the server
    assert stored.keys() == expected.keys()
    for key, value in stored.items():
        assert bson.encode({"": value}, codec_options=WIRE) == bson.encode(
            {"": expected[key]}, codec_options=WIRE
        )
