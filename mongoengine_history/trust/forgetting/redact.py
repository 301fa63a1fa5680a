"""Values at a path are taken out of the history of one document, or of all of a class."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mongoengine_history.capture.changeset import context_of
from mongoengine_history.documents.fieldpaths import keys_of
from mongoengine_history.documents.snapshot import check_model, check_progress, stored_key
from mongoengine_history.record.overview import keys_behind
from mongoengine_history.record.place import Place
from mongoengine_history.record.revisions import Revisions
from mongoengine_history.record.touching import conditions
from mongoengine_history.state.redaction import Forgotten
from mongoengine_history.state.rules import ANY, MASK, rule_of, united
from mongoengine_history.trust.forgetting.forget import forget, forget_each
from mongoengine_history.trust.forgetting.receipt import Receipt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mongoengine import Document


def redact(
    model: type[Document],
    path: str | Sequence[str],
    pk: object = None,
    *,
    resume: object = None,
    progress: Callable[[Receipt], object] | None = None,
) -> Receipt:
    """
    Erase the values at a path from a history, for good. Reads and writes; in no transaction.

    Each value at the path, or the part of one that lies there, becomes a mask: in the revisions, in
    the full states that are kept, and in the spool of the class, if it has one. The revisions are
    as many as before, and the checksums still prove all the rest. What is read or taken back goes
    on over it: a masked value stays as the document has it.

    The document itself is the application's: change it first. What it still has there is not
    recorded again as the old value of a later change; a new value is.

    It becomes a revision of operation ``redact``, which names no value; who asked for it, and why,
    is said by the blocks around. If it is broken off, ask again: that finishes it.

    Args:
        model: The class of the documents.
        path: Names of attributes or stored ones, joined by dots, as ``mask=`` has them: ``*`` is
            each item of a list or each key. Or a list of stored keys, which the class need not
            know.
        pk: The primary key of one document, which may be gone; all of the class else.
        resume: Go on behind the document of that primary key.
        progress: Is called with the receipt of each document of which something was erased.

    Returns:
        The receipt: of the document, or of all together.

    Raises:
        OptionsError: the arguments name no path and no document, or a transaction is active. Or a
            document is held: it stays as it is, and all others were done with before.
        HistoryError: a history cannot be read.
    """
    check_model(model)
    check_progress(progress, "a receipt")
    keys = keys_of(model, path)
    place = Place(model)
    place.ensure_indexes()
    forgotten = Forgotten(united([rule_of(it, MASK) for it in keys]))
    context = context_of(place.options, place.codec)
    what = f"path {path if isinstance(path, str) else '.'.join(path)}"
    if pk is not None:
        return forget(Revisions(place, stored_key(model, pk)), forgotten, what, context)
    found = ((Revisions(place, key), context) for key in keys_behind(place, resume, _having(keys)))
    nothing = Receipt(what, place.document_type, None)
    return forget_each(found, forgotten, nothing, [place], progress)


def _having(keys: Iterable[tuple[str, ...]]) -> dict[str, Any]:
    """Return the condition that a document of a history may have something at paths of keys."""
    names = {path[0] for path in keys}
    if ANY in names:
        return {}
    said = [it for name in names for it in conditions(re.sub(r"([.\\])", r"\\\1", name))]
    return {"$or": [*said, {"position": {"$lt": 0}}]}
