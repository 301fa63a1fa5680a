"""``refuse_stale`` where memory is not what is stored: only a change of another writer counts."""

from __future__ import annotations

from typing import Any

import mongoengine as me
import pytest
from mongoengine import signals
from mongoengine.errors import OperationError
from pymongo.errors import DocumentTooLarge
from support.documents import raw
from support.stale import Card, Loose, Numbered, by_another, loaded, put, refused, tracked_by

from mongoengine_history import DocumentTrack, HistoryError, track_changes

way = tracked_by(Card, Loose, Numbered)


@pytest.mark.parametrize("values", [{"text": "a"}, {"tags": ["x"]}, {"facts": {"k": 1}}, {}])
def test_a_new_document_is_seen_by_the_second_save_of_its_block(values: Any) -> None:
    card = Card(**values)
    with DocumentTrack(card, refuse_stale=True):
        card.save()
        put(text="b", tags=["y"], facts__k=2)(card)
        card.save()
        card.text = "c"
        by_another(card, {"$set": {"text": "z"}})
        assert refused(card).seen == "b"


def test_a_new_document_with_a_key_is_seen_by_the_second_save_of_its_block() -> None:
    card = Numbered(number=1, text="a", tags=["x"])
    with DocumentTrack(card, refuse_stale=True):
        card.save()
        put(text="b", tags=["y"])(card)
        card.save()
    assert raw(card) == {"_id": 1, "text": "b", "tags": ["y"]}


def test_what_is_emptied_may_be_filled_again_in_the_same_block() -> None:
    """MongoEngine takes it out of what is stored, and keeps it in memory."""
    card = loaded(Card, {"text": "a", "tags": ["x"], "facts": {"k": 1}, "lines": [{"sku": "s"}]})
    with DocumentTrack(card, refuse_stale=True):
        put(text=None, tags=[], facts__k=None)(card)
        card.save()
        put(text="b", tags=["y"], facts__k=2)(card)
        card.save()
    assert raw(card)["facts"] == {"k": 2}


@pytest.mark.parametrize("other", [None, 5, [5]])
def test_a_key_that_the_server_cannot_set_is_an_error_as_ever(other: Any) -> None:
    """Never a save that looks as if it had written."""
    edits = {"facts": put(facts__new=2), "facts.deep": put(facts__deep__new=2)}
    for path, edit in edits.items():
        card = loaded(Card, {"facts": {"deep": {"k": 1}}})
        with DocumentTrack(card, refuse_stale=True):
            edit(card)
            by_another(card, {"$set": {path: other}})
            with pytest.raises((OperationError, HistoryError)):
                card.save()


def test_a_large_list_can_be_written_over() -> None:
    card = loaded(Card, {"tags": ["x" * 1_000_000]})
    with DocumentTrack(card, refuse_stale=True):
        card.tags = ["y" * 1_000_000]
        card.save()
        by_another(card, {"$set": {"tags": ["z"]}})
        card.tags = ["w"]
        assert refused(card).path == ("tags",)


def test_what_is_too_much_for_one_command_is_not_written() -> None:
    """The value that was seen and the new one are sent together."""
    card = loaded(Card, {"tags": ["x" * 9_000_000]})
    with DocumentTrack(card, refuse_stale=True):
        card.tags = ["y" * 9_000_000]
        with pytest.raises(DocumentTooLarge):
            card.save()
    assert raw(card)["tags"][0][0] == "x"


def test_a_number_of_another_type_is_another_value() -> None:
    card = loaded(Card, {"facts": {"k": 1}})
    with DocumentTrack(card, refuse_stale=True):
        put(facts__k=2)(card)
        by_another(card, {"$set": {"facts.k": 1.0}})
        assert refused(card).path == ("facts", "k")


def test_values_that_python_calls_equal_are_as_they_were_stored() -> None:
    """MongoEngine does not store them, so they were not seen by anybody."""
    card = loaded(Card, {"text": "a", "facts": {"k": 1}})
    with DocumentTrack(card, refuse_stale=True):
        put(text="b", facts__k=True)(card)
        card.save()
        card.facts["k"] = 5
        card.save()
    assert raw(card)["facts"] == {"k": 5}


def test_no_number_and_no_time_that_memory_has_made_is_taken_for_seen() -> None:
    """Each time that such a document is loaded, other values come out of its defaults."""

    class Made(me.EmbeddedDocument):
        text = me.StringField()
        at = me.ObjectIdField(default=me.fields.ObjectId)

    class Maker(me.Document):
        meta = {"collection": "makers", "auto_create_index": False}
        own = me.ObjectIdField(default=me.fields.ObjectId)
        parts = me.EmbeddedDocumentListField(Made)

    for edit in (
        lambda it: setattr(it, "own", me.fields.ObjectId()),
        lambda it: setattr(it.parts[0], "text", "b"),
    ):
        maker = loaded(Maker, {"parts": [{"text": "a"}]})
        with DocumentTrack(maker, refuse_stale=True):
            edit(maker)
            maker.save()
        assert raw(maker) != {"_id": maker.pk, "parts": [{"text": "a"}]}


def test_numbers_of_embedded_documents_are_not_used_up(database: Any) -> None:
    class Numbering(me.EmbeddedDocument):
        number = me.SequenceField(collection_name="stale_counters")
        text = me.StringField()

    class Order(me.Document):
        meta = {"collection": "stale_orders", "auto_create_index": False}
        lines = me.EmbeddedDocumentListField(Numbering)

    order = loaded(Order, {"lines": [{"text": "a"}, {"text": "b"}]})
    with DocumentTrack(order, refuse_stale=True):
        assert database["stale_counters"].find_one() is None
        order.lines[0].text = "c"
        order.save()
    assert raw(order)["lines"][0]["text"] == "c"


def test_an_operator_of_the_applications_own_is_no_change_of_another() -> None:
    class Locked(me.Document):
        meta = {"collection": "stale_locked", "auto_create_index": False}
        text = me.StringField()
        version = me.IntField(default=0)

        def _get_update_doc(self) -> Any:
            update = super()._get_update_doc()
            return {**update, "$inc": {"version": 1}} if update else update

    signals.post_save.connect(track_changes, sender=Locked)
    locked = Locked(text="a").save()
    with DocumentTrack(locked, refuse_stale=True):
        for text in "bc":
            locked.text = text
            locked.save()
    assert raw(locked)["version"] == 2


def test_dynamic_fields_are_compared_as_others_are() -> None:
    loose = loaded(Loose, {"text": "a", "more": {"k": 1}, "some": [1, 2], "n": 1})
    with DocumentTrack(loose, refuse_stale=True):
        loose.n, loose.some, loose.new = 2, [3], "made"
        loose.save()
        for name, value in {"n": 9, "some": [9], "new": 9}.items():
            setattr(loose, name, "mine")
            by_another(loose, {"$set": {name: value}})
            assert refused(loose).path == (name,)
            loose.reload()
