"""Dotted paths as an application writes them, by names of attributes, become paths of keys."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from mongoengine import Document, EmbeddedDocument
from mongoengine.base import ComplexBaseField
from mongoengine.fields import ListField

from mongoengine_history.documents.fieldrules import (
    VITAL,
    FieldRules,
    Lookup,
    rule_by,
    rule_in,
    with_subclasses,
)
from mongoengine_history.documents.options import HistoryOptions, options_of, own_options
from mongoengine_history.documents.renamed import former_names, stored_today
from mongoengine_history.errors import OptionsError
from mongoengine_history.state.hiding import Hiding
from mongoengine_history.state.rules import ANY, CLASS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mongoengine_history.state.rules import Rules

    _Way = tuple[tuple[str, ...], str | None]

NOTHING: Final = Hiding()


def hiding_of(model: Document | type[Document]) -> Hiding:
    """
    Return what the history of a class, or of a document's class, does not hold.

    It tells apart by ``_cls`` the classes that share a collection. Of a document whose class is not
    known all that any of them hides is hidden.

    Raises:
        OptionsError: a path names no field of the class, or rules contradict each other.
    """
    return _known_of(model).hiding


def volatile_of(model: Document | type[Document]) -> Hiding:
    """
    Return what goes on by itself in the documents of a class: `Hiding.kept` keeps it.

    Raises:
        OptionsError: as `hiding_of` raises it.
    """
    return _known_of(model).volatile


def _known_of(model: Document | type[Document]) -> _Known:
    known: Any = type(model) if isinstance(model, Document) else model
    first = _first(known)
    classes = tuple(with_subclasses(first))
    options = tuple(map(options_of, classes))
    found = _known.get(first)
    if found is None or found.options != options or found.is_outdated:
        found = _known[first] = _Known.of(classes, options)
    return found


@cache  # it is asked at each write
def _first(model: type[Document]) -> type[Document]:
    """Return the class with which the collection of a class begins: a base, or itself."""
    bases = [base for base in model.__mro__ if _has_collection(base)]
    return bases[-1] if bases else model


def _has_collection(model: type[Any]) -> bool:
    return issubclass(model, Document) and not model._meta.get("abstract")


def hiding_by(model: Any, options: HistoryOptions) -> Hiding:
    """
    Return what fields and *options* hide of one class alone.

    Raises:
        OptionsError: as `hiding_of` raises it.
    """
    names = _Names()
    return names.hiding(model, options, FieldRules(names.lookup).of(model))


def check_rules(model: type[Document]) -> None:
    """
    Check what a class and its subclasses hide, before anything is recorded.

    Raises:
        OptionsError: a rule cannot be used.
    """
    hiding_by(model, options_of(model))
    names = _Names()
    names.volatile(model, options_of(model))
    names.check_renamed(model, options_of(model))
    hidings = [hiding_of(known) for known in with_subclasses(model) if _has_collection(known)]
    has_key = own_options(model).get("fingerprint_key") and _has_collection(model)
    if has_key and not any(hiding.has_masks for hiding in hidings):
        raise OptionsError("fingerprint_key", "…", "there is no mask that it could serve")


@dataclass(frozen=True)
class _Known:
    """What is hidden of a collection, worked out from the classes that there were."""

    hiding: Hiding
    #: What goes on by itself.
    volatile: Hiding
    options: tuple[HistoryOptions, ...]
    #: The classes that paths led through; one that is derived later may store a field elsewhere.
    classes: frozenset[type[Any]]
    #: How many these and their subclasses were; 0 if one was not defined yet.
    count: int

    @classmethod
    def of(cls, models: tuple[type[Document], ...], options: tuple[HistoryOptions, ...]) -> _Known:
        names = _Names()
        fields = FieldRules(names.lookup)
        pairs = list(zip(models, options, strict=True))
        hiding = _of_all({it: names.hiding(it, asked, fields.of(it)) for it, asked in pairs})
        volatile = _of_all({it: names.volatile(it, asked) for it, asked in pairs})
        for it, asked in pairs:
            names.check_renamed(it, asked)
        looked = names.lookup
        count = _count(looked.classes) if looked.are_all_there else 0
        return cls(hiding, volatile, options, frozenset(looked.classes), count)

    @property
    def is_outdated(self) -> bool:
        return self.count != _count(self.classes)


_known: Final[dict[type[Document], _Known]] = {}


def _of_all(hidings: dict[type[Document], Hiding]) -> Hiding:
    """Unite what is hidden of classes that share a collection."""
    of_all = Hiding.of_classes({it._class_name: hiding for it, hiding in hidings.items()})
    hiding = of_all if len(hidings) > 1 else next(iter(hidings.values()))
    return hiding if hiding.rules else NOTHING


def _of_before(hiding: Hiding, model: type[Document]) -> Hiding:
    """Let what holds for a stored name hold for those that were ``renamed`` to it."""
    former = {
        old: hiding.rules[now] for old, now in stored_today(model).items() if now in hiding.rules
    }
    return replace(hiding, rules={**hiding.rules, **former}) if former else hiding


@dataclass
class _Names:
    """Finds the stored names of fields, and keeps in mind where it looked."""

    lookup: Lookup = field(default_factory=Lookup)

    def hiding(self, model: type[Document], options: HistoryOptions, fields: Rules) -> Hiding:
        """Return what is hidden of a class: what paths and what fields say."""
        exclude, mask = (
            [keys for path in paths for keys in self._stored(model, name, path)]
            for name, paths in (("exclude", options.exclude), ("mask", options.mask))
        )
        for keys in {*exclude} & {*mask}:
            raise OptionsError("mask", ".".join(keys), "it is excluded, too, by another name")
        found = Hiding.of(exclude, mask, options.fingerprint_key, [fields])
        return _of_before(found, model)

    def volatile(self, model: type[Document], options: HistoryOptions) -> Hiding:
        """Return what goes on by itself in documents of a class."""
        paths = [self._stored(model, "volatile", path) for path in options.volatile]
        return _of_before(Hiding.of([keys for found in paths for keys in found], ()), model)

    def check_renamed(self, model: type[Document], options: HistoryOptions) -> None:
        """Raise an OptionsError where a name of today is unknown, or one of before is in use."""
        for pair in dict(options.renamed).items():
            bases = [base for base in model.__mro__[1:] if getattr(base, "_meta", None)]
            saying = [model, *(it for it in bases if pair in options_of(it).renamed)]
            if not any(self._has(it, pair[1]) for it in saying):
                problem = (
                    f"there is no field and no class {pair[1]!r}; say {{'old': 'new'}}, below "
                )
                raise OptionsError("renamed", options.renamed, problem + "the classes that have it")
        self._check_former(model)

    def _check_former(self, model: type[Document]) -> None:
        """Raise an OptionsError where an old name means something today: it would be lost."""
        today = stored_today(model)
        in_use = {it.db_field for _, _, it in self.lookup.attributes((model,))}
        in_use |= {getattr(it, "_class_name", None) for it in with_subclasses(model)}
        for old in today:  # nor may names form a chain
            if old in {*in_use, *today.values()}:
                problem = (
                    f"{old!r} is stored today, too, which would be taken for what is older; leave "
                    "it out, or give the field of today another name: db_field=…"
                )
                raise OptionsError("renamed", options_of(model).renamed, problem)

    def _has(self, model: type[Document], name: str) -> bool:
        classes = {getattr(it, "_class_name", None) for it in with_subclasses(model)}
        is_to_come = model._meta.get("allow_inheritance") and name.startswith(
            f"{model._class_name}."
        )
        return is_to_come or name in classes or any(self._attributes((model,), name))

    def _stored(self, model: type[Document], name: str, path: str) -> set[tuple[str, ...]]:
        """Return the paths of keys that a dotted path means; the stored names may be several."""
        ways, unknown = self.ways(model, path)
        found = {keys for keys, _ in ways}
        # What another subclass of the same base has needs not be here, too.
        bases = [base for base in model.__mro__[1:] if getattr(base, "_meta", None)]
        bases = [base for base in bases if path in getattr(options_of(base), name)]
        if not found and not any(self.ways(base, path)[0] for base in bases):
            problem = f"there is no {unknown!r}; call track_history below the classes that have it"
            raise OptionsError(name, path, problem)
        if any(keys[0] == "_id" or "_cls" in keys for keys in found):
            raise OptionsError(name, path, VITAL)
        if name != "volatile" and any(said not in {None, name} for _, said in ways):
            raise OptionsError(name, path, "its field says the other; it can only be one of both")
        return found

    def ways(self, model: type[Any], path: str) -> tuple[list[_Way], str]:
        """Return what a path means, with what fields say of it, and the last step looked for."""
        ways: list[tuple[tuple[str, ...], Any, str | None]] = [((), model, None)]
        step = path
        for step in path.split("."):
            ways = [
                ((*keys, key), inside, said)
                for keys, target, _ in ways
                for key, inside, said in self._steps(target, step)
            ]
            if not ways:
                break
        return [(keys, said) for keys, _, said in ways], step

    def _steps(self, target: Any, step: str) -> Iterator[tuple[str, Any, str | None]]:
        """Yield the key that a step means, what lies there, and what its field says."""
        if target is ANY:
            yield step, ANY, None
        elif isinstance(target, ListField) and step != ANY:  # a path may pass through
            if not step.isdecimal():  # no item is named by its index
                yield from self._steps(self.lookup.inside(target.field), step)
        elif isinstance(target, ComplexBaseField):
            yield step, self.lookup.inside(target.field), rule_by(target.field, f"{target.name}.*")
        elif isinstance(target, tuple):
            is_any = EmbeddedDocument in target  # of which one may say anything
            for key, inside, said in self._attributes(target, step):
                yield key, inside, None if is_any else said
            if is_any:
                yield step, ANY, None
        elif isinstance(target, type):
            yield from self._attributes((target,), step)

    def _attributes(
        self, models: Iterable[type[Any]], step: str
    ) -> Iterator[tuple[str, Any, str | None]]:
        """Find a field of classes or of their subclasses, by its own name and by the stored one."""
        found = False
        for known, name, it in self.lookup.attributes(models):
            if step in {name, it.db_field}:
                found = True
                yield it.db_field, self.lookup.inside(it), rule_in(known, name)
        if not found and step != ANY and any(getattr(it, "_dynamic", False) for it in models):
            yield step, ANY, None


def keys_of(model: type[Document], path: str | Sequence[str]) -> set[tuple[str, ...]]:
    """
    Return the paths of keys that names of attributes, or stored ones, mean; `ANY` may be one.

    Raises:
        OptionsError: the class has no such field, and it is no list of stored keys, which is exact;
            or it leads to the primary key or to the name of a class.
    """
    names = path.split(".") if isinstance(path, str) else path
    if not names or not isinstance(names, list | tuple) or not all(map(_is_name, names)):
        raise OptionsError("path", path, "it must be names joined by dots, or a list of keys")
    found, unknown = {tuple(names)}, ""
    if isinstance(path, str):
        ways, unknown = _Names().ways(model, path)
        found = {keys for keys, _ in ways}
        found |= {(old, *rest) for key, *rest in found for old in former_names(model, key)}
    if not found:
        problem = f"there is no {unknown!r}; a list of stored keys may name anything. No item of a"
        raise OptionsError("path", path, f"{problem} list is named by its index: * is each of them")
    if any(keys[0] == "_id" or CLASS in keys for keys in found):
        raise OptionsError("path", path, "without the primary key and the class none can be read")
    return found


def _is_name(name: object) -> bool:
    return isinstance(name, str) and bool(name) and "\x00" not in name


def _count(classes: Iterable[type[Any]]) -> int:
    return sum(1 for model in classes for _ in with_subclasses(model))
