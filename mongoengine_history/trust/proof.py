"""One revision, with all that proves offline that it was part of a history under a checkpoint."""

from __future__ import annotations

import hmac
import json
from base64 import b64encode
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from pymongo import ASCENDING

from mongoengine_history.errors import MalformedRecordError, OptionsError
from mongoengine_history.record.chain import (
    SAID_VALUES,
    checksum,
    digests,
    earlier_keys,
    manifest,
    salts_of,
    values,
)
from mongoengine_history.record.complete import RECORD, complete
from mongoengine_history.record.layout import revision_of
from mongoengine_history.record.revisions import ONE_BY_ONE, Revisions
from mongoengine_history.state.problem import is_number
from mongoengine_history.state.values import encode, identifier
from mongoengine_history.trust.checkpoint import BESIDE, kept_leaves, opened, tip_of
from mongoengine_history.trust.leaves import Leaves

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mongoengine import Document

    from mongoengine_history.record.histories import Tip
    from mongoengine_history.state.revision import StoredRevision
    from mongoengine_history.trust.checkpoint import Checkpoint

VALUE_AT: Final = 6
"""Bytes of a document of BSON before the value of its one key, which is empty."""

PROOF_FORMAT: Final = 1
"""The number of the format of what C2SP leaves to the application."""

FIRST_LINE: Final = "c2sp.org/tlog-proof@v1"

NO_TEXT: Final = "there is none beside the history yet; make one, or say which"

NO_LEAF: Final = (
    "it has no leaf of that document, or its leaves are gone; give one that was made since, and "
    "the collection that its leaves were kept in"
)

NOT_CHAINED_YET: Final = "it was recorded before there were checksums, so nothing can be proven"

NOT_ITS_SUM: Final = "it is not what its checksum, or that of a later revision, was made of"


def proof(
    document: Document,
    number: int,
    checkpoint: Checkpoint | str | None = None,
    *,
    keys: Sequence[bytes] = (),
) -> str:
    """
    Prove that a revision was part of the history of a document under a checkpoint. Reads only.

    The text has the values of that revision; of the later ones, up to the checkpoint, the paths
    that they changed and digests. It is C2SP's ``tlog-proof``, and a script on the page "prove the
    history" verifies it without this package and without a database. It reads the leaves of the
    checkpoint one after another, up to that of the document.

    Args:
        document: Saved or not, with the class and the primary key.
        number: The revision.
        checkpoint: It, or its text. None is the one that was kept last beside the history.
        keys: Earlier values of the class's ``checksum_key``. What was made with one can only be
            verified by whoever has it; the text does not hold it.

    Raises:
        OptionsError: an argument cannot be used; the revision is newer than the checkpoint, or
            older than checksums; or the checkpoint has no leaf of the document.
        IncompleteRevisionError: a revision on the way to the checkpoint is not there.
        MalformedRecordError: one is not what its checksum was made of, or cannot be read.
    """
    if not is_number(number) or number < 1:
        raise OptionsError("number", number, "it is that of a revision: 1, 2, …")
    earlier = earlier_keys(keys)
    revisions = Revisions.named(document)
    beside = revisions.place.beside(BESIDE)
    text = Leaves(beside).last_text() if checkpoint is None else checkpoint
    if text is None:
        raise OptionsError("checkpoint", None, NO_TEXT)
    known = opened(text)
    kept = kept_leaves(known, beside)
    index, leaf, path = _leaf(kept, known, revisions)
    found = _extra(
        revisions, number, tip_of(leaf), (revisions.place.options.checksum_key, *earlier)
    )
    extra = json.dumps({"format": PROOF_FORMAT, "leaf": _text(leaf), **found})
    lines = [FIRST_LINE, f"extra {_text(extra.encode())}", f"index {index}", *map(_text, path)]
    return "\n".join([*lines, "", known.text])


def _text(some: bytes) -> str:
    return b64encode(some).decode()


def _leaf(kept: Leaves, known: Checkpoint, revisions: Revisions) -> tuple[int, bytes, list[bytes]]:
    """Find the newest leaf of a document: its index, itself, and the audit path."""
    found = _leaves_of(kept, known, revisions)
    some = found if len(revisions.place.names) > 1 else islice(found, 1)
    newest = max(some, key=itemgetter(0), default=None)
    if newest is None:
        raise OptionsError("checkpoint", known.text, NO_LEAF)
    return newest[1:]


def _leaves_of(
    kept: Leaves, known: Checkpoint, revisions: Revisions
) -> Iterator[tuple[int, int, bytes, list[bytes]]]:
    """Find the leaves of a document, one under each name of the collection; the number first."""
    names, key, before = revisions.place.names, revisions.key, 0
    # Most are told apart by their bytes; numbers that are equal for the server may be of two types.
    part = b"" if isinstance(key, int | float) else encode(key)[VALUE_AT:-1]
    for page in kept.pages(known.root):
        leaves = page.leaves or ()
        for index, leaf in enumerate(leaves):
            tip = tip_of(leaf) if part in leaf else None
            is_named = tip is not None and tip.document_type in names
            if tip and is_named and identifier(tip.document_id) == identifier(key):
                yield tip.revision, before + index, leaf, page.path_to(index)
        before += len(leaves)


def _extra(
    revisions: Revisions, number: int, tip: Tip, keys: Sequence[bytes | None]
) -> dict[str, Any]:
    """Return the values of a revision, and the manifests from it to the tip."""
    if number > tip.revision:
        problem = f"the checkpoint is older: it has revision {tip.revision}. Make another one"
        raise OptionsError("number", number, problem)
    shown: list[Any] = []
    manifests: list[bytes] = []
    before = None
    for revision, first, found in _between(revisions, number, tip.revision):
        if before is None:
            before, shown = _before(revisions, first), _values(revision, first)
        manifests.append(manifest(revision, first, before, found))
        before = first["checksum"]
        is_last = revision.number == tip.revision
        if not _is_sum(manifests[-1], before, keys) or (is_last and before != tip.checksum):
            raise MalformedRecordError(revisions.key, revision.number, first["_id"], NOT_ITS_SUM)
    return {"values": shown, "manifests": [*map(_text, manifests)]}


def _between(
    revisions: Revisions, number: int, last: int
) -> Iterator[tuple[StoredRevision, Mapping[str, Any], bytes]]:
    """Read revisions, each with its first record, which has a checksum, and with its digests."""
    query = {"revision": {"$gte": number, "$lte": last}, "position": RECORD}
    found = revisions.records(query, batch_size=ONE_BY_ONE)
    for records in complete(revisions, found, ASCENDING, number, last):
        if not records[0].get("checksum"):
            raise OptionsError("number", number, NOT_CHAINED_YET)
        with revisions.reading(records):
            made = revision_of(records)
            summed = b"".join(digests(made, records[0]))
        yield made, records[0], summed


def _before(revisions: Revisions, first: Mapping[str, Any]) -> bytes:
    """Return the checksum of the revision before, be it pruned."""
    if "pruned" in first:
        return bytes(first["pruned"]["before"])
    query = {"revision": first["revision"] - 1, "position": 0}
    found = revisions.records(query, projection={"checksum": 1}) if first["revision"] > 1 else ()
    return next((it.get("checksum", b"") for it in found), b"")


def _values(revision: StoredRevision, first: Mapping[str, Any]) -> list[list[str] | None]:
    """Return the salt and the BSON of each value; None for one that was erased, or never said."""
    found, erased = values(revision), first.get("digests", {})
    shown = enumerate(zip(found, salts_of(first, len(found)), strict=True))
    return [
        None
        if str(index) in erased or (value is None and index < SAID_VALUES)
        else [_text(salt), _text(encode(value))]
        for index, (value, salt) in shown
    ]


def _is_sum(made: bytes, known: bytes, keys: Sequence[bytes | None]) -> bool:
    return any(hmac.compare_digest(checksum(made, key), known) for key in (None, *keys))
