"""Dotted paths by names of attributes become the stored ones; what leads nowhere is refused."""

from __future__ import annotations

from typing import Any

import mongoengine as me
import pytest

from mongoengine_history.documents.fieldpaths import hiding_by, hiding_of
from mongoengine_history.documents.options import OPTIONS_ATTRIBUTE, HistoryOptions
from mongoengine_history.errors import OptionsError
from mongoengine_history.state.mask import BLANK
from mongoengine_history.state.rules import EXCLUDE, MASK


class PathCard(me.EmbeddedDocument):
    meta = {"allow_inheritance": True}
    number = me.StringField(db_field="n")
    name = me.StringField()
    parent = me.EmbeddedDocumentField("self", db_field="p")


class PathGold(PathCard):
    limit = me.IntField(db_field="max")


class PathLoose(me.DynamicEmbeddedDocument):
    name = me.StringField(db_field="n")


class PathOrder(me.Document):
    meta = {"allow_inheritance": True, "auto_create_index": False}
    title = me.StringField()
    code = me.StringField(db_field="c")
    c = me.StringField(db_field="d")
    card = me.EmbeddedDocumentField(PathCard, db_field="k")
    cards = me.EmbeddedDocumentListField(PathCard, db_field="ks")
    grid = me.ListField(me.ListField(me.EmbeddedDocumentField(PathCard)))
    texts = me.ListField(me.StringField())
    anything = me.ListField()
    facts = me.DictField(db_field="f")
    by_name = me.MapField(me.EmbeddedDocumentField(PathCard))
    lists = me.MapField(me.ListField(me.EmbeddedDocumentField(PathCard)))
    numbers = me.MapField(me.IntField())
    loose = me.EmbeddedDocumentField(PathLoose)
    free = me.DynamicField()
    one_of = me.GenericEmbeddedDocumentField(choices=[PathGold, PathLoose])
    other = me.ReferenceField("self")


class PathRush(PathOrder):
    fee = me.IntField(db_field="fee_cents")
    title = me.StringField(db_field="rush_title")


class PathAny(me.Document):
    """What other embedded documents state themselves holds here, too."""

    meta = {"auto_create_index": False}
    some = me.GenericEmbeddedDocumentField()


class PathOpen(me.DynamicDocument):
    meta = {"auto_create_index": False}
    name = me.StringField(db_field="n")


def stored(model: Any, path: str) -> set[str]:
    """The paths of keys that a path means, dotted."""
    found = set()

    def walk(rules: Any, keys: tuple[str, ...]) -> None:
        if rules == EXCLUDE:
            found.add(".".join(keys))
        else:
            for key, rule in rules.items():
                walk(rule, (*keys, key))

    walk(hiding_by(model, HistoryOptions(exclude=path)).rules, ())
    return found


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("code", "c"),
        ("d", "d"),
        ("card", "k"),
        ("k", "k"),
        ("card.number", "k.n"),
        ("k.n", "k.n"),
        ("card.parent.parent.number", "k.p.p.n"),
        ("card.limit", "k.max"),
        ("cards", "ks"),
        ("cards.number", "ks.n"),
        ("cards.*.number", "ks.*.n"),
        ("cards.*", "ks.*"),
        ("grid.number", "grid.n"),
        ("grid.*.number", "grid.*.n"),
        ("grid.*.*.number", "grid.*.*.n"),
        ("texts.*", "texts.*"),
        ("anything.key", "anything.key"),
        ("anything.*.0", "anything.*.0"),
        ("facts.a.b", "f.a.b"),
        ("facts.*.b", "f.*.b"),
        ("by_name.key.number", "by_name.key.n"),
        ("by_name.*.number", "by_name.*.n"),
        ("lists.key.number", "lists.key.n"),
        ("lists.*.*.number", "lists.*.*.n"),
        ("numbers.key", "numbers.key"),
        ("loose.name", "loose.n"),
        ("loose.more.still", "loose.more.still"),
        ("free.a.b", "free.a.b"),
        ("one_of.name", "one_of.name one_of.n"),
        ("one_of.limit", "one_of.max"),
        ("other", "other"),
        ("fee", "fee_cents"),
    ],
)
def test_a_path_may_name_attributes_and_stored_names(path: str, expected: str) -> None:
    assert stored(PathOrder, path) == set(expected.split())


def test_a_name_that_means_two_fields_means_both() -> None:
    """``c`` is stored as ``d``, and the name under which ``code`` is."""
    assert stored(PathOrder, "c") == {"c", "d"}


def test_a_field_that_a_subclass_stores_under_another_name_is_hidden_there_too() -> None:
    assert stored(PathOrder, "title") == {"title", "rush_title"}
    assert stored(PathRush, "title") == {"rush_title"}


def test_in_a_generic_embedded_document_a_path_may_name_the_attributes_of_any_class() -> None:
    hiding = hiding_by(PathAny, HistoryOptions(exclude=["some.number", "some.unheard_of.step"]))
    state = {"some": {"n": 1, "number": 2, "unheard_of": {"step": 3}, "free": 4}}
    assert hiding.hidden(state) == {"some": {"unheard_of": {}, "free": 4}}


def test_in_a_dynamic_document_a_path_may_name_anything() -> None:
    assert stored(PathOpen, "name") == {"n"}
    assert stored(PathOpen, "more") == {"more"}
    assert stored(PathOpen, "more.*.still") == {"more.*.still"}


@pytest.mark.parametrize(
    "path",
    [
        *("nothing", "title.step", "card.nothing", "cards.nothing", "cards.*.nothing"),
        *("cards.0", "cards.0.number", "anything.0", "texts.step", "texts.*.step", "*", "card.*"),
        *("numbers.key.step", "by_name.*.nothing", "other.title", "pk", "grid.*.*.*"),
        *("id", "_id", "id.step", "_cls", "card._cls", "cards.*._cls"),
    ],
)
@pytest.mark.parametrize("name", ["exclude", "mask"])
def test_what_leads_nowhere_and_what_tells_documents_apart_is_refused(name: str, path: str) -> None:
    with pytest.raises(OptionsError) as caught:
        hiding_by(PathOrder, HistoryOptions(**{name: ["code", path]}))
    assert (caught.value.name, caught.value.value) == (name, path)
    with pytest.raises(OptionsError):
        hiding_by(PathOpen, HistoryOptions(**{name: "*"}))


def test_an_embedded_document_that_is_defined_later_is_looked_up_when_it_is_there() -> None:
    class Later(me.Document):
        meta = {"history": {"mask": ["late.*.number"]}, "auto_create_index": False}
        late = me.MapField(me.EmbeddedDocumentField("DefinedLater"))

    assert hiding_of(Later).rules == {"late": {"*": {"number": MASK}}}

    class DefinedLater(me.EmbeddedDocument):
        number = me.StringField(db_field="n")

    assert hiding_of(Later).rules == {"late": {"*": {"n": MASK}}}
    assert hiding_of(Later()) is hiding_of(Later)


def test_a_subclass_that_is_defined_later_may_store_a_field_elsewhere() -> None:
    class First(me.EmbeddedDocument):
        meta = {"allow_inheritance": True}
        secret = me.StringField()

    class Holder(me.Document):
        meta = {"history": {"exclude": ["it.secret"]}, "auto_create_index": False}
        it = me.EmbeddedDocumentField(First)

    assert hiding_of(Holder).rules == {"it": {"secret": EXCLUDE}}

    class Second(First):
        secret = me.StringField(db_field="s")

    assert hiding_of(Holder).rules == {"it": {"secret": EXCLUDE, "s": EXCLUDE}}


def test_a_class_needs_not_have_what_another_one_of_the_same_tracked_base_has() -> None:
    options = HistoryOptions(mask=["fee"])

    class Slow(PathOrder):
        pass

    with pytest.raises(OptionsError):  # its base is not tracked, so it is not for its sake
        hiding_by(Slow, options)
    setattr(PathOrder, OPTIONS_ATTRIBUTE, {"mask": ("fee",)})
    try:
        for model, expected in ((PathOrder, BLANK), (PathRush, BLANK), (Slow, 1)):
            state = {"_cls": model._class_name, "fee_cents": 1}
            assert hiding_of(model).hidden(state)["fee_cents"] == expected
    finally:
        delattr(PathOrder, OPTIONS_ATTRIBUTE)


def test_the_rules_of_all_documents_need_only_one_class_that_has_the_field() -> None:
    rules = hiding_by(me.Document, HistoryOptions(mask=["fee"])).rules
    assert rules == {"fee_cents": MASK}


def test_without_paths_nothing_is_worked_out() -> None:
    assert hiding_of(PathOrder) is hiding_of(PathOpen)
    assert hiding_of(PathOrder).rules == {}
