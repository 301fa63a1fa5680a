"""A value is erased from the history of a document, for good: first shown, then typed again."""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from mongoengine_history import OptionsError, changeset, history_of, redact
from mongoengine_history.documents.fieldpaths import keys_of
from mongoengine_history.web.failures import MESSAGES, Failure
from mongoengine_history.web.keys import key_text
from mongoengine_history.web.rows import rows

if TYPE_CHECKING:
    from starlette.responses import Response

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
        notice, found = str(error), []
    return look.form(
        "erase.html",
        status,
        title="Erase: preview",
        rights=rights,
        path=path,
        rows=rows(found, rights, look.site.words(rights.model)),
        mark=_mark(look, path),
        notice=notice,
    )


def _setting(look: Look, path: str) -> list[object]:
    """Read the newest revisions that have set a path, if it may be erased."""
    keys = keys_of(look.rights.model, path)
    if not all(map(look.rights.may_be_erased, keys)):
        raise Failure(403, "forbidden")
    timeline = history_of(look.rights.model, look.rights.pk)
    return [*timeline.filter(touching=path).page(size=MOST_SHOWN)]


def _mark(look: Look, path: str) -> str:
    newest = len(history_of(look.rights.model, look.rights.pk))
    told = repr([look.rights.model._class_name, look.rights.pk, path, newest]).encode()
    return hmac.new(look.site.secret, b"erase:" + told, sha256).hexdigest()


def carry_out(look: Look) -> Response:
    """Erase what was shown, if it is still the same and was typed again."""
    path, again, reason, mark = map(look.given, ("path", "again", "reason", "mark"))
    rights = look.rights
    if not rights.erases or not all(map(rights.may_be_erased, keys_of(rights.model, path))):
        raise Failure(403, "forbidden")
    if not hmac.compare_digest(_mark(look, path).encode(), mark.encode()):
        return _shown(look, path, MESSAGES["stale"], 409)
    if again != path or not reason:
        return _shown(look, path, MESSAGES["again"], 422)
    with changeset(look.site.identity(look.request), reason=reason):
        redact(rights.model, path, rights.pk)
    return look.redirect(rights.model._class_name, key_text(rights.model, rights.pk), done="erase")
