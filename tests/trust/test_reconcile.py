"""`reconcile`: what was written past the history becomes part of it, once, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import mongoengine as me
import pytest
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st
from mongoengine import Document
from support.changes import automatic, edited, told, tracked, tracked_otherwise
from support.crews import Overlap
from support.documents import raw
from support.strategies import examples

from mongoengine_history import (
    OptionsError,
    Reconciled,
    Reconciliation,
    backfill,
    changeset,
    history_of,
    reconcile,
    restore,
    revert,
    set_identity_provider,
    untracked,
    verify,
)
from mongoengine_history.trust import reconcile as reconciling
from mongoengine_history.trust import verify as verifying


class Crate(Document):
    meta = {"collection": "crates", "auto_create_index": False}
    name = me.StringField()
    count = me.IntField()
    tags = me.ListField(me.StringField())
    notes = me.DictField()


tracking = automatic(Crate)


@pytest.fixture(autouse=True)
def quickly(database: Any, monkeypatch: Any) -> None:
    """Nobody writes meanwhile, so nothing has to be waited for."""
    monkeypatch.setattr(reconciling, "GRACE", 0.0)
    monkeypatch.setattr(verifying, "PAUSES", (0.0, 0.0))


def crate(**values: Any) -> Crate:
    return Crate(**{"name": "a", "tags": ["x", "y"], "notes": {"k": 1}, **values}).save()


def collection() -> Any:
    return Crate._get_collection().database["crates"]


def history() -> Any:
    return Crate._get_collection().database["history"]


def write(document: Crate, update: dict[str, Any]) -> None:
    """Update it as another program does."""
    collection().update_one({"_id": document.pk}, update)


def paths(document: Crate, number: int = -1) -> list[Any]:
    return [path for _, path, _ in history_of(document)[number].patches]


class TestOne:
    """One document."""

    def test_what_another_program_wrote_becomes_a_revision_of_nobody(self) -> None:
        made = crate()
        write(made, {"$set": {"name": "b", "tags": ["y"]}, "$inc": {"notes.k": 2}})
        report = reconcile(made)
        assert report.recorded == (Reconciled("crates", made.pk, 2, "external"),)
        assert (report.looked, report.without_history, report.findings) == (1, 0, ())
        newest = history_of(made)[-1]
        assert (newest.operation, newest.identity, newest.reason) == ("external", None, None)
        assert newest.metadata == {"reconciled": {"last_known": 1}}
        assert history_of(made).compare(-1) == []
        assert verify(made).ok

    def test_what_is_recorded_is_not_recorded_again(self) -> None:
        made = crate()
        write(made, {"$set": {"name": "b"}})
        reconcile(made)
        assert reconcile(made).recorded == ()
        edited(Crate.objects.get(), "ada", name="c")
        assert reconcile(made).recorded == ()
        assert told(made) == [("create", None), ("external", None), ("update", "ada")]

    def test_one_that_is_gone_is_deleted_and_can_be_restored(self) -> None:
        made = crate()
        collection().delete_one({"_id": made.pk})
        assert reconcile(made).recorded[0].operation == "delete"
        assert restore(Crate, made.pk).save().name == "a"
        assert reconcile(made).recorded == ()

    def test_one_that_came_back_is_created(self) -> None:
        made = crate()
        kept = collection().find_one()
        made.delete()
        collection().insert_one({**kept, "name": "back"})
        assert reconcile(made).recorded[0].operation == "create"
        assert history_of(made).state(3)["name"] == "back"
        assert verify(made).ok

    def test_one_without_a_history_is_left_alone(self) -> None:
        with untracked():
            made = crate()
        report = reconcile(made)
        assert (report.looked, report.without_history, report.recorded) == (0, 1, ())
        assert len(history_of(made)) == 0

    def test_one_of_which_a_version_was_kept_has_a_state_to_compare_with(self) -> None:
        with untracked():
            made = crate()
        backfill(Crate)
        assert reconcile(made).recorded == ()
        write(made, {"$push": {"tags": "z"}})
        assert [it.revision for it in reconcile(made).recorded] == [1]
        assert history_of(made).state(0)["tags"] == ["x", "y"]
        assert history_of(made).compare(1) == []

    def test_it_can_be_taken_back(self) -> None:
        made = crate()
        before = raw(made)
        write(made, {"$unset": {"tags": 1}, "$set": {"other": 1}})
        reconcile(made)
        write(made, {"$unset": {"other": 1}})
        reconcile(made)
        revert(Crate.objects.get(), revision=1).save()
        assert raw(made) == before

    def test_keys_in_another_order_are_no_drift(self) -> None:
        made = crate()
        found = collection().find_one()
        collection().replace_one({}, dict(reversed(found.items())))
        assert reconcile(made).recorded == ()

    def test_a_type_is_drift(self) -> None:
        made = crate(count=1)
        write(made, {"$set": {"count": 1.0}})
        assert len(reconcile(made).recorded) == 1


class TestWho:
    """Who answers for it: nobody, unless somebody is named."""

    def test_no_provider_is_asked(self) -> None:
        made = crate()
        write(made, {"$set": {"name": "b"}})
        set_identity_provider(lambda: "the one who is logged in")
        try:
            reconcile(made)
        finally:
            set_identity_provider(None)
        assert history_of(made)[-1].identity is None

    def test_the_caller_says_it(self) -> None:
        made = crate()
        write(made, {"$set": {"name": "b"}})
        reconcile(made, identity="night job", reason="import of the day")
        newest = history_of(made)[-1]
        assert (newest.identity, newest.reason) == ("night job", "import of the day")

    def test_an_open_changeset_says_it(self) -> None:
        made = crate()
        write(made, {"$set": {"name": "b"}})
        with changeset("ops", reason="repair", ticket=7) as opened:
            reconcile(made)
        newest = history_of(made)[-1]
        assert (newest.identity, newest.reason, newest.changeset) == ("ops", "repair", opened.id)
        assert newest.metadata == {"ticket": 7, "reconciled": {"last_known": 1}}


class TestHidden:
    """What the history must not hold is no drift."""

    def test_excluded_and_masked_values(self) -> None:
        with tracked_otherwise(Crate, exclude=["count"], mask=["name"]):
            made = crate(count=1)
            write(made, {"$set": {"count": 2, "name": "secret"}})
            assert reconcile(made).recorded == ()
            write(made, {"$set": {"tags": ["new"]}})
            assert len(reconcile(made).recorded) == 1
            assert paths(made) == [["tags"]]
            assert b"secret" not in b"".join(map(repr_of, history().find()))

    def test_a_value_that_has_another_fingerprint(self) -> None:
        with tracked_otherwise(Crate, mask=["name"], fingerprint_key=b"k" * 32):
            made = crate()
            write(made, {"$set": {"name": "secret"}})
            assert len(reconcile(made).recorded) == 1
            assert reconcile(made).recorded == ()

    def test_values_that_are_hidden_since_they_were_recorded(self) -> None:
        made = crate(count=1)
        with tracked_otherwise(Crate, exclude=["count"], mask=["notes"]):
            write(made, {"$set": {"count": 2, "notes": {"k": 9}}})
            assert reconcile(made).recorded == ()
            write(made, {"$set": {"name": "b"}})
            reconcile(made)
            assert paths(made) == [["name"]]

    def test_values_of_which_the_history_has_a_mask(self) -> None:
        """They were masked when they were recorded, or erased since."""
        with tracked_otherwise(Crate, mask=["name", "notes.k"]):
            made = crate()
        assert reconcile(made).recorded == ()
        write(made, {"$set": {"count": 1}})
        reconcile(made)
        assert paths(made) == [[]]
        assert history_of(made)[-1].patches[0][2] == [("count", 1)]


def repr_of(document: Any) -> bytes:
    return repr(document).encode()


class TestOthers:
    """Writes of others, of which the records are on their way."""

    def test_a_write_whose_record_comes_late_is_recorded_once(self, monkeypatch: Any) -> None:
        made = crate()
        late = Overlap(monkeypatch, lambda: edited(made, "ada", name="ada"))
        late.write()
        with_time_to(monkeypatch, late.record)
        assert reconcile(Crate.objects.get()).recorded == ()
        assert told(made) == [("create", None), ("update", "ada")]

    def test_drift_beside_such_a_write_is_recorded_alone(self, monkeypatch: Any) -> None:
        made = crate()
        write(made, {"$set": {"count": 5, "tags": ["z"]}})
        late = Overlap(monkeypatch, lambda: edited(made, "ada", name="ada"))
        late.write()
        with_time_to(monkeypatch, late.record)
        reconcile(Crate.objects.get())
        assert told(made) == [("create", None), ("update", "ada"), ("external", None)]
        assert ["name"] not in paths(made)
        assert history_of(made).compare(-1) == []

    def test_a_record_that_comes_after_the_last_look_takes_the_number(
        self, monkeypatch: Any
    ) -> None:
        made = crate()
        write(made, {"$set": {"count": 5}})
        late = Overlap(monkeypatch, lambda: edited(Crate.objects.get(), "ada", name="ada"))
        late.write()
        whole = reconciling.record_settled

        def overtaken(*args: Any) -> Any:
            monkeypatch.setattr(reconciling, "record_settled", whole)
            late.record()
            return whole(*args)

        monkeypatch.setattr(reconciling, "record_settled", overtaken)
        assert [it.revision for it in reconcile(made).recorded] == [3]
        assert told(made) == [("create", None), ("update", "ada"), ("external", None)]
        assert history_of(made)[3].patches == (("add", [], [("count", 5)]),)

    def test_one_that_never_rests_is_told(self, monkeypatch: Any) -> None:
        made, numbers = crate(), iter(range(1, 99))
        write(made, {"$set": {"count": 0}})

        def busy(_: float) -> None:
            write(made, {"$set": {"count": next(numbers)}})
            edited(Crate.objects.get(), "ada", name=f"{next(numbers)}")

        monkeypatch.setattr(reconciling, "time", SimpleNamespace(sleep=busy))
        report = reconcile(made)
        assert (report.recorded, [it.kind for it in report.findings]) == ((), ["drift"])

    def test_writes_that_were_numbered_the_other_way_round_are_told(self, monkeypatch: Any) -> None:
        made = crate()
        first, second = Crate.objects.get(), Crate.objects.get()
        late = Overlap(monkeypatch, lambda: edited(first, "ada", name="ada", tags=["a", "x", "y"]))
        late.write()
        edited(second, "bob", name="bob", tags=["x", "y", "b"])
        late.record()
        reconcile(made)
        newest = history_of(made)[-1]
        assert newest.metadata == {"reconciled": {"last_known": 3, "overlap": True}}
        assert (history_of(made).state(4)["name"], history_of(made).compare(-1)) == ("bob", [])

    def test_it_is_refused_in_a_transaction(self) -> None:
        made = crate()
        with pytest.raises(OptionsError, match="transaction"), changeset(atomic=True):
            reconcile(made)


def with_time_to(monkeypatch: Any, happen: Callable[[], object]) -> None:
    """Let something happen the first time that `reconcile` waits."""
    waits = iter([happen])
    clock = SimpleNamespace(sleep=lambda _: next(waits, lambda: None)())
    monkeypatch.setattr(reconciling, "time", clock)


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
@examples(60)
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
