"""`reconcile` of a class, and laws: after it the history says what is stored."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import mongoengine as me
import pytest
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st
from mongoengine import Document
from support.changes import automatic, edited, tracked, tracked_otherwise
from support.crates import Crate, collection, crate, write
from support.stored_history import history
from support.strategies import examples

from mongoengine_history import (
    OptionsError,
    Reconciled,
    Reconciliation,
    history_of,
    reconcile,
    untracked,
    verify,
)
from mongoengine_history.trust import reconcile as reconciling

pytestmark = pytest.mark.usefixtures("at_once")

tracking = automatic(Crate)


class TestSweeps:
    """All documents of a class."""

    @pytest.fixture(autouse=True)
    def few_at_once(self, monkeypatch: Any) -> None:
        monkeypatch.setattr(reconciling, "SMALL", 2)

    def test_it_finds_all_that_differ_and_leaves_the_rest(self) -> None:
        made = [crate(name=f"{number}") for number in range(7)]
        with untracked():
            crate(), crate()
        write(made[1], {"$set": {"name": "b"}})
        write(made[4], {"$set": {"count": 3}})
        collection().delete_one({"_id": made[6].pk})
        made[2].delete()
        report = reconcile(Crate)
        assert [(it.document_id, it.revision) for it in report.recorded] == [
            *((made[1].pk, 2), (made[4].pk, 2), (made[6].pk, 2))
        ]
        assert (report.looked, report.without_history) == (7, 2)
        assert reconcile(Crate).recorded == ()
        assert verify(Crate).ok

    def test_it_tells_where_it_is_and_goes_on_there(self) -> None:
        made = [crate() for _ in range(16)]
        collection().update_many({}, {"$set": {"count": 1}})
        told: list[Reconciliation] = []

        def stop(report: Reconciliation) -> None:
            told.append(report)
            if len(told) == 2:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            reconcile(Crate, progress=stop)
        assert [(it.looked, len(it.recorded)) for it in told] == [(2, 2), (4, 4)]
        assert told[-1].resume == made[3].pk
        rest = reconcile(Crate, resume=told[-1].resume)
        assert [it.document_id for it in rest.recorded] == [it.pk for it in made[4:]]
        assert rest.without_history == 0

    def test_keys_may_be_of_any_type(self) -> None:
        class Anything(Document):
            meta = {"collection": "anythings", "auto_create_index": False}
            key = me.DynamicField(primary_key=True)
            name = me.StringField()

        keys = [2.5, 1, "a", {"b": 1}, ObjectId(), True]
        kind = Anything._get_collection().database["anythings"]
        with tracked(Anything):
            for key in keys:
                Anything(key=key, name="a").save()
            kind.update_many({}, {"$set": {"name": "b"}})
            seen: list[Any] = []
            reconcile(Anything, progress=lambda it: seen.append(it.resume))
            kind.update_many({}, {"$set": {"name": "c"}})
            assert len(reconcile(Anything, resume=seen[0]).recorded) == len(keys) - 2
            assert len(reconcile(Anything).recorded) == 2

    def test_a_broken_history_is_a_finding_and_stops_nothing(self) -> None:
        torn, malformed, right = crate(), crate(), crate()
        for each in (torn, malformed):
            edited(each, name="b", count=1)
        history().delete_one({"document_id": torn.pk, "revision": 2, "position": 1})
        history().update_many({"document_id": malformed.pk}, {"$set": {"data": 7}})
        collection().update_many({}, {"$set": {"name": "c"}})
        report = reconcile(Crate)
        assert [it.document_id for it in report.recorded] == [right.pk]
        found = {it.document_id: it.kind for it in report.findings}
        assert found == {torn.pk: "missing", malformed.pk: "malformed"}
        assert reconcile(torn).findings[0].document_id == torn.pk

    @pytest.mark.parametrize(
        "call",
        [
            lambda: reconcile(5),  # type: ignore[arg-type]
            lambda: reconcile(Crate()),
            lambda: reconcile(Crate, progress=5),  # type: ignore[arg-type]
            lambda: reconcile(Crate(), resume=ObjectId()),
            lambda: reconcile(Crate, identity=object()),
            lambda: reconcile(Crate, reason=5),  # type: ignore[arg-type]
        ],
    )
    def test_what_cannot_be_used_is_refused(self, call: Callable[[], object]) -> None:
        with pytest.raises(OptionsError):
            call()


words = st.sampled_from(["a", "b", "c"])
updates = st.one_of(
    words.map(lambda word: {"$set": {"name": word}}),
    words.map(lambda word: {"$push": {"tags": word}}),
    words.map(lambda word: {"$set": {f"notes.{word}": 1}}),
    st.just({"$unset": {"notes": 1}}),
    st.just({"$set": {"tags": []}}),
)
edits = st.one_of(
    words.map(lambda word: {"name": word}),
    st.lists(words, max_size=3).map(lambda tags: {"tags": tags}),
    st.dictionaries(words, st.integers(0, 3)).map(lambda notes: {"notes": notes}),
)
steps = st.lists(
    st.one_of(
        updates.map(lambda update: ("past it", update)),
        edits.map(lambda values: ("saved", values)),
        st.sampled_from([("deleted", None), ("gone", None), ("reconciled", None)]),
    ),
    max_size=8,
)


@given(steps, st.sampled_from([0, 1, 2, 100]))
@examples(40)
def test_after_it_the_history_says_what_is_stored(
    script: list[tuple[str, Any]], every: int
) -> None:
    with tracked_otherwise(Crate, version_every=every):
        made = crate()
        for kind, given_values in script:
            step(made.pk, kind, given_values)
        reconcile(made)
        assert reconcile(made).recorded == ()
        assert verify(made).ok
        stored = collection().find_one({"_id": made.pk}, {"_id": 0})
        newest = history_of(made)[-1]
        assert (newest.operation == "delete") == (stored is None)
        assert stored is None or history_of(made).compare(-1) == []


def step(key: Any, kind: str, values: Any) -> None:
    found = Crate.objects(pk=key).first()
    if kind == "past it":
        collection().update_one({"_id": key}, values, upsert=True)
    elif kind == "gone":
        collection().delete_one({"_id": key})
    elif kind == "reconciled":
        reconcile(Crate)
    elif found is not None and kind == "deleted":
        found.delete()
    elif kind == "saved":
        found = found or Crate(pk=key)
        for name, value in values.items():
            setattr(found, name, value)
        found.save()


def test_eight_writers_are_not_recorded_twice(monkeypatch: Any) -> None:
    """Numbered in another order than they wrote, they leave the keys of a dict in another one."""
    monkeypatch.setattr(reconciling, "GRACE", 1.0)
    made = [crate() for _ in range(2)]

    def work(place: int) -> None:
        for number in range(10):
            Crate.objects(pk=made[number % 2].pk).update(**{f"set__notes__w{place}": number})

    overlaps: list[Reconciled] = []
    with ThreadPoolExecutor(8) as pool:
        at_work = [pool.submit(work, place) for place in range(8)]
        while not all(it.done() for it in at_work):
            overlaps += reconcile(Crate).recorded
    overlaps += reconcile(Crate).recorded
    assert [it.result() for it in at_work] == [None] * 8
    assert sum(len(history_of(each)) for each in made) == 2 + 80 + len(overlaps)
    for it in overlaps:
        assert history_of(Crate, it.document_id)[it.revision].metadata["reconciled"]["overlap"]
    assert all(history_of(each).compare(-1) == [] for each in made)
