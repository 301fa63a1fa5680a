"""A value is erased from the history of a document, for good: first shown, then typed again."""

from __future__ import annotations

from contextlib import suppress
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final

from mongoengine_history import HistoryError, OptionsError, changeset, redact
from mongoengine_history.documents.fieldpaths import keys_of
from mongoengine_history.faces.reason import needs_reason, reason_in
from mongoengine_history.state.rules import ANY
from mongoengine_history.web.failures import MESSAGES, Failure
from mongoengine_history.web.rows import Row

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.responses import Response

    from mongoengine_history import Timeline
    from mongoengine_history.state.patches import DictdifferPatch
    from mongoengine_history.state.values import Path, State
    from mongoengine_history.web.look import Look

MOST_SHOWN: Final = 50
"""Revisions that are shown before a value is erased from them."""


def look_at(look: Look) -> Response:
    """Show which revisions have set a path."""
    return _shown(look, look.query.get("path", "").strip())


def _shown(look: Look, path: str, notice: str = "", status: int = 200) -> Response:
    rights = look.rights
    if not rights.erases:
        raise Failure(403, "forbidden")
    try:
        found = _setting(look, path) if path else []
    except OptionsError as error:
        notice, found = look.say_wrong(error), []
    return look.form(
        "erase.html",
        status,
        rights=rights,
        path=path,
        rows=found,
        mark=_mark(look, path),
        notice=notice,
        is_reason_needed=needs_reason(rights.model),
    )


def _setting(look: Look, path: str) -> list[Row]:
    """Read the newest revisions that have set a path, if all that lies there may be erased."""
    rights = look.rights
    keys, may = keys_of(rights.model, path), rights.of_erasing
    if not all(map(may.allows, keys)):
        raise Failure(403, "forbidden")
    timeline, found = rights.timeline, list[Row]()
    first: DictdifferPatch = ("add", [], [*_first_state(timeline).items()])
    if any(_is_along(path, keys) for path in may.closed_in([first])):
        raise Failure(403, "forbidden")
    for it in reversed(timeline.filter(touching=path)):
        if any(_is_along(path, keys) for path in may.closed_in(it.patches)):
            raise Failure(403, "forbidden")
        found += [Row.of(rights, look.words, it)] if len(found) < MOST_SHOWN else []
    return found


def _first_state(timeline: Timeline[Any]) -> State:
    """Return the state with which a history begins; what is in it no revision has set."""
    oldest = next(iter(timeline), None)
    for number in (oldest.number - 1, oldest.number) if oldest else (0,):
        with suppress(HistoryError):
            return timeline.state(number)
    return {}


def _is_along(path: Path, keys: Iterable[tuple[str, ...]]) -> bool:
    """Say whether a path lies in what is erased; what is behind a ``*`` may be any of all."""
    names = [it for it in path if isinstance(it, str)]
    heads = ([*takewhile(lambda it: it != ANY, way)] for way in keys)
    return any(names[: len(head)] == head for head in heads)


def _mark(look: Look, path: str) -> str:
    rights = look.rights
    return look.site.mark("erase", look.part["model"], rights.pk, path, len(rights.timeline))


def carry_out(look: Look) -> Response:
    """Erase what was shown, if it is still the same and was typed again."""
    path, again = map(look.given, ("path", "again"))
    reason = reason_in(look.given("reason"))
    rights = look.rights
    if not rights.erases:
        raise Failure(403, "forbidden")
    _setting(look, path)  # which says if it must not be
    if not look.has_mark(_mark(look, path)):
        return _shown(look, path, look.gettext(MESSAGES["stale"]), 409)
    if again != path or (not reason and needs_reason(rights.model)):
        return _shown(look, path, look.gettext(MESSAGES["again"]), 422)
    with changeset(look.site.identity(look.request), reason=reason or None):
        redact(rights.model, path, rights.pk)
    return look.redirect(look.url_of(rights, done="erase"))
