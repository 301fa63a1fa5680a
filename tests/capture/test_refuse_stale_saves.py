"""``refuse_stale`` in all that a save, a block and a class may be."""

from __future__ import annotations

import pickle

import pytest
from mongoengine.errors import NotUniqueError, OperationError, SaveConditionError
from support.binding import binds
from support.documents import raw
from support.stale import (
    Card,
    Hidden,
    Loose,
    Numbered,
    by_another,
    loaded,
    put,
    recorded,
    refused,
    tracked_by,
)

from mongoengine_history import (
    ABSENT,
    DocumentTrack,
    HistoryError,
    changeset,
    history_of,
    revert,
    untracked,
)

way = tracked_by(Card, Hidden, Loose, Numbered)


def test_each_save_of_a_block_is_seen_by_the_next_one(way: str) -> None:
    card = loaded(Card, {"text": "a", "tags": ["x"], "facts": {"k": 1}})
    with DocumentTrack(card, refuse_stale=True):
        for number in range(3):
            put(text=str(number), tags=[str(number)], facts__k=number)(card)
            card.save()
        card.text = "last"
        by_another(card, {"$set": {"text": "z"}})
        error = refused(card)
    assert (error.seen, error.found) == ("2", "z")
    assert len(history_of(card)) == (0 if way == "neither" else 3)


def test_a_new_document_with_a_key_of_its_own_must_not_be_there_yet(way: str) -> None:
    Numbered(number=1, text="a").save()
    for options in ({}, {"force_insert": True}):
        numbered = Numbered(number=1, text="b")
        with DocumentTrack(numbered, refuse_stale=True):
            error = refused(numbered, **options)
        assert (error.document_id, error.path, error.seen) == (1, (), ABSENT)
        assert error.found["text"] == "a"
    numbered = Numbered(number=2, text="b")
    with DocumentTrack(numbered, refuse_stale=True):
        numbered.save()
    assert raw(numbered) == {"_id": 2, "text": "b", "tags": []}
    assert len(history_of(numbered)) == (way != "neither")


def test_a_taken_value_is_no_stale_copy() -> None:
    Numbered._get_collection().create_index("code", unique=True, sparse=True)
    Numbered(number=1, code=1).save()
    numbered = Numbered(number=2, code=1)
    with DocumentTrack(numbered, refuse_stale=True):
        with pytest.raises(NotUniqueError, match="code"):
            numbered.save()
    numbered = Numbered(number=2, code=2).save()
    with DocumentTrack(numbered, refuse_stale=True):
        numbered.code = 1
        with pytest.raises(NotUniqueError, match="code"):
            numbered.save()
        numbered.code = 3
        numbered.save()
    Numbered._get_collection().drop_index("code_1")


def test_a_document_that_was_deleted_meanwhile_stays_away() -> None:
    card = loaded(Card, {"text": "a", "facts": {"k": 1}})
    with DocumentTrack(card, refuse_stale=True):
        put(text="b")(card)
        Card.objects(pk=card.pk).delete()
        error = refused(card)
    assert (error.document_id, error.path, error.found) == (card.pk, (), ABSENT)
    assert error.seen["text"] == "a"


def test_a_condition_counts_as_well(way: str) -> None:
    card = loaded(Card, {"text": "a", "c": 1})
    with DocumentTrack(card, refuse_stale=True):
        card.text = "b"
        with pytest.raises(SaveConditionError):
            card.save(save_condition={"count": 2})
        by_another(card, {"$set": {"other": "z"}})
        card.save(save_condition={"count": 1})
        card.text = "c"
        by_another(card, {"$set": {"text": "z"}})
        refused(card, save_condition={"count": 1})
        refused(card, save_condition={"count": 2})
    assert raw(card)["text"] == "z"
    assert len(history_of(card)) == (way != "neither")


def test_a_stale_parent_writes_nothing_of_its_children_either() -> None:
    child = Card(text="child").save()
    parent = Card.objects.get(pk=Card(text="a", owner=child).save().pk)
    with DocumentTrack(parent, refuse_stale=True):
        parent.text, parent.owner.text = "b", "edited"
        by_another(parent, {"$set": {"text": "z"}})
        refused(parent, cascade=True)
        assert raw(child)["text"] == "child"
        parent.reload()
        parent.text, parent.owner.text = "b", "edited"
        parent.save(cascade=True)
    assert (raw(parent)["text"], raw(child)["text"]) == ("b", "edited")


def test_a_stale_child_keeps_its_block_in_a_cascade() -> None:
    child = Card(text="child").save()
    parent = Card(text="a", owner=child).save()
    with DocumentTrack(child, refuse_stale=True):
        parent.text, child.text = "b", "edited"
        by_another(child, {"$set": {"text": "z"}})
        error = None
        try:
            parent.save(cascade=True)
        except HistoryError as caught:
            error = caught
    assert error.document_id == child.pk
    assert (raw(parent)["text"], raw(child)["text"]) == ("b", "z")


def test_what_is_loaded_anew_inside_counts_as_seen() -> None:
    card = loaded(Card, {"text": "a", "tags": ["x"]})
    with DocumentTrack(card, refuse_stale=True):
        for load in (card.reload, lambda: card.modify(set__other="m"), lambda: card.reload("text")):
            by_another(card, {"$set": {"text": "z"}})
            load()
            card.text = "b"
            card.save()
    assert raw(card)["text"] == "b"


def test_one_field_that_is_loaded_anew_tells_nothing_of_others() -> None:
    card = loaded(Card, {"text": "a", "tags": ["x"]})
    with DocumentTrack(card, refuse_stale=True):
        by_another(card, {"$set": {"text": "z", "tags": ["z"]}})
        card.reload("text")
        card.tags = ["b"]
        assert refused(card).path == ("tags",)


@pytest.mark.filterwarnings("ignore::mongoengine_history.HistoryWarning")
@pytest.mark.parametrize("outer", [True, False])
@pytest.mark.parametrize("inner", [True, False])
def test_a_block_refuses_as_long_as_one_of_them_does(outer: bool, inner: bool) -> None:
    card = loaded(Card, {"text": "a"})

    def stale(text: str) -> None:
        by_another(card, {"$set": {"text": text}})
        card.text = text + "!"

    with DocumentTrack(card, refuse_stale=outer):
        with DocumentTrack(card, refuse_stale=inner):
            stale("b")
            refused(card) if outer or inner else card.save()
            card.reload()
        stale("c")
        refused(card) if outer else card.save()
    stale("d")
    card.save()
    assert raw(card)["text"] == "d!"


def test_blocks_may_end_in_any_order() -> None:
    card = loaded(Card, {"text": "a"})
    first, second = (DocumentTrack(card, refuse_stale=True) for _ in range(2))
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    card.text = "b"
    by_another(card, {"$set": {"text": "z"}})
    refused(card)
    second.__exit__(None, None, None)
    card.save()
    assert "_save_update" not in card.__dict__


def test_what_is_not_recorded_is_refused_all_the_same() -> None:
    card = loaded(Card, {"text": "a"})
    with DocumentTrack(card, refuse_stale=True), untracked():
        card.text = "b"
        card.save()
        card.text = "c"
        by_another(card, {"$set": {"text": "z"}})
        refused(card)
    assert recorded() == []


@binds
def test_a_transaction_ends_with_what_is_refused() -> None:
    card, other = loaded(Card, {"text": "a"}), loaded(Card, {"text": "a"})
    with DocumentTrack(card, refuse_stale=True), pytest.raises(HistoryError, match="changed"):
        by_another(card, {"$set": {"text": "z"}})
        with changeset(atomic=True):
            for each in (other, card):
                each.text = "b"
                each.save()
    assert (raw(card)["text"], raw(other)["text"]) == ("z", "a")


def test_a_document_that_is_led_back_is_refused_when_it_is_stale(way: str) -> None:
    card = Card(text="a", tags=["x"])
    with DocumentTrack(card):
        card.save()
        card.text = "b"
        card.save()
    if way == "neither":
        return
    with DocumentTrack(card, refuse_stale=True):
        revert(card, revision=1)
        by_another(card, {"$set": {"text": "z"}})
        refused(card)
        revert(card.reload(), revision=1).save()
        card.text = "c"
        card.save()
    assert raw(card)["text"] == "c"


def test_the_error_tells_no_secret() -> None:
    state = {"text": "a", "token": "S3CRET-1", "password": "S3CRET-2", "facts": {"pin": "S3CRET-3"}}
    new = {"token": "S3CRET-4", "password": "S3CRET-5", "facts": {"pin": "S3CRET-6"}}
    errors = []
    for edit in (put(token="t"), put(password="p"), put(facts__pin="n"), put(facts={"x": 1})):
        hidden = loaded(Hidden, state)
        with DocumentTrack(hidden, refuse_stale=True):
            edit(hidden)
            by_another(hidden, {"$set": new})
            errors.append(refused(hidden))
            Hidden.objects(pk=hidden.pk).delete()
            errors.append(refused(hidden))
    paths = [it.path for it in errors[::2]]
    assert paths == [("token",), ("password",), ("facts", "pin"), ("facts",)]
    twin = loaded(Hidden, state)
    other = Hidden(pk=twin.pk, text="b", token="S3CRET-7")
    with DocumentTrack(other, refuse_stale=True):
        errors.append(refused(other))
    assert not [it for it in errors if "S3CRET" in f"{it} {vars(it)} {it.__cause__}"]


def test_the_error_can_be_sent_to_another_process() -> None:
    card = loaded(Card, {})
    with DocumentTrack(card, refuse_stale=True):
        card.text = "b"
        by_another(card, {"$set": {"text": "z"}})
        error = refused(card)
    same = pickle.loads(pickle.dumps(error))
    assert (type(same), str(same)) == (type(error), str(error))
    assert (same.path, same.seen, same.found) == (("text",), ABSENT, "z")


def test_the_error_is_raised_as_it_is() -> None:
    """MongoEngine makes an error of its own of what the server raises; this is none."""
    card = loaded(Card, {"text": "a"})
    with DocumentTrack(card, refuse_stale=True):
        card.text = "b"
        by_another(card, {"$set": {"text": "z"}})
        error = refused(card)
    assert isinstance(error, HistoryError)
    assert not isinstance(error, OperationError)
