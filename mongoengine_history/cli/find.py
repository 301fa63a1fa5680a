"""Commands that look over all documents: what was done, what is gone, what belongs together."""

from __future__ import annotations

import sys
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import click

from mongoengine_history import OptionsError, changeset_of, deleted, recent
from mongoengine_history.cli.connection import OWN_ALIAS
from mongoengine_history.cli.look import FEW, asked, conditions
from mongoengine_history.cli.options import USUAL_HISTORY, command, words
from mongoengine_history.cli.target import only_class
from mongoengine_history.cli.values import value_of
from mongoengine_history.faces.question import Question

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mongoengine import Document

    from mongoengine_history import Recorded
    from mongoengine_history.cli.options import Settings
    from mongoengine_history.faces.words import Words
    from mongoengine_history.read.recent import Recent


def tell(
    settings: Settings,
    found: Iterable[Recorded],
    models: Iterable[type[Document]],
    *,
    full: bool = False,
) -> int:
    """Tell revisions of several documents, each below the document that it is of; count them."""
    terminal, known = settings.terminal, {it._get_collection_name(): it for it in models}
    told: dict[str, Words] = {}
    all_of_them, data = [*found], []
    for it in all_of_them:
        name = it.document_type
        words = told.setdefault(name, terminal.words(known.get(name), full=full))
        if settings.json:
            own = {"collection": name, "id": it.document_id, "record": it.record}
            data.append({**own, **words.data(it.revision)})
            continue
        terminal.line(f"{name} {it.document_id}" if name else "event of no document", "bold cyan")
        terminal.revision(words, it.revision, None if full else FEW)
    if settings.json:
        terminal.json(data)
    return len(all_of_them)


@command("search", short_help="Recent revisions of all documents, the newest first.")
@words("[WORD:VALUE]...")
@asked
@click.option("--before", metavar="RECORD", help="Go on below this record, which a page tells.")
@click.option("--size", "-n", type=click.IntRange(1), default=20, help="How many; 20.")
@click.option("--full", is_flag=True, help="All changes, with whole values.")
def search(
    settings: Settings,
    words: tuple[str, ...],
    size: int,
    before: str | None,
    *,
    full: bool,
    **said: str | None,
) -> int:
    """
    Tell recent revisions of all documents, the newest first.

    The words are those of the Python API, as in by:ada model:invoice path:total operation:update
    between:2026-01-01..2026-02-01; the options say the same.
    """
    question = Question.of(" ".join(words), settings.zone)
    wanted = {**question.conditions, **conditions(settings, **said)}
    below = None if before is None else value_of(before)
    found = _asked(settings, question.model).filter(**wanted).page(before=below, size=size)
    if not tell(settings, found, settings.all_models(), full=full) and not settings.json:
        settings.terminal.note("No such revision.")
    if len(found) == size:
        settings.terminal.note(f"Older ones: --before {found[-1].record}")
    return 0


def _asked(settings: Settings, name: str | None) -> Recent:
    """Return all that was recorded, or what was of the classes that are named."""
    is_all = not settings.model and name is None and settings.kept_in == USUAL_HISTORY
    if not is_all:
        return recent(*_models(settings, name))
    settings.reach_own()
    return recent(using=OWN_ALIAS)


def _models(settings: Settings, name: str | None) -> list[type[Document]]:
    """Return the classes to search: all, or the one of a name."""
    models = settings.all_models()
    chosen = [it for it in models if name in {None, it.__name__, it._get_collection_name()}]
    if not chosen:
        known = ", ".join(sorted(it.__name__ for it in models))
        raise OptionsError("model", name, f"it has no history; these have one: {known or 'none'}")
    return chosen


@command("deleted", short_help="Documents that are gone, and can be restored.")
@words("[COLLECTION]")
@click.option("--size", "-n", type=click.IntRange(1, sys.maxsize), help="How many at most.")
def gone(settings: Settings, words: tuple[str, ...], size: int | None) -> int:
    """Tell which documents of a class are gone, and by whom; `restore` brings one back."""
    model, terminal = only_class(settings, words), settings.terminal
    found = [*islice(deleted(model), size)]
    told = terminal.words(model)
    if settings.json:
        terminal.json([{"id": it.document_id, **told.data(it.revision)} for it in found])
        return 0
    rows = [
        (str(it.document_id), it.revision.number, told.moment(it.revision.at), *_why(told, it))
        for it in found
    ]
    if rows:
        terminal.table(["key", "rev", "when", "what", "who", "why"], rows)
    else:
        terminal.note("None is gone.")
    return 0


def _why(told: Any, it: Recorded) -> tuple[str, str, str | None]:
    revision = it.revision
    return told.done(revision), told.who(revision.identity), revision.reason


@command("changeset", short_help="All that was written in one unit of work.")
@click.argument("id")
@click.option("--full", is_flag=True, help="All changes, with whole values.")
def changeset(settings: Settings, id: str, *, full: bool) -> int:  # noqa: A002  # what it is
    """Tell all revisions of a changeset. ID is told by `show`."""
    models = settings.all_models()
    found = changeset_of(id, *models)
    if not tell(settings, found, models, full=full):
        raise OptionsError("id", id, "no revision is of that changeset")
    return 0


FINDING: Final = (search, gone, changeset)
