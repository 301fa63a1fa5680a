"""Going back to before the class was changed: what is saved can be found again, to the byte."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mongoengine as me
import pytest
from bson import ObjectId
from support.changes import tracked
from support.moments import now

from mongoengine_history import (
    OptionsError,
    StateMismatchError,
    as_of,
    history_of,
    restore,
    revert,
    track_history,
    untrack_history,
)
from mongoengine_history.documents.options import is_tracked

if TYPE_CHECKING:
    from collections.abc import Iterator


class Loose(me.Document):
    meta = {"collection": "loose", "strict": False, "auto_create_index": False}
    number = me.IntField()
    tags = me.ListField(me.StringField())


class Plain(me.Document):
    meta = {"collection": "sheets", "auto_create_index": False}
    text = me.StringField()


class Sheet(me.Document):
    meta = {"collection": "sheets", "allow_inheritance": True, "auto_create_index": False}
    text = me.StringField()


@pytest.fixture(autouse=True)
def tracking(database: Any) -> Iterator[None]:
    with tracked(Loose, Plain, Sheet):
        yield


def inherited(sheet: Plain) -> Sheet:
    """Let the class have subclasses from now on."""
    Sheet._get_collection().update_many({}, {"$set": {"_cls": "Sheet"}})
    return Sheet.objects.get(pk=sheet.pk)


def test_what_is_older_than_the_subclasses_is_found_after_a_revert() -> None:
    plain = Plain(text="old").save()
    sheet = inherited(plain)
    sheet.text = "new"
    sheet.save()
    revert(sheet, revision=1).save()
    assert Sheet.objects.get(pk=plain.pk).text == "old"
    assert history_of(sheet).compare(-1, None) == []


def test_what_is_older_than_the_subclasses_is_found_after_a_restore() -> None:
    plain = Plain(text="old").save()
    plain.delete()
    restore(Sheet, plain.pk).save()
    assert Sheet.objects.get(pk=plain.pk).text == "old"


@pytest.mark.mongodb(5)
@pytest.mark.parametrize(
    "odd", [{"http.status": 200}, {"": 1}, {"$a": "$number"}, {"a.": {"b": 1}}]
)
def test_names_that_no_update_can_set_come_back(database: Any, odd: dict[str, Any]) -> None:
    stored = {"number": 1, "tags": ["a", "b"], **odd}
    key = database.loose.insert_one(dict(stored)).inserted_id
    Loose._get_collection().replace_one({"_id": key}, {"number": 2, "x.y": 3})
    loose = revert(Loose.objects.get(pk=key), revision=0)
    loose.tags[1] = "c"
    loose.save()
    wanted = {**stored, "tags": ["a", "c"]}
    assert database.loose.find_one({}, {"_id": 0}) == wanted
    assert history_of(loose)[-1].operation == "revert"
    assert history_of(loose).state(-1) == wanted


def test_renamed_fields_and_classes_come_back_under_their_new_names(database: Any) -> None:
    plain = Plain(text="old").save()
    gone = Plain(text="gone").save()
    when = now()
    gone.delete()

    @track_history(renamed={"text": "title", "Sheet": "Titled"})
    class Titled(me.Document):
        meta = {"collection": "sheets", "allow_inheritance": True, "auto_create_index": False}
        title = me.StringField(db_field="t")

    database.sheets.update_one({}, {"$rename": {"text": "t"}, "$set": {"_cls": "Titled"}})
    Sheet._get_collection().insert_one({"text": "one", "_cls": "Sheet"})
    other = database.sheets.find_one({"text": "one"})["_id"]
    titled = Titled.objects.get(pk=plain.pk)
    titled.title = "new"
    titled.save()
    assert history_of(Titled, other).at(1).title == "one"
    assert {it.title for it in as_of(Titled, when)} == {"old", "gone"}
    revert(titled, revision=1).save()
    stored = database.sheets.find_one({"_id": plain.pk}, {"_id": 0})
    assert stored == {"t": "old", "_cls": "Titled"}
    restore(Titled, gone.pk).save()
    assert Titled.objects.get(pk=gone.pk).title == "gone"
    untrack_history(Titled)


@pytest.mark.parametrize("renamed", ["ab", 5, {"a": 1}, {"_id": "a"}])
def test_what_was_renamed_is_a_dict_of_names(renamed: Any) -> None:
    with pytest.raises(OptionsError):
        track_history(renamed=renamed)


class Titled(me.Document):
    meta = {"collection": "titled", "allow_inheritance": True, "auto_create_index": False}
    title = me.StringField(db_field="t")


class TitledTwice(Titled):
    subtitle = me.StringField()


@pytest.mark.parametrize("new", ["tittle", "Titel", "TitledToo", "text", "title.a", ""])
def test_what_was_renamed_to_nothing_is_refused(new: str) -> None:
    with pytest.raises(OptionsError, match="'old': 'new'") as caught:
        track_history(renamed={"text": new})(Titled)
    assert caught.value.name == "renamed"
    assert not is_tracked(Titled)
    unasked = type("Asking", (me.Document,), asking({"text": new}))
    with pytest.raises(OptionsError, match="'old': 'new'"):
        history_of(unasked, ObjectId())
    with pytest.raises(OptionsError, match="'old': 'new'"):
        track_history(renamed={"text": new})(
            type("Any", (me.Document,), {"meta": {"abstract": True}})
        )


@pytest.mark.parametrize("new", ["title", "t", "subtitle", "Titled", "Titled.TitledTwice"])
def test_fields_and_classes_of_today_are_known(new: str) -> None:
    track_history(renamed={"text": new})(Titled)
    untrack_history(Titled)


def test_a_class_that_is_defined_later_may_be_named() -> None:
    track_history(renamed={"Titled.Old": "Titled.Later"})(Titled)
    untrack_history(Titled)


def test_a_dynamic_class_has_any_field() -> None:
    model = type("Anything", (me.DynamicDocument,), asking({"text": "title"}))
    assert history_of(model, ObjectId()) is not None


def test_what_a_base_says_needs_to_be_in_one_class_below() -> None:
    class Common(me.Document):
        meta = {"abstract": True, "history": {"renamed": {"text": "title"}}}

    class With(Common):
        title = me.StringField()

    class Without(Common):
        pass

    for model in (With, Without):
        assert history_of(model, ObjectId()) is not None


def asking(renamed: dict[str, str]) -> dict[str, Any]:
    return {"meta": {"history": {"renamed": renamed}}}


def test_a_state_that_does_not_fit_tells_how_to_say_what_was_renamed(database: Any) -> None:
    class Changed(me.Document):
        meta = {"collection": "sheets", "auto_create_index": False}
        title = me.StringField()

    plain = Plain(text="old").save()
    database.sheets.update_one({}, {"$rename": {"text": "title"}})
    with pytest.raises(StateMismatchError, match=r"renamed=\{'old': 'new'\}") as caught:
        revert(Changed.objects.get(pk=plain.pk), revision=1)
    assert caught.value.keys == ["text"]


def test_names_that_no_update_can_set_are_restored(database: Any) -> None:
    stored = {"number": 1, "http.status": 200}
    key = database.loose.insert_one(dict(stored)).inserted_id
    Loose.objects(pk=key).delete()
    restore(Loose, key).save()
    assert database.loose.find_one({}, {"_id": 0}) == stored
