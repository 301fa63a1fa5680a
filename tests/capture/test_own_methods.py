"""Methods of the application's own do as they do, and what they write is recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partialmethod, wraps
from typing import Any

import mongoengine as me
import pytest
from support.changes import told, watch
from support.stale import by_another
from support.twins import recorded

from mongoengine_history import (
    DocumentTrack,
    changeset,
    history_of,
    revert,
    track_history,
    untrack_history,
)


def own(name: str, bases: tuple[type, ...] = (me.Document,), **methods: Any) -> Any:
    """Make a class with methods of its own."""
    meta = {"collection": f"own_{name.lower()}", "auto_create_index": False}
    fields = {"text": me.StringField(), "number": me.IntField(), "gone": me.BooleanField()}
    return type(name, bases, {"meta": meta, "__module__": __name__, **fields, **methods})


def soft(self: Any, hard: Any = False) -> Any:
    if hard is not False:
        return me.Document.delete(self)
    self.gone = True
    return self.save()


def two(self: Any, by: Any, why: Any = None, /, *more: Any, **others: Any) -> Any:
    me.Document.delete(self)
    return by, why, more, others


def any_of_all(self: Any, *args: Any, **kwargs: Any) -> Any:
    me.Document.delete(self)
    return args, kwargs


def named(self: Any, *, signal_kwargs: Any = None, quiet: bool = False) -> Any:
    me.Document.delete(self, signal_kwargs=signal_kwargs)
    return quiet


def decorated(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def deleting(self: Any, *args: Any, **kwargs: Any) -> Any:
        return method(self, *args, **kwargs)

    return deleting


Soft = own("Soft", delete=soft)
Two = own("Two", delete=two)
AnyOf = own("AnyOf", delete=any_of_all)
Named = own("Named", delete=named)
Partial = own("Partial", remove=two, delete=partialmethod(two, "part"))
Decorated = own("Decorated", delete=decorated(any_of_all))
Plain = own("Plain")
CLASSES = [Soft, Two, AnyOf, Named, Partial, Decorated, Plain]


@contextmanager
def automatic(*classes: Any) -> Iterator[None]:
    for cls in classes:
        track_history(cls)
    try:
        yield
    finally:
        for cls in classes:
            untrack_history(cls)


@pytest.fixture(autouse=True, params=["watched", "automatic"])
def way(request: Any, database: Any) -> Iterator[str]:
    if request.param == "watched":
        watch(*CLASSES)
        yield request.param
        return
    with automatic(*CLASSES):
        yield request.param


VALUES = [True, False, "bob", 3, None, ["x"], ("y",), {"a": 1}, b"z", 1.5, object(), Plain]


@pytest.mark.parametrize("value", VALUES, ids=lambda it: type(it).__name__)
@pytest.mark.parametrize("cls", [Soft, Two, AnyOf, Partial, Decorated])
def test_arguments_of_its_own_reach_a_deletion(cls: Any, value: Any) -> None:
    """As they do where nobody records it."""
    found = []
    for document in (cls(text="a").save(), cls(text="a").save()):
        with DocumentTrack(document, "ann"):
            found.append(document.delete(value))
    stays = cls is Soft and value is False
    assert bool(cls.objects(pk=document.pk)) == stays
    assert stays or found[0] == found[1] == expected(cls, value)
    assert told(document)[-1] == ("update" if stays else "delete", "ann")


def expected(cls: Any, value: Any) -> Any:
    answers = {Two: (value, None, (), {}), AnyOf: ((value,), {}), Decorated: ((value,), {})}
    return {**answers, Partial: ("part", value, (), {})}.get(cls)


def test_a_saved_document_is_an_argument_as_others_are() -> None:
    by = Plain(text="who").save()
    document = Two(text="a").save()
    with DocumentTrack(document, "ann"):
        assert document.delete(by, "why", 1, 2, key=3) == (by, "why", (1, 2), {"key": 3})
    assert told(document)[-1] == ("delete", "ann")


def test_who_is_said_by_name_counts(way: str) -> None:
    for cls in (Named, Plain):
        document = cls(text="a").save()
        with DocumentTrack(document, "ann"):
            document.delete(signal_kwargs={"identity": "bob", "reason": "named"})
        newest = history_of(document)[-1]
        assert (newest.identity, newest.reason) == ("bob", "named")
    document = Plain(text="a").save()
    with DocumentTrack(document, "ann"):
        document.delete({"identity": "bob"})
    assert told(document)[-1] == ("delete", "bob")


def test_keys_of_an_argument_of_its_own_name_nobody(way: str) -> None:
    document = Two(text="a").save()
    with DocumentTrack(document, "ann"):
        document.delete({"identity": "bob", "reason": "own"})
    assert told(document)[-1] == ("delete", "ann")


CALLS: dict[str, Callable[[Any], Any]] = {
    "save": lambda it: (setattr(it, "text", "b"), Plain.save(it)),
    "delete": lambda it: (Plain.delete(it), it),
    "delete of MongoEngine": me.Document.delete,
    "save of MongoEngine": lambda it: (setattr(it, "text", "b"), me.Document.save(it)),
}

ONLY_AUTOMATIC: dict[str, Callable[[Any], Any]] = {
    "update": lambda it: Plain.update(it, set__text="b"),
    "modify": lambda it: Plain.modify(it, set__text="b"),
    "update of MongoEngine": lambda it: me.Document.update(it, set__text="b"),
    "modify of MongoEngine": lambda it: me.Document.modify(it, {"text": "a"}, set__text="b"),
}


@pytest.mark.parametrize("call", [*CALLS, *ONLY_AUTOMATIC])
def test_a_method_may_be_called_on_the_class(way: str, call: str) -> None:
    if way == "watched" and call in ONLY_AUTOMATIC:
        return
    document = Plain(text="a")
    with DocumentTrack(document, "ann"):
        Plain.save(document)
        with recorded(Plain):
            {**CALLS, **ONLY_AUTOMATIC}[call](document)
    first, second = told(document)
    assert first == ("create", "ann")
    may_pass_by = "of MongoEngine" in call and "save" not in call  # the class's own is not called
    assert second[1] in {"ann", *([None] if may_pass_by else [])}


@pytest.mark.parametrize("anew", ["reload", "modify"])
def test_what_is_loaded_anew_is_seen(anew: str) -> None:
    document = Plain(text="a", number=1).save()
    with DocumentTrack(document, refuse_stale=True):
        by_another(document, {"$set": {"text": "z"}})
        getattr(document, anew)(**({"set__number": 2} if anew == "modify" else {}))
        document.text = "b"
        Plain.save(document)
    assert Plain.objects.get().text == "b"


@pytest.mark.parametrize("on_class", [False, True])
def test_what_was_led_back_is_forgotten_when_it_is_loaded_anew(on_class: bool) -> None:
    document = Plain(text="a", number=1)
    with DocumentTrack(document):
        document.save()
        document.text = "b"
        document.save()
    revert(document, revision=1)
    Plain.reload(document) if on_class else document.reload()
    with DocumentTrack(document):
        document.number = 2
        Plain.save(document)
    assert Plain.objects.get().text == "b"
    assert told(document)[-1][0] == "update"


def on_class(cls: Any, pk: Any) -> bool:
    return cls.objects(pk=pk).modify(remove=True) is not None


def update_on_class(cls: Any, pk: Any, **values: Any) -> int:
    return cls.objects(pk=pk).update(**values)


def of_nobody(model: str) -> dict[str, Any]:
    """Make static methods of a class that is named."""

    def find(pk: Any) -> Any:
        return globals()[model].objects(pk=pk)

    return {
        "delete": staticmethod(lambda pk: find(pk).modify(remove=True) is not None),
        "update": staticmethod(lambda pk, **values: find(pk).update(**values)),
        "modify": staticmethod(lambda pk, **values: find(pk).modify(new=True, **values).text),
    }


ByClass = own(
    "ByClass",
    delete=classmethod(on_class),
    update=classmethod(update_on_class),
    modify=classmethod(update_on_class),
)
ByStatic = own("ByStatic", **of_nobody("ByStatic"))


@pytest.mark.parametrize("cls", [ByClass, ByStatic])
@pytest.mark.parametrize("by_instance", [False, True])
def test_methods_of_the_class_itself_do_as_they_do(cls: Any, by_instance: bool) -> None:
    with automatic(cls):
        document = cls(text="a").save()
        target = document if by_instance else cls
        for write in (
            lambda: target.update(document.pk, text="b"),
            lambda: target.modify(document.pk, text="c"),
            lambda: target.delete(document.pk),
        ):
            with recorded(cls), changeset("ann"):
                assert write()
        kept = [cls.__dict__[name] for name in ("delete", "update", "modify")]
    assert [cls.__dict__[name] for name in ("delete", "update", "modify")] == kept
    assert told(document)[1:] == [("update", "ann"), ("update", "ann"), ("delete", "ann")]


def overriding(self: Any, by: Any) -> Any:
    return by, me.Document.delete(self)


@pytest.mark.parametrize("late", [False, True])
def test_a_subclass_of_a_tracked_class_has_methods_of_its_own(way: str, late: bool) -> None:
    base = own(f"Base{late}{way}", meta={"allow_inheritance": True, "collection": "own_bases"})

    def made() -> list[Any]:
        def through_super(self: Any, by: Any) -> Any:
            return by, super(subs[0], self).delete()

        subs = [
            own(f"Sub{late}{way}", (base,), meta={}, delete=through_super),
            own(f"Static{late}{way}", (base,), meta={}, delete=staticmethod(lambda pk: ("x", pk))),
        ]
        return subs

    early = [] if late else made()
    track_history(base)
    first, second = early or made()
    document = first(text="a").save()
    with recorded(first), DocumentTrack(document, "ann"):
        assert document.delete("by") == ("by", None)
    assert told(document) == [("create", None), ("delete", "ann")]
    other = second(text="a").save()
    assert second.delete(other.pk) == other.delete(other.pk) == ("x", other.pk)
    with recorded(second), changeset("ann"):
        base.objects(pk=other.pk).delete()
    assert told(other) == [("create", None), ("delete", "ann")]
    untrack_history(base)


def test_a_save_of_its_own_takes_its_own_arguments() -> None:
    def save(self: Any, who: Any, /, *tags: Any, **kwargs: Any) -> Any:
        self.text = ",".join([who, *tags])
        return me.Document.save(self, **kwargs)

    cls = own("Saving", save=save)
    watch(cls)
    document = cls()
    with DocumentTrack(document, "ann"):
        document.save("a", "b")
        cls.save(document, "c", signal_kwargs={"identity": "bob"})
    assert told(document) == [("create", "ann"), ("update", "bob")]


def test_a_method_that_is_awaited_is_recorded() -> None:
    async def delete(self: Any, pause: float) -> Any:
        await asyncio.sleep(pause)
        return me.Document.delete(self)

    cls = own("Awaited", delete=delete)
    with automatic(cls):
        document = cls(text="a").save()
        with recorded(cls), changeset("ann"):
            asyncio.run(document.delete(0.0))
    assert told(document)[-1] == ("delete", "ann")


def test_a_mixin_may_bring_the_methods() -> None:
    class Mixin:
        def delete(self, by: Any) -> Any:
            super().delete()
            return by

        def update(self, text: str) -> Any:
            return super().update(set__text=text)

    cls = own("Mixed", (Mixin, me.Document))
    with automatic(cls):
        document = cls(text="a").save()
        with DocumentTrack(document, "ann"):
            document.update("b")
            cls.update(document, "c")
            assert cls.delete(document, "by") == "by"
    operations = ["create", "update", "update", "delete"]
    assert [operation for operation, _ in told(document)] == operations
    assert {who for _, who in told(document)[1:]} == {"ann"}
    assert "delete" not in cls.__dict__


def methods(cls: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(cls).items() if callable(value)}


@pytest.mark.parametrize("cls", CLASSES)
def test_a_class_that_is_tracked_no_more_is_as_it_was(cls: Any) -> None:
    fresh = own(f"Fresh{cls.__name__}", **{k: v for k, v in vars(cls).items() if k == "remove"})
    before = methods(fresh)
    with automatic(fresh):
        assert methods(fresh) != before
    assert methods(fresh) == before
