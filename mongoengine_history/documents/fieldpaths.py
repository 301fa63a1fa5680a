"""Dotted paths as an application writes them, by names of attributes, become paths of keys."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mongoengine import Document, EmbeddedDocument
from mongoengine.base import BaseDocument, ComplexBaseField
from mongoengine.errors import NotRegistered
from mongoengine.fields import (
    DynamicField,
    EmbeddedDocumentField,
    GenericEmbeddedDocumentField,
    ListField,
)

from mongoengine_history.documents.options import HistoryOptions, options_of
from mongoengine_history.errors import OptionsError
from mongoengine_history.state.hiding import ANY, Hiding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

NOTHING: Final = Hiding()

VITAL: Final = "without it no document can be told from another"


def hiding_of(model: Document | type[Document]) -> Hiding:
    """
    Return what the history of a class, or of a document's class, does not hold.

    Raises:
        OptionsError: a path names no field of the class.
    """
    known: Any = type(model) if isinstance(model, Document) else model
    return hiding_by(known, options_of(known))


def hiding_by(model: Any, options: HistoryOptions) -> Hiding:
    """Return what *options* hide of a class, as `hiding_of` does."""
    if not options.exclude and not options.mask:
        return NOTHING
    known = _known.get((model, options))
    if known is None or known.is_outdated:
        known = _known[model, options] = _Known.of(model, options)
    return known.hiding


@dataclass(frozen=True)
class _Known:
    """What is hidden of a class, worked out from the classes that there were."""

    hiding: Hiding
    #: The classes that paths led through; one that is derived later may store a field elsewhere.
    classes: frozenset[type[Any]]
    #: How many these and their subclasses were; 0 if one was not defined yet.
    count: int

    @classmethod
    def of(cls, model: type[Document], options: HistoryOptions) -> _Known:
        names = _Names()
        exclude, mask = (
            [keys for path in paths for keys in names.stored(model, options, name, path)]
            for name, paths in (("exclude", options.exclude), ("mask", options.mask))
        )
        count = _count(names.classes) if names.are_all_there else 0
        return cls(
            Hiding.of(exclude, mask, options.fingerprint_key), frozenset(names.classes), count
        )

    @property
    def is_outdated(self) -> bool:
        return self.count != _count(self.classes)


_known: Final[dict[tuple[type[Document], HistoryOptions], _Known]] = {}


@dataclass
class _Names:
    """Finds the stored names of fields, and keeps in mind where it looked."""

    classes: set[type[Any]] = field(default_factory=set)
    are_all_there: bool = True

    def stored(
        self, model: type[Document], options: HistoryOptions, name: str, path: str
    ) -> set[tuple[str, ...]]:
        """Return the paths of keys that a dotted path means; the stored names may be several."""
        found, unknown = self._ways(model, path)
        # What another subclass of the same tracked base has needs not be here, too.
        bases = [base for base in model.__mro__[1:] if getattr(base, "_meta", None)]
        bases = [base for base in bases if options_of(base) == options]
        if not found and not any(self._ways(base, path)[0] for base in bases):
            problem = f"there is no {unknown!r}; call track_history below the classes that have it"
            raise OptionsError(name, path, problem)
        if any(keys[0] == "_id" or "_cls" in keys for keys in found):
            raise OptionsError(name, path, VITAL)
        return found

    def _ways(self, model: type[Document], path: str) -> tuple[set[tuple[str, ...]], str]:
        """Return what a path means, and the last step that was looked for."""
        ways: list[tuple[tuple[str, ...], Any]] = [((), model)]
        step = path
        for step in path.split("."):
            ways = [
                ((*keys, key), inside)
                for keys, target in ways
                for key, inside in self._steps(target, step)
            ]
            if not ways:
                break
        return {keys for keys, _ in ways}, step

    def _steps(self, target: Any, step: str) -> Iterator[tuple[str, Any]]:
        """Yield the key that a step means, and what lies there; nothing if there is none."""
        if target is ANY:
            yield step, ANY
        elif isinstance(target, ListField) and step != ANY:  # a path may pass through
            if not step.isdecimal():  # no item is named by its index
                yield from self._steps(self._inside(target.field), step)
        elif isinstance(target, ComplexBaseField):
            yield step, self._inside(target.field)
        elif isinstance(target, tuple):
            yield from self._attributes(target, step)
            if EmbeddedDocument in target:
                yield step, ANY
        elif isinstance(target, type):
            yield from self._attributes((target,), step)

    def _inside(self, field: Any) -> Any:
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

    def _attributes(
        self, models: Iterable[type[BaseDocument]], step: str
    ) -> Iterator[tuple[str, Any]]:
        """Find a field of classes or of their subclasses, by its own name and by the stored one."""
        self.classes.update(models)
        found = False
        for known in (known for model in models for known in with_subclasses(model)):
            fields = getattr(known, "_fields", {})  # the classes of MongoEngine itself have none
            for name in fields:
                if step in {name, fields[name].db_field}:
                    found = True
                    yield fields[name].db_field, self._inside(fields[name])
        if not found and step != ANY and any(getattr(it, "_dynamic", False) for it in models):
            yield step, ANY


def with_subclasses(model: type[Any]) -> Iterator[type[Any]]:
    """Yield a class and all classes derived from it."""
    yield model
    for known in model.__subclasses__():
        yield from with_subclasses(known)


def _count(classes: Iterable[type[Any]]) -> int:
    return sum(1 for model in classes for _ in with_subclasses(model))
