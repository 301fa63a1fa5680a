"""Which document is meant, or which class."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import click
from mongoengine.fields import StringField

from mongoengine_history import OptionsError, RevisionNotFoundError, history_of, verify
from mongoengine_history.cli.connection import is_there
from mongoengine_history.cli.values import number_of, readings
from mongoengine_history.documents.snapshot import stored_key
from mongoengine_history.faces.classless import unknown_of
from mongoengine_history.record.history import kept_by
from mongoengine_history.record.overview import keys_behind
from mongoengine_history.record.place import Place
from mongoengine_history.state.patches import dictdiffer_paths
from mongoengine_history.state.wording import readable
from mongoengine_history.trust.finding import ALTERED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mongoengine import Document

    from mongoengine_history import Timeline
    from mongoengine_history.cli.options import Settings
    from mongoengine_history.state.patches import DictdifferPatch
    from mongoengine_history.state.values import Path

HIDDEN_OR_UNKNOWN: Final = (
    "What is stored at {paths} is not in the history: it was written past it, or the own class "
    "hides it. Name the class by --model, or reconcile the document first."
)

NOTHING_THERE_YET: Final = (
    "the database has no such collection, and it has no history; is its name, or that of the "
    "database, another?"
)

KEYED: Final = (
    "The checksums of its history are not those that can be made without a key. Name the class, "
    "which has its key, by --model; or see what verify says."
)


@dataclass(frozen=True)
class Target:
    """A document, be it stored or gone."""

    model: type[Document]
    key: Any
    #: What was said behind it.
    rest: tuple[str, ...]
    #: Whether its own class was not named.
    is_classless: bool

    @property
    def timeline(self) -> Timeline[Document]:
        """Its history."""
        return history_of(self.model, self.key)

    def number(self, text: str) -> int:
        """Read the number of a revision; -1 is that of the newest."""
        number = number_of(text)
        return self.timeline[number].number if number < 0 else number

    @cached_property
    def stored(self) -> bytes | None:
        """It as it was stored when it was looked at first, to the byte; None if it was not."""
        return self.read_again()

    def read_again(self) -> bytes | None:
        """Read it as it is stored now, to the byte; None if it is not."""
        return Place(self.model).stored(self.key)

    def document(self) -> Document:
        """Load it, or make an object of one that is gone, to which something is to be put back."""
        _ = self.stored  # before all else
        its = {"_id": {"$eq": self.key}}  # whatever it looks like, it is no operator
        found: Document | None = self.model.objects(__raw__=its).first()
        return self.model(pk=self.key) if found is None else found


def told_paths(paths: Sequence[Path]) -> str:
    """Tell the first of some paths."""
    return ", ".join(map(readable, paths[:10])) + (", …" if len(paths) > 10 else "")


def check_known(document: Document, patches: Iterable[DictdifferPatch]) -> None:
    """
    Raise an OptionsError if patches need the own class.

    It may hide what they touch, or it has the key that checksums are made with.
    """
    touched = {path[:1] for path in dictdiffer_paths(patches)}
    unknown = [it for it in unknown_of(document) if it[:1] in touched]
    if unknown:
        problem = HIDDEN_OR_UNKNOWN.format(paths=told_paths(unknown))
        raise OptionsError("document", document.pk, problem)
    check_unkeyed(document)


def check_unkeyed(subject: Document | type[Document]) -> None:
    """Raise an OptionsError if nobody can go on with checksums of a document, or of any."""
    found = next(keys_behind(Place(subject)), None) if isinstance(subject, type) else subject.pk
    document = subject(pk=found) if isinstance(subject, type) else subject
    if found is not None and any(it.kind == ALTERED for it in verify(document)):
        raise OptionsError("document", found, KEYED)


def class_of(
    settings: Settings, words: Sequence[str], *, may_be_gone: bool = False
) -> tuple[type[Document], tuple[str, ...]]:
    """Return the class that is meant, by --model or the first word, and the words behind it."""
    if settings.model:
        if len(settings.model) > 1:
            raise click.UsageError("one --model is enough for this command")
        return settings.models[0], tuple(words)
    if not words:
        raise click.UsageError("name the collection, or the class by --model")
    model = settings.classless(words[0])
    if not may_be_gone:
        _check_there(model)
    return model, tuple(words[1:])


def _check_there(model: type[Document]) -> None:
    """Raise an OptionsError if a collection holds nothing, and never has: nothing is no answer."""
    name, database = model._get_collection_name(), model._get_collection().database
    if is_there(database, name):
        return
    if kept_by(model).beside(database).find_one({"document_type": name}, {"_id": 1}) is None:
        raise OptionsError("collection", name, NOTHING_THERE_YET)


def only_class(settings: Settings, words: Sequence[str]) -> type[Document]:
    """Return the class that is meant, by --model or the only word."""
    model, rest = class_of(settings, words)
    if rest:
        raise click.UsageError("too many words")
    return model


def document_of(settings: Settings, words: Sequence[str], least: int = 0, most: int = 0) -> Target:
    """Return the document that is meant, with from *least* to *most* words behind it."""
    model, rest = class_of(settings, words)
    if not rest:
        raise click.UsageError("name the key of the document")
    key, *behind = rest
    if not least <= len(behind) <= most:
        raise click.UsageError("too many words" if len(behind) > most else "a word is missing")
    known = _key(model, key, is_classless=not settings.model)
    return Target(model, known, tuple(behind), is_classless=not settings.model)


def _key(model: type[Document], text: str, *, is_classless: bool) -> Any:
    found = [*_keys(model, text, is_classless=is_classless)]
    if not found:
        stored_key(model, text)  # which says why it is none
    for key in found:
        if _is_known(model, key):
            return key
    raise RevisionNotFoundError(found[0], 1, 0)


def _keys(model: type[Document], text: str, *, is_classless: bool) -> Iterator[Any]:
    """Yield the keys that a text may be, those first that it looks like."""
    field = model._fields[model._meta["id_field"]]
    if isinstance(field, StringField):
        yield stored_key(model, text)
        return
    for value in [*readings(text)] if is_classless else [text, *readings(text)]:
        try:
            yield stored_key(model, value)
        except OptionsError:
            continue


def _is_known(model: type[Document], key: Any) -> bool:
    if kept_by(model).objects.of(model, key).first() is not None:
        return True
    collection = model._get_collection()
    return collection.find_one({"_id": {"$eq": key}}, {"_id": 1}) is not None
