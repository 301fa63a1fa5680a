"""The names that a collection has had: the history has records under each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mongoengine_history.documents.options import options_of
from mongoengine_history.errors import OptionsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mongoengine import Document


def names_of(model: Document | type[Document], collection: str) -> tuple[str, ...]:
    """
    Return the name of a collection, and those that it had before.

    What is renamed is the collection of the class, not one that it was switched to.
    """
    is_own = collection == model._meta.get("collection")
    return (collection, *options_of(model).formerly) if is_own else (collection,)


def one_of(names: Sequence[str]) -> Any:
    """Return the condition that a name is one of some; a single one is simply compared."""
    return names[0] if len(names) == 1 else {"$in": [*names]}


def check_names(model: type[Document], others: Iterable[type[Document]]) -> None:
    """
    Check that no other class records under a name that the collection of a class has had.

    Raises:
        OptionsError: one does, or its collection has had the same name.
    """
    own, alias = model._meta.get("collection"), model._meta.get("db_alias")
    for other in others:
        theirs = other._meta.get("collection")
        both = {*names_of(model, own)} & {*names_of(other, theirs)}
        if both and own != theirs and alias == other._meta.get("db_alias"):
            problem = f"the history of {other.__name__} has records under that name, too"
            raise OptionsError("formerly", min(both), problem)
