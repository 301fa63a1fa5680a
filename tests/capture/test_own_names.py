"""Fields, attributes, keys and metas of the application that are named like something of ours."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import mongoengine as me
import pytest
from mongoengine import signals

from mongoengine_history import (
    DocumentTrack,
    OptionsError,
    history_of,
    restore,
    revert,
    track_changes,
    track_history,
    undo,
    untrack_history,
)

PLAIN = ["history", "revision", "identity", "changeset", "document_type", "position", "state"]
HIDDEN = ["_history", "_history_tracker", "_history_options", "_is_history", "_tracker"]
METHODS = ["update", "modify", "drop_collection"]
KINDS = {
    "a field": PLAIN + HIDDEN,
    "a key": PLAIN + METHODS,
    "an attribute": PLAIN + HIDDEN + METHODS,
}
NAMED = [(kind, name) for kind, names in KINDS.items() for name in names]

_numbers = count()


def named(kind: str, name: str) -> type[me.Document]:
    meta = {"collection": f"named_{next(_numbers)}", "auto_create_index": False}
    body: dict[str, Any] = {"meta": meta, "n": me.IntField()}
    body |= {"a field": {name: me.StringField()}, "an attribute": {name: "mine"}}.get(kind, {})
    base = me.DynamicDocument if kind == "a key" else me.Document
    return type(f"Named{meta['collection']}", (base,), body)


@pytest.fixture(params=["track_history", "a block"])
def model(request: Any, database: Any, kind: str, name: str) -> Iterator[Any]:
    made = named(kind, name)
    if request.param == "a block":
        for signal in (signals.post_save, signals.post_delete):
            signal.connect(track_changes, sender=made)
        yield made
        return
    yield track_history(made)
    untrack_history(made)


@pytest.mark.parametrize(("kind", "name"), NAMED)
def test_what_is_named_like_ours_stays_the_applications(model: Any, kind: str, name: str) -> None:
    is_stored = kind != "an attribute"
    first, second = (
        {"n": n, **({name: it} if is_stored else {})} for n, it in ((1, "a"), (2, "b"))
    )
    document = model(**first)
    with DocumentTrack(document):
        document.save()
        for key, value in second.items():
            setattr(document, key, value)
        document.save()
    assert getattr(document, name) == second.get(name, "mine")
    assert [history_of(document).state(number) for number in (1, 2)] == [first, second]
    revert(document, revision=1).save()
    assert model._get_collection().find_one({}, {"_id": 0}) == first
    undo(document, 3).save()
    assert model._get_collection().find_one({}, {"_id": 0}) == second
    document = model.objects.get()
    with DocumentTrack(document):
        document.delete()
    document = restore(model, document.pk).save()
    assert getattr(document, name) == second.get(name, "mine")


def test_a_class_is_left_as_it_was(database: Any) -> None:
    for _, name in [it for it in NAMED if it[0] == "an attribute"]:
        model = named("an attribute", name)
        untrack_history(track_history(model))
        assert vars(model)[name] == "mine"


@pytest.mark.parametrize("name", ["reload", "modify"])
def test_a_key_named_like_a_method_survives_a_block(database: Any, name: str) -> None:
    model = named("a key", name)
    signals.post_save.connect(track_changes, sender=model)
    document = model(n=1, **{name: "a"})
    with DocumentTrack(document):
        document.save()
    assert getattr(document, name) == "a"
    assert history_of(document).state(1) == {"n": 1, name: "a"}


@pytest.mark.parametrize("said", [True, "patients", ["a"], {"table": "x"}])
def test_a_meta_that_means_something_else_is_refused(database: Any, said: Any) -> None:
    class Odd(me.Document):
        meta = {"history": said, "collection": "odd", "auto_create_index": False}
        n = me.IntField()

    with pytest.raises(OptionsError, match=r"meta\['history'\].*dict of"):
        track_history(Odd)
    document = Odd(n=1).save()
    document.n = 2
    document.save()
    assert Odd.objects(n=2).count() == 1
    with pytest.raises(OptionsError, match=r"meta\['history'\]"):
        history_of(document)
