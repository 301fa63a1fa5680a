"""Classes of which the application saves and deletes documents in its own way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import mongoengine as me
from mongoengine import Document
from support.changes import tracked


class Hidden(Document):
    """Its deletion only hides it."""

    meta = {"collection": "rm_hidden"}
    name = me.StringField()
    is_gone = me.BooleanField(default=False)

    def delete(self, *args: Any, **kwargs: Any) -> None:
        self.is_gone = True
        self.save()


class Hiding(me.QuerySet):
    def delete(self, *args: Any, **kwargs: Any) -> Any:
        return self.update(is_gone=True)


class Shelved(Document):
    """A query that deletes it only hides it, and so does its own deletion."""

    meta = {"collection": "rm_shelved", "queryset_class": Hiding}
    name = me.StringField()
    is_gone = me.BooleanField(default=False)


class Asking(Document):
    meta = {"collection": "rm_asking"}
    name = me.StringField()

    def delete(self, why: str) -> None:
        super().delete()

    def save(self, why: str, **kwargs: Any) -> Any:
        return super().save(**kwargs)


class Refusing(Document):
    meta = {"collection": "rm_refusing"}
    name = me.StringField()
    refuses = False

    def delete(self, *args: Any, **kwargs: Any) -> None:
        if type(self).refuses:
            raise PermissionError("invoices are kept")
        super().delete(*args, **kwargs)

    def save(self, *args: Any, **kwargs: Any) -> Any:
        return self if type(self).refuses else super().save(*args, **kwargs)


class Narrow(Document):
    """What was valid once is not today."""

    meta = {"collection": "rm_narrow", "strict": True}
    name = me.StringField()
    code = me.StringField()

    def validate(self, clean: bool = True) -> None:
        super().validate(clean)
        if self.name and len(self.name) > 3:
            raise me.ValidationError("name is too long", errors={"name": "too long"})


class Total(Document):
    meta = {"collection": "rm_totals"}
    cents = me.IntField(default=0)
    note = me.StringField()


class Entry(Document):
    """Keeps a total, as documents and handlers do."""

    meta = {"collection": "rm_entries"}
    total = me.ReferenceField(Total)
    cents = me.IntField(default=0)
    note = me.StringField()

    def save(self, *args: Any, **kwargs: Any) -> Any:
        saved = super().save(*args, **kwargs)
        Total.objects(pk=self.total.pk).update(inc__cents=self.cents)
        return saved

    def delete(self, *args: Any, **kwargs: Any) -> None:
        super().delete(*args, **kwargs)
        Total.objects(pk=self.total.pk).update(dec__cents=self.cents)


class Kind(Document):
    meta = {"collection": "rm_kinds", "allow_inheritance": True}
    name = me.StringField()


class Special(Kind):
    extra = me.IntField()


TRACKED = (Hidden, Shelved, Asking, Refusing, Narrow, Total, Entry, Kind)


@contextmanager
def tracking() -> Iterator[None]:
    with tracked(*TRACKED):
        yield
    Refusing.refuses = False
