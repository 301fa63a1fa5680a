"""Paths of stored keys, named by attributes, and the way back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mongoengine import EmbeddedDocument
from mongoengine.fields import ListField

from mongoengine_history.documents.fieldrules import Lookup, with_subclasses
from mongoengine_history.documents.renamed import former_names, stored_today
from mongoengine_history.errors import OptionsError
from mongoengine_history.state.rules import ANY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mongoengine import Document

MOST_WAYS: Final = 20
"""Paths of keys that one of names may mean: what is asked for comes from requests, too."""


def attributes(model: type[Document], path: Sequence[str | int]) -> tuple[str | int, ...]:
    """Name a path of stored keys by attributes; what no field has keeps its stored name."""
    return tuple(name for name, _ in _along(model, path))


def labels(model: type[Document], path: Sequence[str | int]) -> tuple[str | int, ...]:
    """Name a path of stored keys as `attributes` does, or by the ``verbose_name`` of fields."""
    return tuple(getattr(it, "verbose_name", None) or name for name, it in _along(model, path))


def _along(model: type[Document], path: Sequence[str | int]) -> Iterator[tuple[str | int, Any]]:
    """Yield for each key of a path its attribute, and the field; None where there is none."""
    lookup = Lookup()
    inside: Any = (model,)
    for key in path:
        classes = (inside,) if isinstance(inside, type) else inside
        if isinstance(classes, tuple):
            fields = ((name, it) for _, name, it in lookup.attributes(classes))
            name, it = next((pair for pair in fields if pair[1].db_field == key), (key, None))
            inside = lookup.inside(it)
        else:
            name, it, inside = key, None, lookup.inside(getattr(inside, "field", None))
        yield name, it


def stored_paths(model: type[Document], names: Sequence[str]) -> list[tuple[str, ...]]:
    """
    Return the paths of keys that names of attributes, or stored ones, mean in a class.

    They are several where classes below store an attribute differently, or stored it under another
    name before. Items of lists have an index. What lies in a value without a class may have any
    name.

    Raises:
        OptionsError: a class has no field of a name, or too many classes have one.
    """
    lookup = Lookup()
    ways: list[tuple[tuple[str, ...], Any]] = [((), model)]
    for name in names:
        found = {
            ((*keys, key), id(inside)): ((*keys, key), inside)
            for keys, target in ways
            for key, inside in _leading(lookup, target, name)
        }
        ways = list(found.values())
        if not 0 < len(ways) <= MOST_WAYS:
            raise OptionsError("path", ".".join(names), _astray(name, ways))
    return list(dict.fromkeys(keys for keys, _ in ways))


def _astray(name: str, ways: list[Any]) -> str:
    problem = f"too many classes have a {name!r}" if ways else f"there is no {name!r}"
    return f"{problem}; items of lists have an index, and a list of stored keys may name anything"


def _leading(lookup: Lookup, target: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield the keys that a name means in what a step has led into, and what lies there."""
    classes = (target,) if isinstance(target, type) else target
    if isinstance(classes, tuple):
        yield from _fields_of(lookup, classes, name)
    elif not isinstance(target, ListField):
        yield name, lookup.inside(getattr(target, "field", None))
    elif name.isdecimal():
        yield name, lookup.inside(target.field)


def _fields_of(
    lookup: Lookup, models: tuple[type[Any], ...], name: str
) -> Iterator[tuple[str, Any]]:
    is_found = False
    for known, attribute, it in lookup.attributes(models):
        # The name of an attribute comes first, should another one be stored under it.
        if name == attribute or (name == it.db_field and name not in known._fields):
            is_found = True
            for key in (it.db_field, *former_names(known, it.db_field)):
                yield key, lookup.inside(it)
    loose = any(_may_have(known, name) for model in models for known in with_subclasses(model))
    if EmbeddedDocument in models or (loose and not is_found):
        for key in (name, *(old for known in models for old in former_names(known, name))):
            yield key, ANY


def _may_have(model: type[Any], name: str) -> bool:
    """Say whether documents of a class may have what is none of its fields."""
    meta = getattr(model, "_meta", {})
    is_loose = getattr(model, "_dynamic", False) or meta.get("strict") is False
    return is_loose or name in stored_today(model) or name == "_cls"
