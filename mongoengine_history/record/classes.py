"""Of which class a document is, where documents of several classes share a collection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pymongo import DESCENDING, ReadPreference

from mongoengine_history.documents.formerly import names_of, one_of
from mongoengine_history.documents.options import options_of
from mongoengine_history.record.indexes import BY_REVISION
from mongoengine_history.record.sessions import active_session

if TYPE_CHECKING:
    from mongoengine import Document
    from pymongo.collection import Collection

NOWHERE: Final[dict[str, Any]] = {"_id": {"$in": []}}
"""The condition that nothing fulfils."""

NEWEST_FIRST: Final = [(name, DESCENDING) for name in BY_REVISION]

NAMES_CLASS: Final[dict[str, Any]] = {
    "revision": {"$gte": 0},
    "$or": [
        {"state._cls": {"$exists": True}},
        {"keys": [], "data.items": {"$elemMatch": {"key": "_cls", "value": {"$exists": True}}}},
        {"keys": ["_cls"]},
    ],
}
"""The condition that a version or a record says of which class its document is."""


def belongs(model: type[Document], name: object) -> bool:
    """Say whether documents of which ``_cls`` is *name* are of a class or of a subclass."""
    return not model._meta.get("allow_inheritance") or name in model._subclasses


def is_of(
    model: type[Document], key: Any, documents: Collection[Any], history: Collection[Any]
) -> bool:
    """
    Say whether a document is of a class: by what is stored, else by what its history said last.

    One of a subclass that is not imported is, too. Where nothing names a class, the document is
    older than the subclasses, and of the class at their root. If the class shares its collection
    with no other, nothing is read.
    """
    if not model._meta.get("allow_inheritance"):
        return True
    session, primary = active_session(documents.database.client), ReadPreference.PRIMARY
    documents = documents.with_options(read_preference=primary)
    stored = documents.find_one({"_id": {"$eq": key}}, {"_cls": 1}, session=session)
    if stored is None:
        names = one_of(names_of(model, documents.name))
        owner = {"document_type": names, "document_id": {"$eq": key}}
        history = history.with_options(read_preference=primary)
        found = history.find_one({**owner, **NAMES_CLASS}, sort=NEWEST_FIRST, session=session)
        name = _named(found) if found else None
    else:
        name = stored.get("_cls")
    name = dict[Any, Any](options_of(model).renamed).get(name, name)
    if name is None:
        return "." not in model._class_name
    return belongs(model, name) or str(name).startswith(f"{model._class_name}.")


def _named(found: Any) -> Any:
    """Return the class that a version or a record names, be it the one that was removed."""
    if "state" in found:
        return found["state"]["_cls"]
    data = found["data"]
    if "new" in data:
        return data["new"]
    return next(item["value"] for item in data["items"] if item["key"] == "_cls")
