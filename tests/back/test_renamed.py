"""The way back over a migration that renamed fields, whether the history saw it or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mongoengine as me
import pytest

from mongoengine_history import (
    History,
    HistoryWarning,
    OptionsError,
    StateMismatchError,
    UndoConflictError,
    changeset,
    history_of,
    redact,
    revert,
    revert_changeset,
    track_history,
    undo,
    untrack_history,
)
from mongoengine_history.documents.options import is_tracked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Tea(me.Document):
    meta = {"collection": "renamed_teas", "auto_create_index": False}
    name = me.StringField()
    number = me.IntField()


class Titled(me.Document):
    meta = {"collection": "renamed_teas", "auto_create_index": False}
    title = me.StringField(db_field="t")
    number = me.IntField()


@pytest.fixture(params=["tracked", "untracked"])
def titled(request: pytest.FixtureRequest, database: Any) -> Iterator[Titled]:
    """A document of which the name was set twice before it was renamed."""
    track_history(Tea)
    with changeset():
        tea = Tea(name="Tea", number=1).save()
    with changeset():
        Tea.objects.get().modify(name="Typo", number=2)
    rename = {"$rename": {"name": "t"}}
    collection = Tea._get_collection() if request.param == "tracked" else database.renamed_teas
    collection.update_many({}, rename)
    untrack_history(Tea)
    track_history(renamed={"name": "title"})(Titled)
    yield Titled.objects.get(pk=tea.pk)
    untrack_history(Titled)


def stored(database: Any) -> Any:
    return database.renamed_teas.find_one({}, {"_id": 0})


def test_what_was_set_under_the_old_name_is_taken_back(titled: Titled, database: Any) -> None:
    revert(titled, since=history_of(titled)[2].at).save()
    assert stored(database) == {"t": "Tea", "number": 1}
    assert history_of(titled).at(-1).title == "Tea"


def test_under_both_names_it_is_one_value(titled: Titled, database: Any) -> None:
    titled.title = "Green"
    titled.save()
    titled.title = "Black"
    titled.save()
    revert(titled).save()
    assert stored(database) == {"t": "Tea", "number": 1}


def test_with_the_first_name_that_was_found_after_the_migration(
    titled: Titled, database: Any
) -> None:
    titled.title = "Green"
    titled.save()
    revert(titled, since=history_of(titled)[-1].at).save()
    assert stored(database) == {"t": "Typo", "number": 2}


def test_to_take_the_migration_back_leaves_the_value(titled: Titled, database: Any) -> None:
    newest = history_of(titled)[-1]
    revert(titled, since=newest.at).save()
    # Untracked, the newest revision is the one that set the value.
    assert stored(database)["t"] == ("Typo" if newest.number > 2 else "Tea")


def test_a_revision_under_the_old_name_can_be_undone(titled: Titled, database: Any) -> None:
    database.renamed_teas.update_one({}, {"$set": {"number": 2}})
    undo(titled, 2).save()
    assert stored(database) == {"t": "Tea", "number": 1}


def test_a_later_write_under_the_new_name_is_a_conflict(titled: Titled) -> None:
    titled.title = "Green"
    titled.save()
    with pytest.raises(UndoConflictError) as caught:
        undo(titled, 2)
    assert [conflict.path for conflict in caught.value.conflicts] == [("t",)]


def test_a_changeset_under_the_old_name_can_be_reverted(titled: Titled, database: Any) -> None:
    key = history_of(titled)[2].changeset
    assert key is not None
    (step,) = revert_changeset(key, dry_run=True).steps
    assert ("change", ["t"], ("Typo", "Tea")) in step.patches
    revert_changeset(key)
    assert stored(database) == {"t": "Tea", "number": 1}


def test_a_changeset_of_what_was_not_migrated_yet(titled: Titled, database: Any) -> None:
    database.renamed_teas.update_one({}, {"$rename": {"t": "name"}})
    key = history_of(titled)[2].changeset
    assert key is not None
    revert_changeset(key)
    assert stored(database) == {"t": "Tea", "number": 1}


@pytest.mark.parametrize("name", ["title", "t"])
def test_what_was_set_under_the_old_name_is_found(titled: Titled, name: str) -> None:
    setter = history_of(titled).blame(name)
    assert setter is not None
    assert setter.number == len(history_of(titled))
    numbers = {it.revision for it in History.objects.of(titled).touching(name)}
    assert numbers == {*range(1, len(history_of(titled)) + 1)}


def test_what_is_redacted_is_gone_under_the_old_name_too(titled: Titled, database: Any) -> None:
    titled.title = "Green"
    titled.save()
    redact(Titled, "title", titled.pk)
    assert not {"Tea", "Typo"} & {*map(str, history_of(titled).state(1).values())}
    assert all("Typo" not in str(revision) for revision in history_of(titled))
    revert(Titled.objects.get(), revision=1).save()
    assert stored(database) == {"t": "Green", "number": 1}


def test_what_is_stored_under_both_names_is_no_single_value(titled: Titled, database: Any) -> None:
    """None of the two is lost without a word: nothing goes back until one of them is gone."""
    key = history_of(titled)[2].changeset
    assert key is not None
    database.renamed_teas.update_one({}, {"$set": {"name": "Old"}})
    ways: list[Callable[[], object]] = [
        lambda: revert(titled, revision=1),
        lambda: revert(titled),
        lambda: undo(titled, 2),
        lambda: revert_changeset(key),
        lambda: revert_changeset(key, bypass_methods=True),
    ]
    for way in ways:
        with pytest.raises(StateMismatchError, match="remove those that are wrong") as caught:
            way()
        assert caught.value.keys == ["name"]
    assert stored(database) == {"t": "Typo", "number": 2, "name": "Old"}
    database.renamed_teas.update_one({}, {"$unset": {"name": 1}})
    revert_changeset(key)
    assert stored(database) == {"t": "Tea", "number": 1}


def test_what_was_recorded_under_both_names_is_told(titled: Titled, database: Any) -> None:
    Titled.objects.update(title="Green")
    Titled._get_collection().update_one({}, {"$set": {"name": "Old"}})
    number = len(history_of(titled))
    Titled._get_collection().update_one({}, {"$unset": {"name": 1}})
    with pytest.warns(HistoryWarning, match="name"):
        revert(titled, revision=number).save()
    assert stored(database) == {"t": "Green", "number": 2}
    assert history_of(titled).state(number)["name"] == "Old"


def test_what_was_first_set_anew_gets_back_what_the_old_name_had(database: Any) -> None:
    """The application wrote the new name before the migration took the old one away."""
    track_history(Tea)
    tea = Tea(name="Tea", number=1).save()
    untrack_history(Tea)
    track_history(renamed={"name": "title"})(Titled)
    try:
        Titled.objects(pk=tea.pk).update(title="Green")
        database.renamed_teas.update_one({}, {"$unset": {"name": 1}})
        titled = Titled.objects.get()
        revert(titled, since=history_of(titled)[2].at).save()
        assert stored(database) == {"t": "Tea", "number": 1}
    finally:
        untrack_history(Titled)


class Named(me.Document):
    meta = {"collection": "renamed_teas", "auto_create_index": False}
    title = me.StringField(db_field="t")


def test_what_was_renamed_is_shown_where_another_field_was_removed(database: Any) -> None:
    track_history(Tea)
    tea = Tea(name="Tea", number=1).save()
    untrack_history(Tea)
    track_history(renamed={"name": "title"})(Named)
    try:
        with pytest.warns(HistoryWarning, match=r"fields for \['number'\]"):
            assert history_of(Named, tea.pk).at(1).title == "Tea"
        with pytest.raises(StateMismatchError) as caught:
            revert(Named(pk=tea.pk), revision=1)
        assert caught.value.keys == ["number"]
    finally:
        untrack_history(Named)


class Hidden(me.Document):
    meta = {"collection": "renamed_teas", "auto_create_index": False}
    title = me.StringField(db_field="t")
    number = me.IntField()
    note = me.DictField(db_field="n")
    told = me.StringField(history=False)


SECRETS = {"name": "S3CRET", "memo": {"pin": "S3CRET"}, "said": "S3CRET"}

HIDING: dict[str, Any] = {
    "exclude": {"exclude": ["title", "note.pin"]},
    "mask": {"mask": ["title", "note"]},
    "a key": {"mask": ["title", "note.pin"], "fingerprint_key": b"a key of fingerprints"},
}


@pytest.mark.parametrize("how", HIDING)
def test_what_is_hidden_is_hidden_under_the_name_of_before(database: Any, how: str) -> None:
    """And it stays where it is, under the name of today, when all else goes back."""
    pk = database.renamed_teas.insert_one({**SECRETS, "number": 1}).inserted_id
    renamed = {"name": "title", "memo": "note", "said": "told"}
    track_history(renamed=renamed, **HIDING[how])(Hidden)
    try:
        with changeset() as unit:
            Hidden.objects(pk=pk).update(number=2)
        revert_changeset(unit)
        Hidden.objects(pk=pk).update(number=2)
        document = history_of(Hidden, pk).at(1)
        revert(document, revision=0).save()
        assert stored(database) == {
            "t": "S3CRET",
            "n": {"pin": "S3CRET"},
            "told": "S3CRET",
            "number": 1,
        }
        database.renamed_teas.update_one({}, {"$rename": {"t": "name", "n": "memo"}})
        Hidden._get_collection().delete_one({})
        assert "S3CRET" not in str([*database.history.find()])
    finally:
        untrack_history(Hidden)


def refused(model: Any, renamed: dict[str, str]) -> None:
    with pytest.raises(OptionsError, match="is stored today, too") as caught:
        track_history(renamed=renamed)(model)
    assert caught.value.name == "renamed"
    assert not is_tracked(model)


@pytest.mark.parametrize(
    "renamed", [{"number": "title"}, {"t": "number", "number": "t"}, {"t": "title"}]
)
def test_what_is_a_field_of_today_is_no_former_name(renamed: dict[str, str]) -> None:
    refused(Titled, renamed)


class Base(me.Document):
    meta = {"collection": "bases", "allow_inheritance": True, "auto_create_index": False}
    title = me.StringField()


class Below(Base):
    name = me.StringField()


@pytest.mark.parametrize("renamed", [{"name": "title"}, {"Base.Below": "Base"}, {"_cls": "title"}])
def test_what_a_class_below_has_is_no_former_name(renamed: dict[str, str]) -> None:
    refused(Base, renamed)


@pytest.mark.parametrize("renamed", [{"a": "b", "b": "a"}, {"a": "b", "b": "c"}, {"a": "a"}])
def test_names_form_no_chain_in_a_dynamic_class(renamed: dict[str, str]) -> None:
    refused(type("Anyhow", (me.DynamicDocument,), {"meta": {"collection": "any"}}), renamed)


def test_the_name_of_an_attribute_may_have_been_stored() -> None:
    class Moved(me.Document):
        meta = {"collection": "moved", "auto_create_index": False}
        first = me.StringField(db_field="f")
        last = me.StringField(db_field="l")

    track_history(renamed={"first": "last", "last": "first"})(Moved)
    untrack_history(Moved)
