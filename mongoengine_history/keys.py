"""Primary keys in the form in which they are stored."""

from __future__ import annotations

from typing import Any

from mongoengine import Document

from mongoengine_history.errors import OptionsError


def has_key(document: Document) -> bool:
    """Say whether *document* has a primary key; one that is a reference is not followed."""
    return document._data.get(document._meta["id_field"]) is not None


def key_in(document: Document) -> Any:
    """Return the primary key that *document* has in memory; None if it has none."""
    return document.to_mongo(fields=[document._meta["id_field"]]).get("_id")


def stored_key(document: Document | type[Document], pk: object = None) -> Any:
    """
    Return a primary key.

    Args:
        document: A document with a primary key, or a class of documents if *pk* is given.
        pk: The primary key in any form that a query by it takes.

    Raises:
        OptionsError: the two do not name a document.
    """
    if isinstance(document, Document):
        if pk is not None:
            raise OptionsError("pk", pk, "give a document, or its class and the key, not both")
        if not has_key(document):
            raise OptionsError("document", document, "it has no primary key; save it first")
        return key_in(document)
    check_model(document)
    return _key_for(document, pk)


def check_model(model: type[Document]) -> None:
    """Raise an OptionsError if *model* is no class of documents with a collection."""
    if not (isinstance(model, type) and issubclass(model, Document)):
        raise OptionsError("document", model, "only a top-level Document has a history")
    if model._meta.get("abstract"):
        raise OptionsError("document", model, "an abstract class has no documents")


def _key_for(model: type[Document], pk: object) -> Any:
    if pk is None:
        raise OptionsError("pk", pk, f"give the primary key of a {model.__name__}")
    field = model._fields[model._meta["id_field"]]
    try:
        return field.to_mongo(pk)
    except Exception as error:  # MongoEngine's, or one of the application's own fields
        raise OptionsError("pk", pk, f"it is no {type(field).__name__} ({error})") from error
