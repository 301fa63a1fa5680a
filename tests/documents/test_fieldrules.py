"""Fields state themselves what is hidden of them, also those of what is embedded."""

from __future__ import annotations

from typing import Any

import mongoengine as me
import pytest
from mongoengine import Document, EmbeddedDocument

from mongoengine_history import DocumentTrack, OptionsError, track_history, untrack_history
from mongoengine_history.documents.fieldpaths import hiding_of
from mongoengine_history.documents.options import OPTIONS_ATTRIBUTE
from mongoengine_history.state.mask import BLANK


class RuleCard(EmbeddedDocument):
    meta = {"allow_inheritance": True}
    number = me.StringField(db_field="n", history="mask")
    name = me.StringField()
    parents = me.EmbeddedDocumentListField("self")


class RuleGold(RuleCard):
    name = me.StringField(history=False)
    limit = me.IntField(db_field="max", history=False)


class RuleOther(EmbeddedDocument):
    n = me.StringField()


class RuleOrder(Document):
    meta = {"auto_create_index": False, "allow_inheritance": True}
    title = me.StringField()
    password = me.StringField(db_field="pw", history=False)
    token = me.StringField(history="mask")
    card = me.EmbeddedDocumentField(RuleCard)
    cards = me.ListField(me.EmbeddedDocumentField(RuleCard), db_field="cs")
    by_name = me.MapField(me.EmbeddedDocumentField(RuleCard))
    grid = me.ListField(me.MapField(me.ListField(me.EmbeddedDocumentField(RuleCard))))
    some = me.GenericEmbeddedDocumentField()
    one_of = me.GenericEmbeddedDocumentField(choices=[RuleGold, RuleOther])
    texts = me.ListField(me.StringField(history="mask"))
    numbers = me.MapField(me.IntField(history=False))
    facts = me.DictField(history=False)
    other = me.ReferenceField("self")


class RuleRush(RuleOrder):
    token = me.StringField(max_length=10)  # which takes no rule away
    charge = me.IntField(history="mask")


CARD = {"_cls": "RuleCard", "n": 1, "name": 2}
SHOWN = {"_cls": "RuleCard", "n": BLANK, "name": 2}
GOLD = {"_cls": "RuleCard.RuleGold", "n": 1, "name": 2, "max": 3}
SHOWN_GOLD = {"_cls": "RuleCard.RuleGold", "n": BLANK}
OTHER = {"_cls": "RuleOther", "n": 1, "max": 2}


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({"title": 1, "pw": 2, "token": 3}, {"title": 1, "token": BLANK}),
        ({"card": CARD}, {"card": SHOWN}),
        ({"card": GOLD}, {"card": SHOWN_GOLD}),
        ({"cs": [CARD, GOLD]}, {"cs": [SHOWN, SHOWN_GOLD]}),
        ({"by_name": {"a": CARD, "_cls": GOLD}}, {"by_name": {"a": SHOWN, "_cls": SHOWN_GOLD}}),
        ({"grid": [{"a": [CARD, GOLD]}]}, {"grid": [{"a": [SHOWN, SHOWN_GOLD]}]}),
        ({"some": GOLD}, {"some": SHOWN_GOLD}),
        ({"some": OTHER}, {"some": OTHER}),
        ({"one_of": GOLD}, {"one_of": SHOWN_GOLD}),
        ({"one_of": OTHER}, {"one_of": OTHER}),
        ({"texts": [1, 2]}, {"texts": [BLANK, BLANK]}),
        ({"numbers": {"a": 1}}, {"numbers": {}}),
        ({"facts": {"a": 1}}, {}),
        ({"other": 1}, {"other": 1}),
        ({"card": {"n": 1, "name": 2, "max": 3, "x": 4}}, {"card": {"n": BLANK, "x": 4}}),
    ],
)
def test_what_fields_state_is_hidden_wherever_they_lie(state: Any, expected: Any) -> None:
    assert hiding_of(RuleOrder).hidden({"_cls": "RuleOrder", **state}) == {
        "_cls": "RuleOrder",
        **expected,
    }


def test_what_is_embedded_in_its_own_kind_is_hidden_at_any_depth() -> None:
    state: Any = CARD
    for _ in range(50):
        state = {**CARD, "parents": [state, GOLD]}
    hidden = hiding_of(RuleOrder).hidden({"_cls": "RuleOrder", "card": state})["card"]
    for _ in range(50):
        assert (hidden["n"], hidden["name"]) == (BLANK, 2)
        assert hidden["parents"][1] == SHOWN_GOLD
        hidden = hidden["parents"][0]
    assert hidden == SHOWN


def test_a_subclass_inherits_what_fields_state_and_adds_to_it() -> None:
    state = {"token": 1, "pw": 2, "charge": 3}
    hide = hiding_of(RuleRush).hidden
    assert hide({"_cls": "RuleOrder.RuleRush", **state}) == {
        "_cls": "RuleOrder.RuleRush",
        "token": BLANK,
        "charge": BLANK,
    }
    assert hide({"_cls": "RuleOrder", **state}) == {
        "_cls": "RuleOrder",
        "token": BLANK,
        "charge": 3,
    }


def test_where_the_class_is_not_known_all_is_hidden_that_any_hides() -> None:
    for said in ({}, {"_cls": "RuleOrder.Gone"}, {"_cls": 5}):
        hidden = hiding_of(RuleOrder).hidden({**said, "pw": 1, "charge": 2})
        assert hidden == {**said, "charge": BLANK}


def tracked(**fields: Any) -> type[Document]:
    meta = {"auto_create_index": False, "allow_inheritance": True}
    return type("RuleMade", (Document,), {"meta": meta, **fields})


@pytest.mark.parametrize("given", [True, None, 0, "exclude", "", "masked", ["mask"], object()])
def test_any_other_rule_of_a_field_is_refused(database: Any, given: Any) -> None:
    field = me.StringField(history=given)
    inner = type("RuleInner", (EmbeddedDocument,), {"it": field})
    for it in (field, me.ListField(field), me.MapField(me.EmbeddedDocumentField(inner))):
        model = tracked(it=it)
        for begin in (track_history, lambda model: DocumentTrack(model())):
            with pytest.raises(OptionsError) as caught:
                begin(model)
            assert (caught.value.name, caught.value.value) == ("history", given)
        assert not hasattr(model, OPTIONS_ATTRIBUTE)
    del vars(field)["history"]  # since other classes may hold any embedded document


def test_the_key_of_a_document_cannot_be_hidden() -> None:
    with pytest.raises(OptionsError, match="told from another"):
        track_history(tracked(key=me.StringField(primary_key=True, history=False)))


class WithMethod(me.StringField):
    def history(self) -> str:
        return "its own"


class WithProperty(me.StringField):
    @property
    def history(self) -> str:
        raise AssertionError("nobody asks")


class WithValue(me.StringField):
    history: Any = None

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.history = ["its own"]


class Secret(me.StringField):
    history = "mask"


def test_what_else_a_class_of_fields_calls_history_is_its_own() -> None:
    model = tracked(a=WithMethod(), b=WithProperty(), c=WithValue(), d=Secret())
    state = dict.fromkeys("abcd", 1)
    track_history(model)
    try:
        assert hiding_of(model).hidden(state) == {**state, "d": BLANK}
    finally:
        untrack_history(model)


@pytest.mark.parametrize(
    "options",
    [
        {"exclude": "token"},
        {"mask": "password"},
        {"mask": "pw"},
        {"exclude": "card.number"},
        {"exclude": "cards.*.n"},
        {"exclude": "by_name.a.number"},
        {"exclude": "texts.*"},
        {"mask": "numbers.a"},
        {"mask": "one_of.limit"},
    ],
)
def test_a_path_and_a_field_that_contradict_each_other_are_refused(options: Any) -> None:
    with pytest.raises(OptionsError, match="its field says the other") as caught:
        track_history(RuleOrder, **options)
    assert caught.value.name == next(iter(options))
    assert not hasattr(RuleOrder, OPTIONS_ATTRIBUTE)


@pytest.mark.parametrize(
    ("options", "state", "expected"),
    [
        ({"exclude": "card"}, {"card": CARD, "token": 1}, {"token": BLANK}),
        ({"exclude": "card.name"}, {"card": CARD}, {"card": {"_cls": "RuleCard", "n": BLANK}}),
        ({"exclude": "cards.name"}, {"cs": [CARD]}, {"cs": [{"_cls": "RuleCard", "n": BLANK}]}),
        ({"mask": "token", "exclude": "pw"}, {"token": 1, "pw": 1}, {"token": BLANK}),
        (
            {"mask": "by_name.a"},
            {"by_name": {"a": CARD, "b": CARD}},
            {"by_name": {"a": BLANK, "b": SHOWN}},
        ),
    ],
)
def test_paths_add_to_what_fields_state(options: Any, state: Any, expected: Any) -> None:
    track_history(RuleOrder, **options)
    try:
        hidden = hiding_of(RuleOrder).hidden({"_cls": "RuleOrder", **state})
        assert hidden == {"_cls": "RuleOrder", **expected}
    finally:
        untrack_history(RuleOrder)


def test_a_base_and_a_subclass_whose_fields_contradict_each_other_are_refused() -> None:
    base = tracked(it=me.StringField(history=False))
    track_history(base)
    try:
        sub: Any = type("RuleSub", (base,), {"it": me.StringField(history="mask")})
        with pytest.raises(OptionsError, match=r"RuleSub\.it"):
            hiding_of(sub)
    finally:
        untrack_history(base)


def test_a_class_that_comes_later_adds_what_its_fields_state() -> None:
    class Early(EmbeddedDocument):
        meta = {"allow_inheritance": True}
        a = me.StringField()

    model = tracked(
        it=me.EmbeddedDocumentField(Early), late=me.MapField(me.EmbeddedDocumentField("RuleLate"))
    )
    assert hiding_of(model).rules == {}

    class Later(Early):
        b = me.StringField(history=False)

    class RuleLate(EmbeddedDocument):
        c = me.StringField(history=False)

    state = {"it": {"_cls": Later._class_name, "a": 1, "b": 2}, "late": {"x": {"c": 3, "d": 4}}}
    expected = {"it": {"_cls": Later._class_name, "a": 1}, "late": {"x": {"d": 4}}}
    assert hiding_of(model).hidden(state) == expected
