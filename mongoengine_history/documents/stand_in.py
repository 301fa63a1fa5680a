"""What only stands in for PyMongo, such as mongomock in unit tests: it goes on, unrecorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from warnings import warn

from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.database import Database

from mongoengine_history.errors import HistoryWarning, OptionsError

if TYPE_CHECKING:
    from mongoengine import Document

PYMONGOS_OWN: Final = (Collection, Database, MongoClient)

USUAL_CODEC: Final = CodecOptions[Any](uuid_representation=UuidRepresentation.STANDARD)
"""How values are checked where nobody says how they are stored."""

_warned: Final[set[type]] = set()
"""The kinds of stand-ins that were warned of."""


def is_stand_in(source: object) -> bool:
    """Say whether a collection, a database or a client is another one than PyMongo's own."""
    return not isinstance(source, PYMONGOS_OWN)


def codec_in(source: Any) -> CodecOptions[Any]:
    """Return the codec options of a collection or a database; the usual ones of a stand-in."""
    return USUAL_CODEC if is_stand_in(source) else source.codec_options


def is_warned_of(source: object) -> bool:
    """Say whether it is a stand-in, and warn of each kind of them once in a process."""
    if is_stand_in(source) and type(source) not in _warned:
        _warned.add(type(source))
        warn(
            f"{_kind(source)} only stands in for PyMongo, so nothing that is written there is "
            "recorded or refused, and an atomic changeset is no transaction. All else works as "
            "before. Test what is recorded on a real MongoDB.",
            HistoryWarning,
            stacklevel=2,
        )
    return is_stand_in(source)


def check_real(model: Document | type[Document], collection: object) -> None:
    """Raise an OptionsError if documents lie in a stand-in, which has no history."""
    if is_stand_in(collection):
        problem = f"it lies in {_kind(collection)}, which only stands in for PyMongo and has no"
        raise OptionsError("document", model, f"{problem} history; use a real MongoDB for it")


def _kind(source: object) -> str:
    return f"{type(source).__module__}.{type(source).__qualname__}"
