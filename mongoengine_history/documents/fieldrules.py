"""Rules that fields state themselves: ``StringField(history=False)`` and ``history="mask"``."""

from __future__ import annotations

from dataclasses import dataclass, field
from inspect import getattr_static
from typing import TYPE_CHECKING, Any, Final

from mongoengine import EmbeddedDocument
from mongoengine.base import ComplexBaseField
from mongoengine.errors import NotRegistered
from mongoengine.fields import (
    DynamicField,
    EmbeddedDocumentField,
    GenericEmbeddedDocumentField,
)

from mongoengine_history.errors import OptionsError
from mongoengine_history.state.rules import ANY, CLASS, EXCLUDE, MASK
from mongoengine_history.state.values import ABSENT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mongoengine_history.state.rules import Rules

VITAL: Final = "without it no document can be told from another"

KEYWORD: Final = "history"
"""What a field is given; MongoEngine keeps keywords that it does not know as attributes."""


def rule_in(model: type[Any], name: str) -> str | None:
    """
    Return what the fields of a name say, of a class and its bases: a subclass takes no rule away.

    Raises:
        OptionsError: they say different things, or something that is no rule.
    """
    fields = [getattr(base, "_fields", {}).get(name) for base in model.__mro__]
    where = f"{model.__name__}.{name}"
    said = {rule for it in fields if (rule := rule_by(it, where))}
    if len(said) > 1:
        raise OptionsError(KEYWORD, where, "a class excludes what another one masks; say one")
    return said.pop() if said else None


def rule_by(field: Any, where: str) -> str | None:
    """
    Return what a field says: `EXCLUDE`, `MASK`, or nothing.

    Raises:
        OptionsError: it is something else.
    """
    given = getattr_static(field, KEYWORD, ABSENT)
    if given is False:
        return EXCLUDE
    if isinstance(given, str) and given == MASK:
        return MASK
    # What a class of fields has under this name is its own.
    if given is not ABSENT and getattr_static(type(field), KEYWORD, ABSENT) is ABSENT:
        problem = f"{where} may say False, which excludes it, or {MASK!r}"
        raise OptionsError(KEYWORD, given, problem)
    return None


def with_subclasses(model: type[Any]) -> Iterator[type[Any]]:
    """Yield a class and all classes derived from it."""
    yield model
    for known in model.__subclasses__():
        yield from with_subclasses(known)


def concrete(model: type[Any]) -> Iterator[type[Any]]:
    """Yield a class and all classes derived from it, but abstract ones, which have no documents."""
    return (it for it in with_subclasses(model) if not it._meta.get("abstract"))


@dataclass
class Lookup:
    """Looks into fields, and keeps in mind through which classes that has led."""

    classes: set[type[Any]] = field(default_factory=set)
    are_all_there: bool = True

    def inside(self, field: Any) -> Any:
        """Return what steps lead into: classes of documents, a list or dict, anything, nothing."""
        if isinstance(field, GenericEmbeddedDocumentField):
            choices = tuple(field.choices or ())
            known = choices and all(isinstance(choice, type) for choice in choices)
            return choices if known else (EmbeddedDocument,)
        if isinstance(field, EmbeddedDocumentField):
            try:
                return field.document_type
            except NotRegistered:  # named by a text, and defined later
                self.are_all_there = False
                return ANY
        if isinstance(field, ComplexBaseField):
            return field
        return ANY if field is None or isinstance(field, DynamicField) else None

    def attributes(self, models: Iterable[type[Any]]) -> Iterator[tuple[type[Any], str, Any]]:
        """Yield the fields of classes and of their subclasses, by name."""
        models = tuple(models)
        self.classes.update(models)
        for known in dict.fromkeys(it for model in models for it in with_subclasses(model)):
            for name, it in getattr(known, "_fields", {}).items():  # MongoEngine's own have none
                yield known, name, it


class FieldRules:
    """The rules of fields, also of those of embedded documents, which may hold their own kind."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._made: dict[Any, dict[str, Any]] = {}

    def of(self, model: type[Any]) -> Rules:
        """
        Return what the fields of a class state, and those of what is embedded in it.

        Raises:
            OptionsError: a field states what is no rule.
        """
        found = self._of_class(model)
        if not isinstance(found.get("_id", {}), dict):
            raise OptionsError(KEYWORD, "_id", VITAL)
        self._prune()
        return found

    def _of_class(self, model: type[Any]) -> dict[str, Any]:
        if model in self._made:
            return self._made[model]
        made = self._made[model] = {}
        self._lookup.classes.add(model)
        for name, it in getattr(model, "_fields", {}).items():
            made[it.db_field] = rule_in(model, name) or self._below(self._lookup.inside(it))
        return made

    def _below(self, target: Any) -> dict[str, Any]:
        """Return the rules of what a field leads into."""
        if isinstance(target, ComplexBaseField):
            return self._of_items(target)
        models = target if isinstance(target, tuple) else (target,)
        if not all(isinstance(it, type) for it in models):
            return {}
        self._lookup.classes.update(models)
        known = dict.fromkeys(it for model in models for it in with_subclasses(model))
        if len(known) == 1:
            return self._of_class(*known)
        if models not in self._made:
            named: dict[str, Any] = {}
            self._made[models] = {CLASS: named}
            for it in known:
                named[getattr(it, "_class_name", it.__name__)] = self._of_class(it)
        return self._made[models]

    def _of_items(self, target: Any) -> dict[str, Any]:
        """Return the rules of a list or a dict: of each item, of each key."""
        if id(target) not in self._made:
            made = self._made[id(target)] = {}
            said = rule_by(target.field, f"{target.name}.*")
            made[ANY] = said or self._below(self._lookup.inside(target.field))
        return self._made[id(target)]

    def _prune(self) -> None:
        """Take out what leads to no rule. A class without one is kept where others have some."""
        tables = [it[CLASS] for it in self._made.values() if CLASS in it]
        nodes = [*self._made.values(), *tables]
        needed: set[int] = set()
        count = -1
        while count != len(needed):
            count = len(needed)
            needed |= {id(it) for it in nodes if any(_leads(rule, needed) for rule in it.values())}
        for table in tables:
            table.update({name: {} for name, it in table.items() if not _leads(it, needed)})
        for node in self._made.values():
            for key in [key for key, rule in node.items() if not _leads(rule, needed)]:
                del node[key]


def _leads(rule: Any, needed: set[int]) -> bool:
    return not isinstance(rule, dict) or id(rule) in needed
