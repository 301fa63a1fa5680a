"""Commands that show one document: its revisions, its states, and who set what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from mongoengine_history import Misfit, as_of
from mongoengine_history.cli.options import command, several, words
from mongoengine_history.cli.target import class_of, document_of, told_paths
from mongoengine_history.cli.terminal import counted
from mongoengine_history.cli.values import WHEN, last_of, moment_of, number_of, point_of
from mongoengine_history.faces.classless import unknown_of
from mongoengine_history.faces.identity import identity_in
from mongoengine_history.state.revision import EVENT
from mongoengine_history.state.telling import told as changes_told

if TYPE_CHECKING:
    from mongoengine_history.cli.options import Settings
    from mongoengine_history.cli.target import Target

DOCUMENT: Final = "[COLLECTION] KEY"

FEW: Final = 8
"""Changes of a revision that a list shows."""


asked: Final = several(
    click.option("--by", metavar="IDENTITY", help="Who answers for them."),
    click.option("--touching", metavar="PATH", help="That changed something there."),
    click.option("--since", metavar="WHEN", help=f"From {WHEN}."),
    click.option("--until", metavar="WHEN", help="To a moment, or a day, included."),
    click.option("--operation", metavar="WORD", help="Such as update, delete or undo."),
)
"""Gives a command the options by which revisions are chosen."""


def conditions(settings: Settings, **said: str | None) -> dict[str, Any]:
    """Return what is asked, by the names of `Timeline.filter`."""
    since, until = (said.get(it) for it in ("since", "until"))
    ends = (
        moment_of(since, settings.zone) if since else None,
        last_of(until, settings.zone) if until else None,
    )
    by = said.get("by")
    found = {
        "by": None if by is None else identity_in(by),
        "touching": said.get("touching"),
        "between": ends if any(ends) else None,
        "operation": said.get("operation"),
    }
    return {name: it for name, it in found.items() if it is not None}


@command("log", short_help="The revisions of a document, the newest first.")
@words(DOCUMENT)
@asked
@click.option("--before", type=int, metavar="NUMBER", help="Go on below this revision.")
@click.option("--size", "-n", type=click.IntRange(1), default=20, help="How many; 20.")
@click.option("--full", is_flag=True, help="All changes, with whole values.")
def log(
    settings: Settings,
    words: tuple[str, ...],
    before: int | None,
    size: int,
    *,
    full: bool,
    **said: str | None,
) -> int:
    """
    Tell the revisions of a document, the newest first: who did what, when and why.

    KEY is an ObjectId, a UUID, a number, Extended JSON, or a text.
    """
    target = document_of(settings, words)
    timeline = target.timeline.filter(**conditions(settings, **said))
    page = timeline.page(before=before, size=size)
    told, terminal = settings.terminal.words(target.model, full=full), settings.terminal
    if not page:
        _say_nothing(settings, target, is_asked=before is not None or any(said.values()))
    if settings.json:
        terminal.json([told.data(it) for it in page])
        return 0
    for revision in page:
        terminal.revision(told, revision, None if full else FEW)
    if len(page) == size and page[-1].number > 1:
        terminal.note(f"Older ones: --before {page[-1].number}")
    return 0


def _say_nothing(settings: Settings, target: Target, *, is_asked: bool) -> None:
    """Say that there is none of what is asked; raise an error if there is nothing at all."""
    if len(target.timeline):
        settings.terminal.note("No such revision." if is_asked else "No revision can be read.")
        return
    legacy = len(target.timeline.legacy)
    if not legacy:
        target.timeline[1]  # which says that there is none
    settings.terminal.note(f"Only {counted(legacy, 'record')} of 1.1: they have no number.")


@command("show", short_help="One revision, with all of its changes.")
@words(f"{DOCUMENT} NUMBER")
def show(settings: Settings, words: tuple[str, ...]) -> int:
    """Tell one revision, uncut. NUMBER is 1, 2, …, -1 or newest."""
    target = document_of(settings, words, 1, 1)
    revision = target.timeline[number_of(target.rest[0])]
    terminal, told = settings.terminal, settings.terminal.words(target.model, full=True)
    if settings.json:
        terminal.json(told.data(revision))
        return 0
    terminal.revision(told, revision)
    if revision.changeset:
        terminal.line(f"Changeset: {revision.changeset}", "dim")
    if revision.metadata and revision.operation != EVENT:
        terminal.line(f"Metadata: {told.value(dict(revision.metadata))}", "dim")
    return 0


@command("diff", short_help="What differs between two points.")
@words(f"{DOCUMENT} NUMBER [NUMBER]")
@click.option("--full", is_flag=True, help="Whole values.")
def diff(settings: Settings, words: tuple[str, ...], *, full: bool) -> int:
    """
    Tell what differs between two revisions, or between one and what is stored now.

    NUMBER is 0 for the state before the first revision, 1, 2, …, -1 or newest, or now.
    """
    target = document_of(settings, words, 1, 2)
    points = [point_of(it) for it in (*target.rest, "now")[:2]]
    if target.is_classless and None in points:  # whose class may hide some of what is stored
        _tell_unknown(settings, target)
        points = [-1 if it is None else it for it in points]
    patches = target.timeline.compare(*points)
    told, terminal = settings.terminal.words(target.model, full=full), settings.terminal
    if settings.json:
        terminal.json(changes_told(patches, told.item_key, target.timeline.names))
        return 0
    if not patches:
        terminal.note("Nothing differs.")
    terminal.changes(told, told.changes(patches))
    return 0


def _tell_unknown(settings: Settings, target: Target) -> None:
    unknown = unknown_of(target.model(pk=target.key))
    if unknown:
        settings.terminal.note(f"Stored otherwise than the history has it: {told_paths(unknown)}")


@command("blame", short_help="Who set which value.")
@words(f"{DOCUMENT} [PATH]")
def blame(settings: Settings, words: tuple[str, ...]) -> int:
    """Tell which revision last set each value, or the one at PATH (names joined by dots)."""
    target = document_of(settings, words, 0, 1)
    terminal, told = settings.terminal, settings.terminal.words(target.model)
    if target.rest:
        revision = target.timeline.blame(target.rest[0])
        found = {} if revision is None else {target.rest[0]: revision}
    else:
        found = target.timeline.blame()
    if settings.json:
        terminal.json({path: told.data(it) for path, it in found.items()})
        return 0
    if not found:
        terminal.note("No revision has set it.")
        return 0
    rows = [
        (path, it.number, told.moment(it.at), told.who(it.identity), it.reason)
        for path, it in found.items()
    ]
    terminal.table(["path", "rev", "when", "who", "why"], rows)
    return 0


@command("state", short_help="The whole document after a revision.")
@words(f"{DOCUMENT} NUMBER")
def state(settings: Settings, words: tuple[str, ...]) -> int:
    """Write the state after a revision as Extended JSON; 0 is the one before the first."""
    target = document_of(settings, words, 1, 1)
    settings.terminal.json(target.timeline.state(number_of(target.rest[0])))
    return 0


@command("as-of", short_help="A document, or a whole class, at a moment.")
@words("[COLLECTION] [KEY] WHEN")
def as_of_moment(settings: Settings, words: tuple[str, ...]) -> int:
    """
    Write a document as it stood at a moment, as Extended JSON.

    Without KEY it is all documents of the class, one a line. WHEN is a moment by ISO 8601, in
    --zone if it has no offset, or an age, such as 90d or 12h.
    """
    _, rest = class_of(settings, words)
    if len(rest) == 1:
        return _class_as_of(settings, words)
    target = document_of(settings, words, 1, 1)
    settings.terminal.json(target.timeline.state(moment_of(target.rest[0], settings.zone)))
    return 0


def _class_as_of(settings: Settings, words: tuple[str, ...]) -> int:
    model, rest = class_of(settings, words)
    misfits = 0
    for found in as_of(model, moment_of(rest[0], settings.zone), as_data=True):
        if isinstance(found, Misfit):
            misfits += 1
            settings.terminal.note(f"{found.document_id}: {found.error}")
        else:
            settings.terminal.json(found, indent=None)
    return 3 if misfits else 0


LOOKING: Final = (log, show, diff, blame, state, as_of_moment)
