"""Undo, revert and restore: first as a preview, then, as it was shown, for good."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from mongoengine.errors import NotUniqueError, OperationError, ValidationError

from mongoengine_history import (
    DocumentTrack,
    UndoConflictError,
    changeset,
    preview,
    restore,
    revert,
    undo,
)
from mongoengine_history.faces.line import Piece
from mongoengine_history.faces.reason import needs_reason, reason_in
from mongoengine_history.state.patches import dictdiffer_paths, outermost_list
from mongoengine_history.web.failures import MESSAGES, Failure
from mongoengine_history.web.rows import Row, Sides, sides_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mongoengine import Document
    from starlette.responses import Response

    from mongoengine_history import Conflict, Revision
    from mongoengine_history.faces.words import Words
    from mongoengine_history.state.patches import DictdifferPatch
    from mongoengine_history.state.values import Path
    from mongoengine_history.web.look import Look
    from mongoengine_history.web.rights import Rights

LATER: Final = 100
"""Later revisions in which is looked for work that would be lost."""

WAYS: Final = ("undo", "revert", "restore")

REFUSED: Final = (NotUniqueError, OperationError, ValidationError)
"""What MongoEngine raises where the application does not let a document be saved."""


@dataclass
class Way:
    """One document on its way back."""

    look: Look
    kind: str
    number: int
    #: The paths that are led back, by stored names; None for all.
    paths: list[list[str | int]] | None

    @cached_property
    def stored(self) -> bytes:
        """The document as it is stored, read before anything else."""
        return self.look.rights.stored or b""

    @cached_property
    def document(self) -> Document:
        """The document, led back in memory; its save is refused if somebody else writes."""
        rights = self.look.rights
        if self.kind == "restore":
            document: Document = restore(rights.model, rights.pk)
            return document
        found = rights.document
        if found is None:  # deleted, or hidden by the application's own querysets
            found = rights.timeline.at(self.number)
        DocumentTrack(found, refuse_stale=True)
        limits: dict[str, Any] = {} if self.paths is None else {"paths": self.paths}
        if self.kind == "undo":
            return undo(found, self.number, **limits)
        return revert(found, revision=self.number, **limits)

    @cached_property
    def preview(self) -> Revision:
        """What would be recorded."""
        _ = self.stored  # before all else
        return preview(self.document)

    @property
    def mark(self) -> str:
        """A text that another preview has only if nothing was written meanwhile."""
        shown = self.preview
        said = self.kind, self.number, self.paths, shown.number, shown.patches
        return self.look.site.mark(*said, self.stored)

    @property
    def changed(self) -> list[Path]:
        """The paths that change, each list as one."""
        return self.told(_paths(self.preview.patches))

    def told(self, paths: Iterable[Path]) -> list[Path]:
        """Return each of some paths, as far as who looks may know it."""
        return list(dict.fromkeys(map(self.look.rights.veil.shown, paths)))


def _paths(patches: Sequence[DictdifferPatch]) -> Iterable[Path]:
    return map(outermost_list, dictdiffer_paths(patches))


def _way(look: Look, chosen: Sequence[str] | None) -> Way:
    kind = look.part["kind"]
    if kind not in WAYS or (kind == "restore") == ("number" in look.part):
        raise Failure(404, "unknown")
    if not look.rights.restores:
        raise Failure(403, "forbidden")
    whole = Way(look, kind, int(look.part.get("number", 0)), None)
    paths = [*map(_keys, chosen or ())]
    return whole if not paths or _are_all(paths, whole) else replace(whole, paths=paths)


def _are_all(paths: list[list[str | int]], whole: Way) -> bool:
    """Say whether nothing was left out of what can be chosen."""
    try:
        return {*map(tuple, paths)} >= {*whole.changed}
    except UndoConflictError:
        return False


def _keys(text: str) -> list[str | int]:
    """Read a path that a form holds: a list of stored names, in JSON."""
    try:
        keys = json.loads(text)
        json.dumps(keys, ensure_ascii=False).encode()  # half a sign is none
    except (ValueError, RecursionError):
        keys = None
    if not isinstance(keys, list) or not keys or not all(isinstance(it, str) for it in keys):
        raise Failure(400, "unknown")
    return keys


def look_at(look: Look) -> Response:
    """Show what would change."""
    chosen = look.request.query_params.getlist("path")
    return _shown(_way(look, chosen))


def _shown(way: Way, notice: str = "", status: int = 200, reason: str = "") -> Response:
    look = way.look
    try:
        shown = way.preview
    except UndoConflictError as error:
        return _refused(way, error.conflicts)
    rights = look.rights
    return look.form(
        "preview.html",
        status,
        mark=way.mark,
        way=way,
        rights=rights,
        changed=sides_of(shown.patches, rights, look.words),
        choices=_choices(way),
        closed=rights.refused(shown.patches),
        later=_later(way),
        notice=notice,
        reason=reason,
        is_reason_needed=needs_reason(way.document),
    )


def _choices(way: Way) -> list[tuple[str, str, bool]]:
    """Return each path that can be chosen, how it is told, and whether it is."""
    chosen, words = way.paths, way.look.words
    return [
        (json.dumps(path), words.path(path), chosen is None or [*path] in chosen)
        for path in _offered(way)
    ]


def _offered(way: Way) -> list[Path]:
    """Return the paths that can be chosen, if there is a choice."""
    if way.kind == "restore":
        return []
    whole = way if way.paths is None else replace(way, paths=None)
    try:
        changed = whole.changed
    except UndoConflictError:
        changed = [tuple(it) for it in way.paths or ()]
    offered = [path for path in changed if all(isinstance(it, str) for it in path)]
    return offered if len(offered) > 1 or way.paths else []


def _refused(way: Way, conflicts: Sequence[Conflict]) -> Response:
    """Show what later writes are in the way of."""
    look, words = way.look, way.look.words
    revision = look.rights.timeline[way.number]
    in_the_way = way.told(it.path for it in conflicts)
    others = [it for it in way.told(_paths(revision.patches)) if it not in in_the_way]
    return look.page(
        "conflicts.html",
        409,
        way=way,
        rights=look.rights,
        conflicts=conflicts_told(conflicts, look.rights, words),
        others=[(json.dumps(path), words.path(path)) for path in others if path],
    )


def conflicts_told(conflicts: Sequence[Conflict], rights: Rights, words: Words) -> list[Sides]:
    """Tell of each conflict the path, what was left there, and what is there now."""
    told = {it.path: it for it in map(rights.veil.conflict, conflicts)}
    return [_conflict_told(it, words) for it in told.values()]


def _conflict_told(conflict: Conflict, words: Words) -> Sides:
    path = words.path(conflict.path) or words.phrase("whole")
    left, right = (words.value(it) for it in (conflict.expected, conflict.found))
    return Sides(0, "edited", path, [Piece("old", left)], [Piece("new", right)])


def _later(way: Way) -> list[Row]:
    """Return later revisions that set what is led back: work that will be lost."""
    rights = way.look.rights
    if way.kind != "revert":
        return []
    found, changed = rights.timeline.page(size=LATER), way.changed
    lost = [
        it
        for it in found
        if it.number > way.number and any(_overlap(at, changed) for at in _paths(it.patches))
    ]
    return [Row.of(rights, way.look.words, it) for it in lost]


def _overlap(path: Path, changed: Sequence[Path]) -> bool:
    """Say whether a path is one of those that change, or above or below one."""
    return any(path[: len(it)] == it[: len(path)] for it in changed)


def _objection(way: Way, reason: str) -> tuple[str, int] | None:
    """Say what keeps a form from being carried out."""
    look = way.look
    if not look.has_mark(way.mark):
        return "another", 409
    if "path" not in look.said and _offered(way):
        return "none", 422
    if not reason and needs_reason(way.document):
        return "reason", 422
    return None if way.preview.patches or way.kind == "restore" else ("nothing", 409)


def carry_out(look: Look) -> Response:
    """Write what was shown, if it is still the same; otherwise show it anew."""
    way = _way(look, look.said.get("path"))
    reason = reason_in(look.given("reason"))
    if look.given("look"):  # the paths were chosen, and nothing is decided yet
        return _shown(way, reason=reason)
    try:
        objection = _objection(way, reason)
    except UndoConflictError:
        return _shown(way)
    if objection:
        why, status = objection
        return _shown(way, look.gettext(MESSAGES[why]), status, reason)
    if look.rights.refused(way.preview.patches):
        raise Failure(403, "forbidden")
    with changeset(look.site.identity(look.request), reason=reason or None):
        try:
            way.document.save()
        except REFUSED as error:
            raise Failure(409, "refused") from error
    newest = len(look.rights.timeline)
    return look.redirect(look.url_of(look.rights, newest, done=way.kind))
