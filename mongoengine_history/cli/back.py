"""Commands that lead back: each shows before what it will change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click
from bson import ObjectId

from mongoengine_history import (
    ChangesetConflictError,
    OptionsError,
    UndoConflictError,
    preview,
    restore,
    revert,
    revert_changeset,
    undo,
)
from mongoengine_history.cli.ask import agreed, writes, writing
from mongoengine_history.cli.look import DOCUMENT
from mongoengine_history.cli.options import command, words
from mongoengine_history.cli.target import check_known, document_of
from mongoengine_history.record.place import Place
from mongoengine_history.state.mask import is_mask
from mongoengine_history.state.wording import readable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mongoengine import Document

    from mongoengine_history import ChangesetPlan, Conflict, PlanStep
    from mongoengine_history.cli.options import Settings
    from mongoengine_history.cli.target import Target
    from mongoengine_history.faces.words import Words

PATHS: Final = click.option(
    "--path",
    "paths",
    multiple=True,
    metavar="PATH",
    help="Only what is there: names joined by dots. May be given again.",
)


CHANGED_MEANWHILE: Final = "somebody wrote it meanwhile; nothing was written. Look again"


@command("revert", short_help="Lead a document back to a revision.")
@words(f"{DOCUMENT} NUMBER")
@PATHS
@writes
def go_back(settings: Settings, words: tuple[str, ...], paths: tuple[str, ...]) -> int:
    """
    Give a document the state right after a revision; what came later is taken back.

    Going back is recorded as a revision, so that it can be taken back, too. NUMBER is 0 for the
    state before the first revision, 1, 2, …
    """
    target = document_of(settings, words, 1, 1)
    return _revert(settings, target, target.number(target.rest[0]), paths)


@command("undo", short_help="Take back one revision, and keep the later ones.")
@words(f"{DOCUMENT} NUMBER")
@PATHS
@writes
def take_back(settings: Settings, words: tuple[str, ...], paths: tuple[str, ...]) -> int:
    """Take back what one revision did. Where a later one changed the same, nothing is written."""
    target = document_of(settings, words, 1, 1)
    number = target.number(target.rest[0])
    try:
        return _save(settings, target, undo(target.document(), number, **_only(paths)))
    except UndoConflictError as error:
        _tell_conflicts(settings, error, target.model)
        if settings.json:
            conflicts = [readable(it.path) for it in error.conflicts]
            settings.terminal.json({"written": False, "conflicts": conflicts})
        return 1


def _tell_conflicts(
    settings: Settings, error: UndoConflictError, model: type[Document] | None = None
) -> None:
    """Tell where later writes are in the way; what is stored there only if its class is named."""
    settings.terminal.note(f"Revision {error.number} cannot be undone: later writes changed")
    told = settings.terminal.words(model) if settings.model else None
    for it in error.conflicts:
        settings.terminal.note(f"  {_conflict(it, told)}")


def _conflict(it: Conflict, told: Words | None) -> str:
    if not it.path:  # it would be all of the document
        return "the document itself"
    if told is None or is_mask(it.expected):  # nor is told what the class hides
        return told.path(it.path) if told else readable(it.path)
    expected, found = map(told.value, (it.expected, it.found))
    return f"{told.path(it.path)}: it left {expected}, found is {found}"


@command("restore", short_help="Bring a deleted document back, or single values.")
@words(DOCUMENT)
@PATHS
@click.option("--revision", metavar="NUMBER", help="With --path: as it was after this one.")
@writes
def bring_back(
    settings: Settings,
    words: tuple[str, ...],
    paths: tuple[str, ...],
    revision: str | None,
) -> int:
    """
    Bring a deleted document back under its key, with its last state.

    With --path the document is there, and gets single values back: as they were after --revision,
    or else before they were changed last.
    """
    target = document_of(settings, words)
    if not paths:
        if revision is not None:
            raise click.UsageError("--revision goes with --path; else use revert")
        return _save(settings, target, restore(target.model, target.key))
    number = target.number(revision) if revision else _before_last_change(target, paths)
    return _revert(settings, target, number, paths)


def _before_last_change(target: Target, paths: tuple[str, ...]) -> int:
    if len(paths) > 1:
        raise click.UsageError("with several paths, say which --revision")
    found = target.timeline.blame(paths[0])
    if found is None:
        raise OptionsError("path", paths[0], "no revision has changed it")
    return found.number - 1


def _only(paths: tuple[str, ...]) -> dict[str, Any]:
    return {"paths": [*paths]} if paths else {}


def _revert(settings: Settings, target: Target, number: int, paths: tuple[str, ...]) -> int:
    return _save(settings, target, revert(target.document(), revision=number, **_only(paths)))


def _save(settings: Settings, target: Target, document: Document) -> int:
    """Show what saving will change, ask, and save; refuse if somebody wrote meanwhile."""
    stored = target.stored  # since before it was loaded
    with writing(settings):
        planned = preview(document)
    if target.is_classless:
        check_known(document, planned.patches)
    terminal, told = settings.terminal, settings.terminal.words(target.model)
    if not settings.json:
        terminal.revision(told, planned)
    if not planned.patches:
        terminal.note("Nothing would change.")
    is_done = bool(planned.patches) and agreed(settings, "Write this?", document)
    if is_done:
        is_same = target.read_again() == stored
        if not is_same or preview(document).number != planned.number:
            raise OptionsError("document", target.key, CHANGED_MEANWHILE)
        with writing(settings):
            document.save()
    written = target.timeline[-1] if is_done else planned
    if settings.json:
        terminal.json({"written": is_done, "revision": told.data(written)})
    elif is_done:
        terminal.line(f"Written as revision {written.number}.")
    return 0


@command("revert-changeset", short_help="Take back all of one unit of work.")
@click.argument("id")
@click.option("--bypass-methods", is_flag=True, help="Past the application's save() and delete().")
@writes
def take_back_all(settings: Settings, id: str, *, bypass_methods: bool) -> int:  # noqa: A002  # what it is
    """
    Take back all revisions of a changeset, in one transaction where the server can.

    Later writes that changed the same are named, and nothing is written.
    """
    if not ObjectId.is_valid(id):
        raise OptionsError("id", id, "it is an ObjectId, the changeset of a revision")
    models = settings.all_models()  # by which its documents are written
    plan = revert_changeset(id, dry_run=True, bypass_methods=bypass_methods)
    stored = _stored(models, plan)
    for step in plan.steps if not settings.model else ():
        check_known(settings.classless(step.collection)(pk=step.document_id), step.patches)
    _tell_plan(settings, plan)
    if plan.conflicts:
        return 1
    if not agreed(settings, f"Write {len(plan.steps)} documents?", plan):
        return 0
    if _stored(models, plan) != stored:
        raise OptionsError("id", id, CHANGED_MEANWHILE)
    try:
        with writing(settings), settings.terminal.progress("documents", len(plan.steps)) as bar:
            own = revert_changeset(
                id, reason=settings.reason, bypass_methods=bypass_methods, progress=bar
            )
    except ChangesetConflictError as error:
        settings.terminal.note(str(error))
        return 1
    told = {"written": True, "changeset": str(own.id)}
    settings.answer(told, f"Written as changeset {own.id}.")
    return 0


def _stored(models: Iterable[type[Document]], plan: ChangesetPlan) -> list[bytes | None]:
    """Read the documents that a plan would write, as far as their classes are known."""
    places = {(it.database, it.documents.name): it for it in map(Place, models)}
    steps = [(places.get((it.database, it.collection)), it.document_id) for it in plan.steps]
    return [place.stored(key) for place, key in steps if place]


def _tell_plan(settings: Settings, plan: ChangesetPlan) -> None:
    if settings.json and (settings.dry_run or plan.conflicts):
        steps = [{"kind": it.kind, "class": it.document_class, **_where(it)} for it in plan.steps]
        conflicts = [{"id": it.document_id, "revision": it.number} for it in plan.conflicts]
        settings.terminal.json({"written": False, "steps": steps, "conflicts": conflicts})
    if settings.json:
        return
    for step in plan.steps:
        settings.terminal.line(str(step))
    for error in plan.conflicts:
        settings.terminal.note(f"Document {error.document_id}:")
        _tell_conflicts(settings, error)
    if not plan.is_atomic:
        settings.terminal.note("It is not one transaction: it is written in parts.")


def _where(step: PlanStep) -> dict[str, Any]:
    return {"collection": step.collection, "id": step.document_id, "revisions": step.revisions}


GOING_BACK: Final = (go_back, take_back, bring_back, take_back_all)
