"""Fields of records and versions: they give what is stored as it is."""

from __future__ import annotations

from typing import Any

from mongoengine import fields


class RawField(fields.DictField):  # type: ignore[misc]  # MongoEngine has no types
    """
    Shows a stored value of any kind as it is: no document is fetched, no class looked up.

    It is a DictField only so that queries may name what lies inside (``data__new=…``).
    """

    def __get__(self, instance: Any, owner: Any) -> Any:
        """Return the value, untouched."""
        return self if instance is None else instance._data.get(self.name)

    def to_python(self, value: Any) -> Any:
        """Return *value*."""
        return value

    def to_mongo(self, value: Any, **_: Any) -> Any:
        """Return *value*."""
        return value

    def prepare_query_value(self, op: str | None, value: Any) -> Any:
        """
        Take a document for its primary key, as the library does with identities.

        What is to be equal is a value: no dict is an operator, and no pattern is looked for.
        """
        known = value.pk if getattr(value, "_is_document", False) else value
        return {"$eq": known} if op in {None, "exact"} else known

    def validate(self, value: Any) -> None:
        """Accept anything."""


class WallTimeField(fields.DateTimeField):  # type: ignore[misc]  # MongoEngine has no types
    """A time as the wall clock of the server showed it, so naive on every connection."""

    def to_python(self, value: Any) -> Any:
        """Drop the UTC that a connection with ``tz_aware`` gives to a local time."""
        return value.replace(tzinfo=None) if getattr(value, "tzinfo", None) else value
