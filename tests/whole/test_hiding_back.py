"""What is hidden from a history stays as it is where documents go back, and is gone with them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import bson
import mongoengine as me
import pytest
from bson import Binary, ObjectId
from hypothesis import given
from hypothesis import strategies as st
from mongoengine import Document, signals
from support.changes import agrees
from support.documents import raw, stored
from support.strategies import examples, values
from support.vault import (
    HIDING,
    KEY,
    MARK,
    VaultLine,
    filled,
    planted,
    recorded,
    refill,
    secret,
    vault,
)

from mongoengine_history import (
    DocumentTrack,
    History,
    changeset,
    history_of,
    restore,
    revert,
    revert_changeset,
    track_changes,
    track_history,
    undo,
    untrack_history,
)
from mongoengine_history.state.hiding import SUBTYPE, Hiding
from mongoengine_history.state.values import WIRE, encode

Safe = vault("Safe")
Watched = vault("WatchedToo", history=HIDING)


class Unbound(Document):
    meta = {"collection": "vault_free", "auto_create_index": False}
    key = me.IntField(primary_key=True)
    data = me.DictField()


class Item(me.EmbeddedDocument):
    id = me.IntField()
    name = me.StringField()
    card = me.StringField()


class Trolley(Document):
    meta = {"collection": "vault_baskets", "auto_create_index": False}
    items = me.EmbeddedDocumentListField(Item)
    secret = me.StringField()


@pytest.fixture(params=["masks", "fingerprints", "a block"])
def model(request: Any, database: Any) -> Iterator[type[Document]]:
    if request.param == "a block":
        for signal in (signals.post_save, signals.post_delete):
            signal.connect(track_changes, sender=Watched)
        yield Watched
        return
    track_history(Safe, **HIDING, **({"fingerprint_key": KEY} if "print" in request.param else {}))
    yield Safe
    untrack_history(Safe)


@pytest.fixture
def baskets(database: Any) -> Iterator[None]:
    track_history(Trolley, mask=["items.card", "secret"])
    yield
    untrack_history(Trolley)


def saved(document: Any) -> Any:
    with DocumentTrack(document):
        return document.save()


def hidden_of(document: Any) -> dict[str, Any]:
    found = raw(document)
    return {
        "pw": found.get("pw"),
        "token": found.get("token"),
        "cards": {line["sku"]: line.get("c") for line in found.get("ls", [])},
        "pin": found.get("facts", {}).get("a", {}).get("pin"),
        "answer": found.get("facts", {}).get("answer"),
        "codes": found.get("codes"),
        "door": found.get("place", {}).get("d"),
    }


names = st.sampled_from(["a", "b", "c", "0"])
states = st.dictionaries(
    names, values | st.dictionaries(names, values, max_size=3) | st.lists(values, max_size=4)
)
paths = st.lists(st.sampled_from(["a", "b", "c", "*"]), min_size=1, max_size=3).map(tuple)


@given(
    st.lists(states, min_size=2, max_size=4),
    st.lists(paths, max_size=2),
    st.lists(paths, max_size=2),
    st.sampled_from([None, KEY]),
)
@examples(60)
def test_all_but_what_is_hidden_is_kept_and_comes_back(
    database: Any, drawn: Any, exclude: Any, mask: Any, key: bytes | None
) -> None:
    mask = [path for path in mask if not any(clash(path, other) for other in exclude)]
    exclude, mask = ([("data", *path) for path in some] for some in (exclude, mask))
    hiding = Hiding.of(exclude, mask, key)
    track_history(
        Unbound,
        exclude=map(".".join, exclude),
        mask=map(".".join, mask),
        fingerprint_key=key if hiding.has_masks else None,
    )
    try:
        Unbound._get_db()["vault_free"].delete_many({})
        History._get_collection().delete_many({})
        known = written(drawn, (*exclude, *mask))
        recorded()
        timeline = history_of(Unbound, 1)
        for number, state in known.items():
            assert encode(as_wire(timeline.state(number))) == encode(hiding.hidden(state))
        for number, state in known.items():
            document = Unbound.objects.get()
            live = as_stored()
            revert(document, revision=number).save(validate=False)
            expected = hiding.revealed(hiding.hidden(state), live)
            assert encode(as_stored()) == encode(expected)
            assert agrees(document)
    finally:
        untrack_history(Unbound)


def clash(first: tuple[str, ...], second: tuple[str, ...]) -> bool:
    """Whether one of two paths is at the other or below it."""
    return first[: len(second)] == second[: len(first)]


def as_stored() -> dict[str, Any]:
    found = (
        Unbound._get_db()["vault_free"].with_options(codec_options=WIRE).find_one({}, {"_id": 0})
    )
    assert found is not None
    return found


def as_wire(state: Any) -> Any:
    codec = Unbound._get_collection().codec_options
    return bson.decode(bson.encode(state, codec_options=codec), WIRE)


def written(drawn: Any, rules: Any) -> dict[int, Any]:
    """Store states one after another, and tell them by the numbers of their revisions."""
    known = {}
    for state in drawn:
        full = planted({"data": state}, rules, secret)
        Unbound._get_collection().replace_one({"_id": 1}, full, upsert=True)
        known[len(history_of(Unbound, 1))] = as_stored()
    return known


def test_a_revert_keeps_what_is_hidden(model: Any) -> None:
    document = saved(filled(model, "a"))
    before = raw(document)
    saved(refill(document))
    live = hidden_of(document)
    revert(document, revision=1).save()
    now = hidden_of(document)
    assert {**now, "cards": None} == {**live, "cards": None}
    assert now["cards"] == {**{sku: live["cards"][sku] for sku in ("a0", "a1")}, "a2": None}
    assert (raw(document)["name"], raw(document)["ls"][1]["qty"]) == ("a", before["ls"][1]["qty"])
    assert agrees(document)
    undo(document, 3).save()
    assert raw(document)["name"] == "a!"
    assert hidden_of(document)["token"] == live["token"]
    assert agrees(document)


def test_what_lies_in_something_that_is_taken_back_goes_with_it(model: Any) -> None:
    document = saved(model(name="a", token=secret()))
    before = raw(document)
    document.place = filled(model, "").place
    document.lines = [VaultLine(sku="s", card=secret())]
    saved(document)
    live = raw(document)["token"]
    revert(document, revision=1).save()
    assert raw(document) == {**before, "token": live}
    assert agrees(document)


def test_what_was_hidden_later_stays_though_it_was_not_there(model: Any) -> None:
    document = saved(model(name="a"))
    document.password, document.token, document.name = secret(), secret(), "b"
    saved(document)
    live = hidden_of(document)
    revert(document, revision=1).save()
    assert raw(document)["name"] == "a"
    assert hidden_of(document) == live
    document = undo(document, -1)
    document.save()
    assert raw(document)["name"] == "b"
    assert hidden_of(document) == live


def test_a_masked_change_is_no_conflict_and_is_not_undone(model: Any) -> None:
    document = saved(model(name="a", token=secret()))
    document.name, document.token = "b", secret()
    saved(document)
    document.token = secret()
    saved(document)
    undo(document, 2).save()
    assert (raw(document)["name"], raw(document)["token"]) == ("a", document.token)
    known = len(history_of(document))
    undo(document, 3).save()
    assert len(history_of(document)) == known


def test_a_change_of_what_is_excluded_is_no_revision_and_one_of_what_is_masked_is(
    model: Any,
) -> None:
    document = saved(filled(model, "a"))
    document.password = secret()
    document.facts["a"]["pin"] = secret()
    document.codes = [secret()]
    saved(document)
    assert len(history_of(document)) == 1
    document.token = secret()
    saved(document)
    newest = history_of(document)[2]
    assert [patch[:2] for patch in newest.patches] == [("change", ["token"])]
    assert "~ token: " in str(newest)
    assert "masked" in str(newest)


def test_restored_it_has_nothing_that_was_hidden(model: Any) -> None:
    document = saved(filled(model, "a"))
    with DocumentTrack(document):
        document.delete()
    back = restore(model, document.pk)
    assert (back.name, back.token, back.password) == ("a", None, None)
    saved(back)
    found = raw(back)
    assert MARK not in repr(found)
    assert [sorted(line) for line in found["ls"]] == [["qty", "sku"]] * 3
    assert (found["facts"], found["place"]) == ({"a": {"b": 1}, "c": 2}, {"street": "s"})
    assert len(recorded()) > 2


def test_a_changeset_is_taken_back_but_for_what_is_hidden(model: Any) -> None:
    stays, gone = saved(filled(model, "stays")), saved(filled(model, "gone"))
    with changeset() as done:
        saved(refill(stays))
        with DocumentTrack(gone):
            gone.delete()
        made = saved(filled(model, "made"))
    live = hidden_of(stays)
    revert_changeset(done)
    assert raw(stays)["name"] == "stays"
    assert {**hidden_of(stays), "cards": 0} == {**live, "cards": 0}
    assert (raw(gone)["name"], MARK in repr(raw(gone)), raw(made)) == ("gone", False, None)
    assert agrees(stays)


def test_items_keep_their_secrets_wherever_they_go(baskets: None) -> None:
    basket = Trolley(items=[Item(id=n, name="a", card=f"{MARK} of {n}") for n in range(4)]).save()
    Trolley.objects.update(set__items__2__name="b")
    basket.reload()
    basket.items = [*basket.items[:0:-1], Item(id=9, name="a", card=f"{MARK} of 9")]
    basket.items[0].card = f"{MARK} of 3, new"
    basket.save()
    revert(basket, revision=1).save()
    found = [(it.id, it.name, it.card) for it in Trolley.objects.get().items]
    cards = [None, f"{MARK} of 1", f"{MARK} of 2", f"{MARK} of 3, new"]
    assert found == [(n, "a", card) for n, card in enumerate(cards)]
    assert agrees(basket)


@pytest.mark.parametrize("way", [undo, lambda it, _: revert(it, revision=1), None])
def test_an_item_that_shows_one_value_keeps_its_secret(baskets: None, way: Any) -> None:
    trolley = Trolley(items=[Item(name=name, card=f"{MARK} of {name}") for name in "ab"]).save()
    wanted = raw(trolley)
    with changeset() as unit:
        trolley.items[0].name = "c"
        trolley.save()
    way(trolley, 2).save() if way else revert_changeset(unit)
    assert raw(trolley) == wanted


def test_the_deletion_of_a_document_of_which_all_is_hidden_is_recorded(database: Any) -> None:
    track_history(Trolley, exclude=["items", "secret"])
    try:
        for delete in (lambda it: it.delete(), lambda it: Trolley.objects(pk=it.pk).delete()):
            basket = Trolley(secret=secret()).save()
            delete(basket)
            assert [it.operation for it in history_of(basket)] == ["create", "delete"]
    finally:
        untrack_history(Trolley)


@pytest.mark.parametrize("key", [None, KEY])
def test_a_rule_that_comes_later_hides_from_then_on(database: Any, key: Any) -> None:
    """What was recorded before is as it was; going back counts by the rule of today."""
    track_history(Trolley)
    basket = Trolley(items=[Item(id=1, name="a", card="old")], secret="old").save()
    gone = Trolley(secret="old").save()
    gone.delete()
    untrack_history(Trolley)
    track_history(Trolley, mask=["items.card", "secret"], fingerprint_key=key)
    try:
        basket = Trolley.objects.get()
        basket.items[0].card, basket.items[0].name, basket.secret = secret(), "b", secret()
        basket.save()
        live = basket.items[0].card
        assert history_of(basket).state(1)["secret"] == "old"
        revert(basket, revision=1).save()
        assert (raw(basket)["items"], raw(basket)["secret"]) == (
            [{"id": 1, "name": "a", "card": live}],
            basket.secret,
        )
        assert restore(Trolley, gone.pk).save().secret == "old"
    finally:
        untrack_history(Trolley)
    recorded()


def test_a_rule_that_is_gone_leaves_masks_of_which_none_comes_back(database: Any) -> None:
    track_history(Trolley, mask=["items.card", "secret"])
    basket = Trolley(items=[Item(id=1, name="a", card=secret())], secret=secret()).save()
    untrack_history(Trolley)
    track_history(Trolley)
    try:
        basket.items[0].name, basket.secret = "b", None
        basket.save()
        card = basket.items[0].card
        revert(basket, revision=1).save()
        assert stored(basket).keys() == {"_id", "items"}
        assert raw(basket)["items"] == [{"id": 1, "name": "a", "card": card}]
        assert history_of(basket).at(1).secret is None
    finally:
        untrack_history(Trolley)


@pytest.mark.parametrize("size", [0, 16, 32])
@pytest.mark.parametrize("had_masks", [False, True])
def test_a_value_of_the_subtype_of_masks_is_a_value(
    database: Any, size: int, had_masks: bool
) -> None:
    """Also where the same field was masked once: masks of that time still are none."""
    value, other = (Binary(bytes([n]) * size, SUBTYPE) for n in (1, 2))
    track_history(Unbound, mask=["data.a"] if had_masks else [])
    document = Unbound(key=1, data={"a": secret(), "b": 0}).save()
    untrack_history(Unbound)
    track_history(Unbound)
    try:
        for data in ({"a": value, "b": 1}, {"a": other, "b": value}, {"b": 2}):
            Unbound._get_collection().replace_one({"_id": 1}, {"data": data})
        timeline = history_of(document)
        assert [timeline.state(n)["data"].get("a") for n in (2, 3)] == [value, other]
        revert(document, revision=3).save()
        assert raw(document)["data"] == {"a": other, "b": value}
        undo(document, 3).save()
        assert raw(document)["data"] == {"a": value, "b": 1}
        if had_masks:
            revert(document, revision=1).save()
            assert raw(document)["data"] == {"a": value, "b": 0}
        document.delete()
        expected = {"a": value, "b": 0 if had_masks else 1}
        assert raw(restore(Unbound, 1).save())["data"] == expected
    finally:
        untrack_history(Unbound)


def test_equal_values_are_found_by_their_fingerprints(database: Any) -> None:
    track_history(Trolley, mask="secret", fingerprint_key=KEY)
    try:
        for value in ("one", "two", "one"):
            Trolley(id=ObjectId(), secret=value).save()
    finally:
        untrack_history(Trolley)
    marks = [it.data["items"][-1]["value"] for it in History.objects.order_by("stamp")]
    assert marks[0] == marks[2] != marks[1]
    # Not by keywords: MongoEngine makes a list of bytes.
    assert History.objects(__raw__={"data.items.value": marks[0]}).count() == 2
