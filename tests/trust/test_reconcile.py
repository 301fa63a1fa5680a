"""`reconcile`: what was written past the history becomes part of it, once, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from support.binding import binds
from support.changes import automatic, edited, told, tracked_otherwise
from support.crates import Crate, collection, crate, paths, write
from support.crews import Overlap
from support.documents import raw
from support.stored_history import history

from mongoengine_history import (
    OptionsError,
    Reconciled,
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

pytestmark = pytest.mark.usefixtures("at_once")

tracking = automatic(Crate)


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

    @binds
    def test_it_is_refused_in_a_transaction(self) -> None:
        made = crate()
        with pytest.raises(OptionsError, match="transaction"), changeset(atomic=True):
            reconcile(made)


def with_time_to(monkeypatch: Any, happen: Callable[[], object]) -> None:
    """Let something happen the first time that `reconcile` waits."""
    waits = iter([happen])
    clock = SimpleNamespace(sleep=lambda _: next(waits, lambda: None)())
    monkeypatch.setattr(reconciling, "time", clock)
