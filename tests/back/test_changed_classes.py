"""Going back to before the class was changed: what is saved can be found again, to the byte."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mongoengine as me
import pytest
from support.moments import now

from mongoengine_history import (
    OptionsError,
    as_of,
    history_of,
    restore,
    revert,
    track_history,
    untrack_history,
)

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
def tracked(database: Any) -> Iterator[None]:
    for model in (Loose, Plain, Sheet):
        track_history(model)
    yield
    for model in (Loose, Plain, Sheet):
        untrack_history(model)


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


def test_names_that_no_update_can_set_are_restored(database: Any) -> None:
    stored = {"number": 1, "http.status": 200}
    key = database.loose.insert_one(dict(stored)).inserted_id
    Loose.objects(pk=key).delete()
    restore(Loose, key).save()
    assert database.loose.find_one({}, {"_id": 0}) == stored
