"""Signed heads over many histories: by them is found what no chain tells, that its end is gone."""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import bson
from bson import Int64
from pymongo.collection import Collection

from mongoengine_history.errors import OptionsError
from mongoengine_history.record.histories import Histories, Tip
from mongoengine_history.state.values import WIRE
from mongoengine_history.trust.leaves import Leaves
from mongoengine_history.trust.note import is_signed, signed

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from mongoengine import Document

BESIDE: Final = "_checkpoints"
"""What the name of the collection ends with in which leaves are kept beside a history."""

NOT_ONE: Final = (
    "it is no text of a checkpoint: a name with a moment, a number and a root in a line each"
)


@dataclass(frozen=True)
class Checkpoint:
    """
    What was the newest revision of each history at some time, in one number that can be signed.

    ``str()`` gives the text, in C2SP's format ``tlog-checkpoint``.

    Raises:
        OptionsError: *text* is none, or *leaves* is no collection.
    """

    #: The text, with its signature where it has one.
    text: str
    #: The collection that its leaves are kept in, if that is not the one beside the history.
    leaves: Collection[Any] | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            is_right = len(self.root) == 32 and str(self.size) == self._lines[1]
            is_right = is_right and self.moment.tzinfo is not None
        except (ValueError, IndexError, AttributeError, TypeError) as error:
            raise OptionsError("checkpoint", self.text, NOT_ONE) from error
        if not is_right or self.size < 0:
            raise OptionsError("checkpoint", self.text, NOT_ONE)
        if not isinstance(self.leaves, Collection | None):
            raise OptionsError("leaves", self.leaves, "it must be a collection of PyMongo")

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

    def signed_by(self, public_key: bytes) -> Checkpoint:
        """
        Return it, if it is signed by a key, and all signatures by that are right.

        Args:
            public_key: Of Ed25519, 32 bytes; it needs the extra ``proof``.

        Raises:
            OptionsError: it is not, or the key is none.
        """
        if not is_signed(self.text, public_key):
            raise OptionsError("checkpoint", self.text, "it is not signed by that key")
        return self


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
    apart = to if isinstance(to, Collection) else None
    leaves = Leaves(histories.beside(BESIDE) if apart is None else apart)
    moment = datetime.now(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")
    root, size = leaves.keep(map(leaf_of, histories.tips()))
    text = f"{name}/{moment}\n{size}\n{b64encode(root).decode()}\n"
    made = Checkpoint(text if key is None else signed(text, name, key), apart)
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


def opened(checkpoint: Checkpoint | str) -> Checkpoint:
    """Return a checkpoint that may be given as its text; OptionsError if it is none."""
    return checkpoint if isinstance(checkpoint, Checkpoint) else Checkpoint(checkpoint)


def kept_leaves(known: Checkpoint, beside: Collection[Any]) -> Leaves:
    """Return where the leaves of a checkpoint are kept, *beside* the history if nowhere else."""
    return Leaves(beside if known.leaves is None else known.leaves)


def tip_of(leaf: bytes) -> Tip:
    """Return what a leaf says."""
    return Tip(**bson.decode(leaf, codec_options=WIRE))
