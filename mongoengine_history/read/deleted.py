"""The documents of a class that are gone, and how they went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mongoengine_history.documents.snapshot import check_model
from mongoengine_history.errors import HistoryError
from mongoengine_history.read.recorded import Recorded
from mongoengine_history.record.overview import SMALL, batches, heads, keys_behind
from mongoengine_history.record.place import Place
from mongoengine_history.record.revisions import Revisions
from mongoengine_history.state.values import identifier, native

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mongoengine import Document

    from mongoengine_history.record.head import Head


def deleted(model: type[Document]) -> Iterator[Recorded]:
    """
    Iterate over the documents of a class that have a history and are not stored. Reads only.

    `restore` brings them back. It goes through the histories of the class in batches, in the order
    of primary keys, with one look into an index for each.

    Args:
        model: The class; documents of its subclasses are among them.

    Returns:
        For each its newest revision: who deleted it, when and why; or the last that was recorded,
        if its deletion was not. Those of which that cannot be read are left out, as `verify` says.

    Raises:
        OptionsError: *model* is no class with a collection.
    """
    check_model(model)
    return _gone(Place(model), model)


def _gone(place: Place, model: type[Document]) -> Iterator[Recorded]:
    for keys in batches(keys_behind(place), SMALL):
        found = place.documents.find({"_id": {"$in": keys}}, {"_id": 1}, session=place.session)
        stored = {identifier(it["_id"]) for it in found}
        known = heads(place, keys)
        for key in keys:
            head = known.get(identifier(key))
            if head and head.number and identifier(key) not in stored:
                yield from _told(place, model, key, head)


def _told(place: Place, model: type[Document], key: Any, head: Head) -> Iterator[Recorded]:
    revisions = Revisions(place, key, place.codec)
    if revisions.seen_by(model) is not revisions:
        return
    try:
        newest = revisions.revision(head.number).shown()
    except HistoryError:
        return
    yield Recorded(place.document_type, native({"": key}, place.codec)[""], newest, None)
