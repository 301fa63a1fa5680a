"""Which classes are tracked, from when to when, and what that does to them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

import mongoengine as me
import pytest
from bson import Decimal128, Int64, ObjectId
from mongoengine import Document, DynamicDocument, EmbeddedDocument
from mongoengine.queryset import QuerySet
from pymongo.collection import Collection

from mongoengine_history import History, OptionsError, history_of, track_history, untrack_history
from mongoengine_history.capture import track_history as tracking
from mongoengine_history.documents import fieldpaths


def meta(name: str, **more: Any) -> dict[str, Any]:
    return {"collection": f"registered_{name}", "auto_create_index": False, **more}


@track_history
class Plainly(Document):
    meta = meta("plainly")
    text = me.StringField()


@track_history(version_every=2, identity=lambda: "of the class")
class WithOptions(Document):
    meta = meta("options")
    text = me.StringField()


class Called(Document):
    meta = meta("called")
    text = me.StringField()


assert track_history(Called, version_every=0) is Called


@track_history()
class Emptily(Document):
    meta = meta("emptily")
    text = me.StringField()


class Base(Document):
    meta = {"abstract": True}
    text = me.StringField()


class Early(Base):
    meta = meta("early")


track_history(Base)


class Late(Base):
    meta = meta("late")


@track_history
class Dynamic(DynamicDocument):
    meta = meta("dynamic")


@track_history
class Note(Document):
    meta = meta("notes", allow_inheritance=True)
    text = me.StringField(max_length=20)
    tags = me.ListField(me.StringField())
    owner = me.ReferenceField("self")


class Querying(QuerySet):
    pass


class LateNote(Note):
    meta = {"queryset_class": Querying, "index_cls": False}
    more = me.StringField()


class Untouched(Document):
    meta = meta("untouched", allow_inheritance=True)
    text = me.StringField(max_length=20)
    children = me.ListField(me.ReferenceField("self"))


class Below(Untouched):
    pass


@pytest.fixture(scope="module", autouse=True)
def tracked() -> Iterator[None]:
    yield
    for model in (Plainly, WithOptions, Called, Emptily, Base, Dynamic, Note):
        untrack_history(model)


@pytest.fixture(autouse=True)
def indexed(database: Any) -> None:
    """The collection of the history and its indexes are there."""
    History.ensure_indexes()


def operations(document: Document) -> list[str]:
    return [revision.operation for revision in history_of(document)]


def live_of(model: type[Document]) -> Document:
    """Create, change in two ways and delete a document."""
    document = model(text="a").save()
    document.text = "b"
    document.save()
    model.objects(pk=document.pk).update(text="c")
    document.delete()
    return document


LIFE = ["create", "update", "update", "delete"]


@pytest.mark.parametrize(
    "model", [Plainly, WithOptions, Called, Emptily, Early, Late, Dynamic, Note, LateNote]
)
def test_each_form_and_each_relation_tracks_the_class(model: type[Document]) -> None:
    assert operations(live_of(model)) == LIFE


def test_options_hold_for_their_class(database: Any) -> None:
    identities = [revision.identity for revision in history_of(live_of(WithOptions))]
    assert identities == ["of the class"] * 4
    versions = database["history"].find({"position": -1, "document_type": "registered_options"})
    assert sorted(version["revision"] for version in versions) == [2, 4]
    assert [revision.identity for revision in history_of(live_of(Called))] == [None] * 4
    assert database["history"].count_documents({"document_type": "registered_called"}) == 4


def test_a_base_that_is_not_tracked_is_left_alone() -> None:
    track_history(Below)
    try:
        assert operations(live_of(Below)) == LIFE
        assert operations(live_of(Untouched)) == []
    finally:
        untrack_history(Below)
    assert operations(live_of(Below)) == []


def test_all_classes_are_tracked_by_their_common_base_but_the_history(monkeypatch: Any) -> None:
    monkeypatch.setattr(tracking, "_covers", {})  # other classes here are tracked already, …
    monkeypatch.setattr(fieldpaths, "with_subclasses", lambda cls: iter([cls]))  # … or wrong
    assert track_history(Document) is Document
    try:
        document = live_of(Untouched)
        assert operations(document) == LIFE
        assert operations(live_of(Below)) == LIFE
        assert operations(live_of(WithOptions)) == LIFE
        History.objects(document_id=document.pk).update(reason="told later")
        History.objects(document_id=document.pk, revision=4).delete()
        History(document_type="x", document_id=1, action="add", path="").save()
        assert History.objects(document_type="history").count() == 0
        assert operations(document) == LIFE[:3]
    finally:
        untrack_history(Document)
    assert operations(live_of(Untouched)) == []


class Embedded(EmbeddedDocument):
    pass


@pytest.mark.parametrize("cls", [Embedded, History, dict, Plainly(), "Note", 7])
def test_only_a_class_of_documents_can_be_tracked(cls: Any) -> None:
    with pytest.raises(OptionsError) as caught:
        track_history(cls)
    assert caught.value.name == "cls"


@pytest.mark.parametrize("cls", [Plainly, LateNote, Base, Early, Document])
def test_a_class_is_tracked_once(cls: Any) -> None:
    with pytest.raises(OptionsError, match="is tracked already"):
        track_history(cls)


@pytest.mark.parametrize("cls", [Untouched, LateNote, Early, Document])
def test_only_a_tracked_class_can_be_untracked(cls: Any) -> None:
    with pytest.raises(OptionsError, match="was not called for this class"):
        untrack_history(cls)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("version_every", -1),
        ("version_every", True),
        ("identity", "anna"),
        ("strict", "yes"),
        ("on_error", "ignore"),
        ("exclude", [""]),
        ("exclude", "no_such_field"),
        ("mask", ["children..text"]),
        ("fingerprint_key", b"short"),
    ],
)
def test_an_option_that_cannot_be_used_is_refused(name: str, value: Any) -> None:
    before = dict(vars(Untouched))
    with pytest.raises(OptionsError) as caught:
        track_history(Untouched, **{name: value})
    assert caught.value.name == name
    with pytest.raises(OptionsError):
        track_history(**{name: value})(Untouched)
    assert dict(vars(Untouched)) == before
    assert operations(live_of(Untouched)) == []


def test_an_untracked_class_is_as_it_was() -> None:
    live_of(Untouched)
    live_of(Below)
    before = [dict(vars(model)) for model in (Untouched, Below)]
    kinds = [type(Untouched.objects), type(Untouched._get_collection())]
    track_history(Untouched)
    live_of(Untouched)
    live_of(Below)
    untrack_history(Untouched)
    live_of(Untouched)
    live_of(Below)
    assert [dict(vars(model)) for model in (Untouched, Below)] == before
    assert [type(Untouched.objects), type(Untouched._get_collection())] == kinds
    assert type(Below._get_collection()) is Collection


def test_what_was_made_before_it_was_untracked_records_no_more() -> None:
    track_history(Untouched)
    document, query = Untouched(text="a").save(), Untouched.objects(text="a")
    moved = Untouched(text="b").switch_collection("registered_elsewhere")
    untrack_history(Untouched)
    document.text = "a"
    document.save()
    query.update(text="c")
    moved.save()
    assert History.objects.distinct("operation") == ["create"]
    assert len(history_of(document)) == 1


def test_a_class_can_be_tracked_again_with_other_options() -> None:
    track_history(Untouched, identity=lambda: "first")
    document = Untouched(text="a").save()
    untrack_history(Untouched)
    track_history(Untouched, identity=lambda: "second")
    document.text = "b"
    document.save()
    untrack_history(Untouched)
    assert [revision.identity for revision in history_of(document)] == ["first", "second"]


def test_a_method_of_its_own_stays_and_is_called() -> None:
    heard = []

    class Own(Document):
        meta = meta("own")
        text = me.StringField()

        def delete(self, *args: Any, **kwargs: Any) -> None:
            heard.append(("delete", kwargs))
            super().delete(*args, **kwargs)

        @classmethod
        def _get_collection(cls) -> Any:
            heard.append("collection")
            return super()._get_collection()

        def _save_update(self, *args: Any, **kwargs: Any) -> Any:
            heard.append("update")
            return super()._save_update(*args, **kwargs)

    own = dict(vars(Own))
    track_history(Own)
    assert operations(live_of(Own)) == LIFE
    assert {"collection", "update"} <= {each for each in heard if isinstance(each, str)}
    assert ("delete", {}) in heard
    untrack_history(Own)
    assert {name: vars(Own)[name] for name in own if name != "_collection"} == {
        name: value for name, value in own.items() if name != "_collection"
    }


def test_an_application_that_connects_anew_goes_on(mongodb_uri: str) -> None:
    name = me.get_db().name

    @track_history
    class Moving(Document):
        meta = meta("moving", db_alias="moving")
        text = me.StringField()

    try:
        me.connect(name, alias="moving", host=mongodb_uri, uuidRepresentation="standard")
        document = Moving(text="a").save()
        for text in "bc":
            me.disconnect("moving")
            me.connect(name, alias="moving", host=mongodb_uri, uuidRepresentation="standard")
            document.text = text
            document.save()
            Moving.objects.update(text=text * 2)
        assert operations(document) == ["create"] + ["update"] * 4
    finally:
        untrack_history(Moving)
        me.disconnect("moving")


class Coded(Document):
    meta = meta("coded")
    code = me.DynamicField(primary_key=True)
    text = me.StringField()


class Numbered(Document):
    meta = meta("numbered")
    code = (me.LongField if hasattr(me, "LongField") else me.IntField)(primary_key=True)
    text = me.StringField()


class Measured(Document):
    meta = meta("measured")
    code = me.FloatField(primary_key=True)
    text = me.StringField()


KEYS = [
    *[(Coded, key) for key in ("text", {"a": 1, "b": [2]}, b"bytes", ObjectId(), UUID(int=7))],
    *[(Coded, key) for key in (1, 1.5, True, datetime(2020, 1, 2), Decimal128("1.0"))],
    *[(Numbered, key) for key in (1, 2**40)],
    *[(Measured, key) for key in (1, 1.5)],
]


@pytest.mark.parametrize(("model", "key"), KEYS)
def test_a_key_may_be_anything(model: type[Document], key: Any) -> None:
    track_history(model)
    try:
        model(code=key, text="a").save()
        model.objects(code=key).update(text="b")
        model.objects.get(code=key).update(text="c")
        model(code=key, text="d").save()
        model.objects(code__in=[key]).modify(text="e")
        model.objects.get(code=key).delete()
        model.objects.insert(model(code=key, text="f"), load_bulk=False)
        found = history_of(model, key)
        operations = ["create", "update", "update", "update", "update", "delete", "create"]
        assert [it.operation for it in found] == operations
        assert "".join(found.state(number)["text"] for number in (1, 2, 3, 4, 5, 7)) == "abcdef"
    finally:
        untrack_history(model)


@pytest.mark.parametrize("stored", [5, 5.0, Int64(5)])
def test_a_number_is_one_key_whatever_its_type(database: Any, stored: Any) -> None:
    """So says the server; other applications may write it otherwise than the class."""
    track_history(Numbered)
    try:
        database["registered_numbered"].insert_one({"_id": stored, "text": "a"})
        Numbered.objects(code=5).update(text="b")
        document = Numbered.objects.get(code=5)
        document.text = "c"
        document.save()
        Numbered.objects.modify(text="d")
        document.delete()
        found = history_of(Numbered, 5)
        assert [it.operation for it in found] == ["update"] * 3 + ["delete"]
        assert [found.state(number)["text"] for number in range(4)] == ["a", "b", "c", "d"]
    finally:
        untrack_history(Numbered)
