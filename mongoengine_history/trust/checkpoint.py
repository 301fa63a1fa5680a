"""Signed heads over many histories: by them is found what no chain tells, that its end is gone."""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import bson
from bson import Int64
from pymongo.collection import Collection

from mongoengine_history.errors import OptionsError
from mongoengine_history.record.histories import Histories, Tip
from mongoengine_history.record.overview import SMALL, batches
from mongoengine_history.state.values import WIRE, identifier
from mongoengine_history.trust.finding import ALTERED, MISSING, PRUNED, Finding
from mongoengine_history.trust.leaves import Leaves
from mongoengine_history.trust.note import is_signed, signed

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Sequence

    from mongoengine import Document

    from mongoengine_history.record.histories import Span

BESIDE: Final = "_checkpoints"
"""What the name of the collection ends with in which leaves are kept beside a history."""

NOT_ONE: Final = "it is no text of a checkpoint: an origin, a number and a root in a line each"


@dataclass(frozen=True)
class Checkpoint:
    """
    What was the newest revision of each history at some time, in one number that can be signed.

    ``str()`` gives the text, in C2SP's format ``tlog-checkpoint``.

    Raises:
        OptionsError: *text* is none.
    """

    #: The text, with its signature where it has one.
    text: str

    def __post_init__(self) -> None:
        try:
            is_right = len(self.root) == 32 and str(self.size) == self._lines[1] and self.origin
        except (ValueError, IndexError, AttributeError, TypeError) as error:
            raise OptionsError("checkpoint", self.text, NOT_ONE) from error
        if not is_right or self.size < 0:
            raise OptionsError("checkpoint", self.text, NOT_ONE)

    def __str__(self) -> str:
        return self.text

    @property
    def _lines(self) -> list[str]:
        return self.text.split("\n")

    @property
    def origin(self) -> str:
        """Who says it and since when it holds: a name, a slash, and a moment in UTC."""
        return self._lines[0]

    @property
    def moment(self) -> datetime:
        """Since when it holds: all that was recorded before is in it."""
        return datetime.fromisoformat(self.origin.rpartition("/")[2].replace("Z", "+00:00"))

    @property
    def size(self) -> int:
        """How many histories it is about."""
        return int(self._lines[1])

    @property
    def root(self) -> bytes:
        """The root of the Merkle tree over them, 32 bytes."""
        return b64decode(self._lines[2], validate=True)


def checkpoint(
    *models: type[Document],
    origin: str | None = None,
    key: bytes | None = None,
    to: str | os.PathLike[str] | Callable[[str], object] | Collection[Any] | None = None,
) -> Checkpoint:
    """
    Make a head over histories. Reads the newest revision of each; writes what it is made of.

    The leaves of the tree and the text are kept in a collection beside the history, whose name has
    the ending ``_checkpoints``. Others may write meanwhile: each history is taken as it stands
    when it is come to. Put the text, or all of it, where nobody can change it who can change the
    history: *to*.

    Args:
        models: Classes whose histories lie in one collection. None: all in the collection
            ``history`` of the default database, whatever their classes.
        origin: A name of your own for it, best a domain of yours and a path; without spaces and
            plus signs. By default the names of the database and of the collection.
        key: The private key to sign it with, the 32 bytes of Ed25519 (RFC 8032); it needs the
            extra ``proof``. Without one it is not signed.
        to: A file that is not there yet, or something to call: it gets the text. Or a collection
            (PyMongo's): there all is kept, in the place of the one beside the history.

    Raises:
        OptionsError: an argument cannot be used, or a transaction is active.
    """
    histories = Histories(models)
    name = histories.address if origin is None else origin
    if not isinstance(name, str) or not name or "+" in name or name.split() != [name]:
        raise OptionsError("origin", origin, "it must be a name without spaces and plus signs")
    if key is not None:
        signed("", name, key)  # before all are read
    put = _putting(to)
    leaves = Leaves(to if isinstance(to, Collection) else histories.beside(BESIDE))
    moment = datetime.now(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")
    root, size = leaves.keep(map(leaf_of, histories.tips()))
    text = f"{name}/{moment}\n{size}\n{b64encode(root).decode()}\n"
    made = Checkpoint(text if key is None else signed(text, name, key))
    leaves.keep_text(made.text)
    put(made.text)
    return made


def _putting(to: object) -> Callable[[str], object]:
    """Return what puts a text where it shall be."""
    if to is None or isinstance(to, Collection):
        return str
    if callable(to):
        return to
    try:
        path = Path(to)  # type: ignore[arg-type]  # which is told
    except TypeError as error:
        problem = "it must be a path, something to call, or a collection"
        raise OptionsError("to", to, problem) from error
    if path.exists():
        raise OptionsError("to", to, "it is there already; no checkpoint is ever overwritten")
    return lambda text: path.write_bytes(text.encode())


def leaf_of(tip: Tip) -> bytes:
    """Return the leaf of a history, as BSON."""
    fields = {**tip._asdict(), "revision": Int64(tip.revision)}
    return bson.encode(fields, codec_options=WIRE)


def opened(checkpoint: Checkpoint | str, public_key: bytes | None) -> Checkpoint:
    """
    Return a checkpoint of its text.

    Raises:
        OptionsError: it is none, or is not signed by the key.
    """
    found = checkpoint if isinstance(checkpoint, Checkpoint) else Checkpoint(checkpoint)
    if public_key is not None and not is_signed(found.text, public_key):
        raise OptionsError("checkpoint", found.text, "it is not signed by that key")
    return found


def tips_of(
    checkpoint: Checkpoint | str,
    *models: type[Document],
    public_key: bytes | None = None,
    leaves: Collection[Any] | None = None,
) -> Iterator[Tip]:
    """
    Read where the histories stood at a checkpoint, as far as its leaves are there; see below.

    What of them cannot be trusted is left out: `changed_since` names it.
    """
    histories, known = Histories(models), opened(checkpoint, public_key)
    for page in Leaves(_kept(histories, leaves)).pages(known.root):
        yield from filter(histories.holds, map(tip_of, page.leaves or ()))


def _kept(histories: Histories, leaves: Collection[Any] | None) -> Collection[Any]:
    return histories.beside(BESIDE) if leaves is None else leaves


def tip_of(leaf: bytes) -> Tip:
    """Return what a leaf says."""
    return Tip(**bson.decode(leaf, codec_options=WIRE))


def changed_since(
    checkpoint: Checkpoint | str,
    *models: type[Document],
    public_key: bytes | None = None,
    leaves: Collection[Any] | None = None,
) -> Iterator[Finding]:
    """
    Find which histories are not any more what they were at a checkpoint. Reads only.

    Revisions that were recorded since change nothing. Whether a history is intact up to that
    revision, and after it, `verify` says.

    Args:
        checkpoint: It, or its text.
        models: As for `checkpoint`. Only their histories are compared.
        public_key: By which it must be signed, 32 bytes; it needs the extra ``proof``.
        leaves: The collection that it was kept in, if that is not the one beside the history.

    Returns:
        What is found, in batches, while it is iterated. Each names a document and its kind:
        ``missing``, ``altered``; or ``pruned``, which is no fault. Where leaves themselves are
        gone or altered, it names the history's collection and no document.

    Raises:
        OptionsError: an argument cannot be used, or the checkpoint is not signed by the key.
    """
    known, histories = opened(checkpoint, public_key), Histories(models)
    return _changed(known, histories, Leaves(_kept(histories, leaves)))


def _changed(known: Checkpoint, histories: Histories, leaves: Leaves) -> Iterator[Finding]:
    count = 0
    for page in leaves.pages(known.root):
        count += len(page.leaves or ())
        tips = filter(histories.holds, map(tip_of, page.leaves or ()))
        for name, own in groupby(tips, lambda it: it.document_type):
            for some in batches(own, SMALL):
                yield from _compare(histories, name, some)
    if count != known.size:
        what = f"{known.size - count} of the {known.size} leaves of the checkpoint are gone"
        yield Finding(histories.address, None, 0, MISSING, f"{what}, or are not what they were")


def _compare(histories: Histories, name: str, tips: Sequence[Tip]) -> Iterator[Finding]:
    names = histories.names_like(name)
    wanted = [(it.document_id, number) for it in tips for number in {it.revision, 1}]
    found = histories.checksums(names, wanted)
    doubtful = [it for it in tips if not _is_there(found, it)]
    spans = histories.spans(names, [it.document_id for it in doubtful])
    for tip in doubtful:
        key = identifier(tip.document_id)
        checksums, has_first = found.get((key, tip.revision), ()), (key, 1) in found
        for kind in _told(tip, checksums, has_first=has_first, span=spans.get(key)):
            yield Finding(name, tip.document_id, *kind)


def _is_there(found: Any, tip: Tip) -> bool:
    key = identifier(tip.document_id)
    return (key, 1) in found and tip.checksum in found.get((key, tip.revision), ())


def _told(
    tip: Tip, checksums: Sequence[bytes], *, has_first: bool, span: Span | None
) -> Iterator[tuple[int, str, str]]:
    """Say what became of a history: the revision, the kind, and what it is in words."""
    number = tip.revision
    if span is None:
        yield number, MISSING, f"the whole history is gone: it had revision {number}"
        return
    if checksums and tip.checksum not in checksums:
        yield number, ALTERED, "it is another revision than at the checkpoint"
    if span.is_pruned and span.first > number:
        yield number, PRUNED, f"it was pruned: the history begins with {span.first}"
        return
    if not span.is_pruned and not has_first:
        gone = f"revisions 1 to {span.first - 1}" if span.first > 2 else "it"
        yield 1, MISSING, f"the beginning is gone: {gone}"
    if not checksums and span.first <= number:
        ends = f"the end is gone: it ends with revision {span.last}"
        yield number, MISSING, ends if span.last < number else "it is gone"
