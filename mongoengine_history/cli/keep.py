"""Commands that keep a history: how long, without what, from when, and how it is found."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, Final

import click

from mongoengine_history import backfill, prune, redact
from mongoengine_history.cli.ask import agreed, writes, writing
from mongoengine_history.cli.export import holdings_of
from mongoengine_history.cli.options import command, words
from mongoengine_history.cli.target import check_unkeyed, class_of, document_of, only_class
from mongoengine_history.cli.terminal import counted
from mongoengine_history.cli.values import age_of, moment_of
from mongoengine_history.record.indexes import INDEXES
from mongoengine_history.record.place import Place
from mongoengine_history.state.merge import path_names

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime, timedelta

    from pymongo.collection import Collection

    from mongoengine_history import Receipt
    from mongoengine_history.cli.options import Settings


@command("prune", short_help="Let the oldest revisions of a class go.")
@words("[COLLECTION]")
@click.option("--keep", type=click.IntRange(1), help="How many of each document stay at least.")
@click.option("--older-than", metavar="WHEN", help="A moment, or an age: 90d, 2y.")
@writes
def cut(
    settings: Settings, words: tuple[str, ...], keep: int | None, older_than: str | None
) -> int:
    """
    Let the oldest revisions of each document go, for good. What stays reads as before.

    What either option keeps, stays; without them what the class says itself (`keep`, `keep_for`).
    """
    model = only_class(settings, words)
    if not settings.model:
        check_unkeyed(model)
    age: timedelta | datetime | None = age_of(older_than) if older_than else None
    if older_than and age is None:
        age = moment_of(older_than, settings.zone)
    said: dict[str, Any] = {"keep": keep, "older_than": age}
    planned = prune(model, **said, dry_run=True)
    told = (
        f"{counted(planned.revisions, 'revision')} of {counted(planned.shortened, 'document')} "
        f"would go for good, and {counted(planned.removed, 'whole history')}. "
        f"Held: {planned.held:,}."
    )
    if not settings.json:
        settings.terminal.line(told)
    done = planned
    is_done = bool(planned.revisions) and agreed(settings, "Let them go?")
    if is_done:
        with writing(settings), settings.terminal.progress("documents", planned.documents) as bar:
            done = prune(model, **said, progress=lambda it: bar(it.documents))
    names = ("documents", "shortened", "removed", "revisions", "held")
    numbers = {name: getattr(done, name) for name in names}
    gone = f"Gone: {counted(done.revisions, 'revision')}." if is_done else ""
    settings.answer({"written": is_done, **numbers}, gone)
    for finding in done.findings:
        settings.terminal.note(str(finding))
    return 3 if done.findings else 0


@command("redact", short_help="Erase the values at a path from histories, for good.")
@words("[COLLECTION] PATH [KEY]")
@writes
def erase(settings: Settings, words: tuple[str, ...]) -> int:
    """
    Erase the values at PATH from the history of one document, or of all of a class, for good.

    The checksums still prove all the rest. The document itself stays as it is: change it first.
    """
    model, rest = class_of(settings, words)
    if not 1 <= len(rest) <= 2:
        raise click.UsageError("name the path, and the key if it is of one document")
    path, *behind = rest
    head = words[: len(words) - len(rest)]
    key = document_of(settings, (*head, *behind)).key if behind else None
    if not settings.model:
        check_unkeyed(model(pk=key) if behind else model)
    whose = f"document {behind[0]}" if behind else f"all documents in {words[0]}"
    whose = whose if behind or not settings.model else f"all documents of {model.__name__}"
    if not settings.json:
        settings.terminal.line(f"The values at {path} go from the history of {whose}. For good.")
    if agreed(settings, "Erase them?", model):
        numbers = count(1)
        with writing(settings), settings.terminal.progress("documents", None) as bar:
            where = path if settings.model else path_names(path)
            receipt = redact(model, where, key, progress=lambda _: bar(next(numbers)))
        _tell_receipt(settings, receipt)
    elif settings.json:
        settings.terminal.json({"written": False})
    return 0


def _tell_receipt(settings: Settings, receipt: Receipt) -> None:
    names = ("what", "document_id", "documents", "values", "revisions", "revision", "reason")
    told = {name: getattr(receipt, name) for name in names}
    whose = counted(receipt.documents, "document")
    erased = f"Erased: {counted(receipt.values, 'value')} of {whose}."
    settings.answer({"written": True, **told}, erased)


@command("indexes", short_help="Create the indexes of the history.")
@writes
def indexes(settings: Settings) -> int:
    """Create what is missing of the indexes by which a history is found."""
    return _make_indexes(settings)


def _make_indexes(settings: Settings, **told: Any) -> int:
    # Of several classes whose records lie in one collection, any will do.
    histories = {place.beside(""): place for place in map(Place, settings.all_models())}
    wanted = [it.document["name"] for it in INDEXES]
    missing = {it: _missing(it, wanted) for it in histories}
    for history, names in missing.items():
        text = f"{history.full_name}: " + (f"missing: {', '.join(names)}" if names else "all there")
        if not settings.json:
            settings.terminal.line(text)
    is_done = any(missing.values()) and agreed(settings, "Create them?")
    if is_done:
        for history, place in histories.items():
            place.ensure_indexes()
            missing[history] = _missing(history, wanted)
    left = {history.full_name: names for history, names in missing.items()}
    created = "They are created." if is_done else ""
    settings.answer({"written": is_done, "missing": left, **told}, created)
    return 0


def _missing(history: Collection[Any], wanted: Iterable[str]) -> list[str]:
    there = history.index_information()
    return [name for name in wanted if name not in there]


@command("backfill", short_help="Keep a state of documents that have no history yet.")
@words("[COLLECTION]")
@writes
def begin(settings: Settings, words: tuple[str, ...]) -> int:
    """Keep a version of each stored document without a history, so that it has a past from now."""
    model = only_class(settings, words)
    about = Place(model).documents.estimated_document_count()
    name = model._get_collection_name()
    if not settings.json:
        settings.terminal.line(f"About {counted(about, 'document')} in {name} to go through.")
    done, is_done = 0, agreed(settings, "Keep a version of those without a history?")
    if is_done:
        with settings.terminal.progress("documents", about) as bar:
            done = backfill(model, progress=bar)
    gone_through = f"Gone through: {counted(done, 'document')}." if is_done else ""
    settings.answer({"written": is_done, "documents": done}, gone_through)
    return 0


@command("upgrade", short_help="Records of 1.1: how many, and what they need.")
@writes
def upgrade(settings: Settings) -> int:
    """
    Tell how many records of mongoengine-history 1.1 there are, and create the indexes they need.

    The records stay as they are: they are read as what was before revision 1.
    """
    found = {it.document_type: it.legacy for it in holdings_of(settings) if it.legacy}
    if found and not settings.json:
        settings.terminal.table(["collection", "records of 1.1"], [*found.items()])
        settings.terminal.line("They stay as they are, and are read as what was before revision 1.")
    elif not settings.json:
        settings.terminal.line("There are no records of 1.1.")
    return _make_indexes(settings, records=found)


KEEPING: Final = (cut, erase, indexes, begin, upgrade)
