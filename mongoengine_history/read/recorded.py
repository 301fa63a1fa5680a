"""One revision, and whose it is, where revisions of many documents are read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bson import ObjectId

from mongoengine_history.errors import OptionsError

if TYPE_CHECKING:
    from mongoengine_history.state.revision import Revision


@dataclass(slots=True, eq=False)
class Recorded:
    """One revision, and of which document it is."""

    #: Name of the collection that the document lies in; empty for an event of no document.
    document_type: str
    #: Its primary key.
    document_id: Any
    #: What was recorded.
    revision: Revision
    #: The ``_id`` of its first record, behind which `recent` goes on.
    record: Any = field(repr=False)


def object_id(name: str, given: Any, problem: str) -> ObjectId:
    """Return an ObjectId, given it or its 24 digits; OptionsError if it is neither."""
    if not isinstance(given, ObjectId | str) or not ObjectId.is_valid(given):
        raise OptionsError(name, given, problem)
    return ObjectId(given)
