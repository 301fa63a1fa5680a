"""The documents that a history consists of, and what they can be asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from mongoengine import Document, connection, fields
from mongoengine.connection import get_db
from mongoengine.queryset import QuerySet, QuerySetManager

from mongoengine_history.documents.formerly import names_of
from mongoengine_history.documents.options import OPTIONS_ATTRIBUTE, options_of
from mongoengine_history.documents.snapshot import stored_key
from mongoengine_history.errors import OptionsError
from mongoengine_history.record.classes import NOWHERE, is_of
from mongoengine_history.record.fields import RawField, WallTimeField
from mongoengine_history.record.holdings import Holding, holdings
from mongoengine_history.record.indexes import OWNER, RECORDS, VERSIONS, create_indexes
from mongoengine_history.record.touching import conditions
from mongoengine_history.state.context import identity_of, plain
from mongoengine_history.state.moments import last_stamp, stamp_of, wall_clock

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from pymongo.collection import Collection
    from pymongo.database import Database
    from typing_extensions import Self

R = TypeVar("R", bound=Document)

OWN_NAME: Final = "mongoengine_history:"
"""What the names of our classes begin with in MongoEngine's registry, of which there is one."""


NO_ALIAS: Final = "it is a text, MongoEngine's name of a connection"


def database_at(alias: str | None, name: str = "alias") -> Database[Any]:
    """
    Return the database of a connection, or of the usual one.

    Raises:
        OptionsError: what the argument *name* has is no text.
        mongoengine.ConnectionFailure: no connection has that alias.
    """
    if not isinstance(alias, str | None):
        raise OptionsError(name, alias, NO_ALIAS)
    database: Database[Any] = get_db(connection.DEFAULT_CONNECTION_NAME if alias is None else alias)
    return database


def alias_of(model: Document | type[Document]) -> str:
    """Return the name of the connection that a class says, or of the usual one."""
    alias: str = model._meta.get("db_alias", connection.DEFAULT_CONNECTION_NAME)
    return alias


class _Apart(type(Document)):  # type: ignore[misc]  # MongoEngine has no types
    """Registers our own classes apart, so that ``History`` and ``Version`` may be others' names."""

    def __new__(mcs, name: str, bases: Any, attrs: dict[str, Any]) -> Any:
        is_own = attrs["__module__"] == __name__
        # They have no history themselves, even where all documents have one.
        attrs = {**attrs, OPTIONS_ATTRIBUTE: None}
        made = super().__new__(mcs, f"{OWN_NAME}{name}" if is_own else name, bases, attrs)
        made.__name__ = name
        # switch_db leaves an alias behind where the class had said none.
        made.kept_at = made._meta.get("db_alias")
        return made


class _Manager(QuerySetManager):  # type: ignore[misc]  # MongoEngine has no types
    """Gives a queryset that looks for its collection where it asks, not before."""

    def __get__(self, instance: Any, owner: Any) -> Any:
        if instance is not None:
            return self
        return self.get_queryset(owner, owner._meta["queryset_class"](owner, None))


class _Typed(QuerySet, Generic[R]):  # type: ignore[misc]  # MongoEngine has no types
    """Tells type checkers what most questions give."""

    if TYPE_CHECKING:

        def __call__(self, *args: Any, **kwargs: Any) -> Self: ...
        def __iter__(self) -> Iterator[R]: ...
        def filter(self, *args: Any, **kwargs: Any) -> Self: ...
        def order_by(self, *keys: str) -> Self: ...
        def first(self) -> R | None: ...


class OwnedQuerySet(_Typed[R]):
    """A normal queryset, with questions that all that was recorded is asked."""

    _owner: type[Document] | None = None
    """The class of the document of which is asked, as far as it was said …"""

    _all_of_it: Self | None = None
    """… and all that the history has of it."""

    def _clone_into(self, new_qs: Any) -> Any:
        clone = super()._clone_into(new_qs)
        clone._owner, clone._all_of_it = self._owner, self._all_of_it
        return clone

    @property
    def _collection(self) -> Any:
        """Where is asked; only now, so that no default connection is needed to say where."""
        if self._collection_obj is None:
            return self._document._get_collection()
        return self._collection_obj

    def using(self, alias: str) -> Self:
        """Ask the database of a connection of MongoEngine, by its alias."""
        if alias is None:
            raise OptionsError("alias", alias, NO_ALIAS)
        there = database_at(alias)[self._document._get_collection_name()]
        asked: Self = self._clone_into(type(self)(self._document, there))
        return asked

    def of(self, document: Document | type[Document], pk: object = None) -> Self:
        """
        Keep what belongs to one document, in the database in which that lies.

        Args:
            document: A document, or its class if *pk* is given: then nothing is kept if the
                document is of another class. That is read at once, where there is inheritance.
            pk: Its primary key.

        Raises:
            OptionsError: the two do not name a document.
        """
        key = stored_key(document, pk)
        collection = document._get_collection()
        history = kept_by(document).beside(collection.database)
        there: Self = self._clone_into(type(self)(self._document, history))
        name, *before = names_of(document, collection.name)
        names = {"document_type__in": [name, *before]} if before else {"document_type": name}
        there = there.filter(**names, document_id=key)
        if pk is not None and not is_of(document, key, collection, history):
            there = there.filter(__raw__=NOWHERE)
        there._owner = document if isinstance(document, type) else type(document)
        there._all_of_it = there.clone()
        return there

    def by(self, identity: object) -> Self:
        """
        Keep what *identity* answers for: a saved document, or any BSON value.

        Raises:
            OptionsError: it is a document that was not saved, or no BSON value.
        """
        return self.filter(identity=self._plain(identity))

    def on_behalf_of(self, identity: object) -> Self:
        """Keep what was done on behalf of *identity*, which metadata says; errors as `by`."""
        there = {"$eq": self._plain(identity), "$exists": True}
        return self.filter(__raw__={"metadata.on_behalf_of": there})

    def _plain(self, identity: object) -> Any:
        return plain("identity", identity_of(identity), self._collection.codec_options)

    def between(self, since: datetime | None = None, until: datetime | None = None) -> Self:
        """
        Keep what was recorded in a time, both ends included.

        Args:
            since: The first moment; naive is local time of the process. None is the beginning.
            until: The last one; if in whole milliseconds, all of its own. None is the end.

        Raises:
            OptionsError: an end is no datetime.
        """
        stamps, clocks = {}, {}
        if since is not None:
            stamps["$gte"], clocks["$gte"] = stamp_of(since), wall_clock(since)
        if until is not None:
            stamps["$lte"], clocks["$lte"] = last_stamp(until), wall_clock(until)
        either: list[dict[str, Any]] = [{"stamp": stamps}, {"stamp": None, "created_at": clocks}]
        return self._any_of(either) if stamps else self

    def _any_of(self, either: list[dict[str, Any]]) -> Self:
        return self.filter(__raw__={"$or": either})


class HistoryQuerySet(OwnedQuerySet[R]):
    """
    A normal queryset, with the questions that `History.objects` is asked.

    Its ``delete()`` leaves nothing behind.
    """

    def touching(self, path: str | Sequence[str | int]) -> Self:
        """
        Keep records that say something about a path.

        These are records at the path, below it and above it, and creations and deletions of
        documents that had it.

        Args:
            path: Names joined by dots; a dot inside of a name is escaped by a backslash. After `of`
                they may be those of attributes or stored ones, and the class has to know them, or
                else the history, which is read then; without `of` they are stored ones. A list or
                tuple of stored keys and indexes is exact.

        Raises:
            OptionsError: *path* is no path, has more than 100 names or 4 kB, cannot be encoded, or
                leads to nothing in the class and in the history.
        """
        try:
            return self._any_of(conditions(path, self._owner))
        except OptionsError:
            former = conditions(path)
            if self._all_of_it is None or not self._all_of_it._any_of(former).first():
                raise
            return self._any_of(former)  # the class had it before

    def delete(self, *args: Any, **kwargs: Any) -> Any:
        """Delete records; of whole documents their versions and parts, too."""
        query, is_part = dict(self._query), self._limit is not None or bool(self._skip)
        deleted = super().delete(*args, **kwargs)
        is_of_records = query.pop("action", None) == RECORDS["action"]
        if is_of_records and query.keys() <= OWNER and not is_part:
            self._collection.delete_many(query)
        return deleted


class _Records(_Manager):
    if TYPE_CHECKING:

        def __get__(self, instance: Any, owner: type[R]) -> HistoryQuerySet[R]: ...


class _Versions(_Manager):
    if TYPE_CHECKING:

        def __get__(self, instance: Any, owner: type[R]) -> OwnedQuerySet[R]: ...


class BaseHistory(Document, metaclass=_Apart):  # type: ignore[misc]  # MongoEngine has no types
    """
    What a record is. A class derived from it keeps records elsewhere: ``track_history(history=…)``.

    Its ``meta`` may say ``collection``, and ``db_alias`` where the records shall not lie in the
    database of their documents.
    """

    #: Name of the collection that the document lies in.
    document_type = fields.StringField()
    #: Primary key of the document, any BSON value.
    document_id = RawField(default=None)
    #: Who answers for the revision, any BSON value; None if nobody was named.
    identity = RawField(default=None)
    #: ``add``, ``change`` or ``remove``.
    action = fields.StringField()
    #: Keys and indexes joined by dots; empty for the document itself.
    path = fields.StringField()
    #: ``{"old", "new"}`` of a change, else ``{"items": [{"key", "value"}, …]}``.
    data = RawField(default=None)
    #: When, by the wall clock of the server that wrote it; naive local time in milliseconds.
    created_at = WallTimeField()
    #: When, truly; microseconds since 1970 UTC.
    stamp = fields.IntField()
    #: The exact path; tells key ``"1"`` from index 1.
    keys = RawField(default=None)
    #: Places of the keys in ``data``, where they do not stand at the end of their dict.
    places = RawField(default=None)
    #: Number of the revision within the document (1, 2, 3, …).
    revision = fields.IntField()
    #: Place of this record in the revision, from 0.
    position = fields.IntField()
    #: How many records the revision has, parts of large values included.
    size = fields.IntField()
    #: ``create``, ``update``, ``delete``, ``revert``, ``undo``, ``restore``, ``external``,
    #: ``event``, ``redact``, or a later word.
    operation = fields.StringField()
    #: Shared by all revisions of one unit of work.
    changeset = fields.ObjectIdField()
    #: Why, in words.
    reason = fields.StringField()
    #: Anything else that was said about the write.
    metadata = RawField(default=None)
    #: Hashes of lists after the revision, by path; on its first record.
    lists = RawField(default=None)
    #: Paths of masks in the state after the revision whose values were erased; on its first record.
    redacted = RawField(default=None)
    #: Chains the revision to the one before; on its first record, as what it is made with.
    checksum = RawField(default=None)
    salt = RawField(default=None)
    #: The same where a value was erased: by the number of a value.
    salts = RawField(default=None)
    digests = RawField(default=None)

    _is_history = True
    meta = {  # noqa: RUF012  # MongoEngine's way to configure a class
        "abstract": True,
        "queryset_class": HistoryQuerySet,
        "strict": False,
        "auto_create_index": False,  # made apart, never on the path of a write
    }

    @classmethod
    def ensure_indexes(cls, alias: str | None = None) -> None:
        """
        Create the indexes of the history in a database; nothing if they are there.

        The first `DocumentTrack` or write of a process does it, too. Call it when you deploy, if a
        large history of 1.1 has none: MongoDB needs about 3 s for a million records.

        Args:
            alias: MongoEngine's name of the connection. Without one it is that of the class, and
                where that is not registered, each one that is.
        """
        own = alias_of(cls)
        known = connection._connection_settings
        for name in [alias] if alias is not None else [own] if own in known else known or [own]:
            create_indexes(database_at(name)[cls._get_collection_name()])

    @classmethod
    def report(cls, alias: str | None = None) -> list[Holding]:
        """
        Say what the history holds, by collections of documents. Reads all of it.

        Args:
            alias: MongoEngine's name of the connection, if it is not that of the class.
        """
        there = database_at(alias_of(cls) if alias is None else alias)
        return holdings(there[cls._get_collection_name()])

    @classmethod
    def beside(cls, database: Database[Any]) -> Collection[Any]:
        """Return the collection of the records of documents that lie in a database."""
        there = get_db(cls.kept_at) if cls.kept_at else database
        return there[cls._get_collection_name()]

    objects = _Records(lambda _, queryset: queryset.filter(__raw__=RECORDS))
    """All records; not the versions and parts of large values beside them."""


class History(BaseHistory):
    """
    One record: one patch of one revision of one document.

    For queries: ``History.objects(document_id=invoice.id)``. Records are written by the library
    alone. A record of mongoengine-history 1.1 has the first seven fields only.
    """

    meta = {"collection": "history"}  # noqa: RUF012  # MongoEngine's way to configure a class


def kept_by(model: Document | type[Document]) -> type[BaseHistory]:
    """Return the class of the records of a class, or of a document's class."""
    return options_of(model).history or History


class Version(Document, metaclass=_Apart):  # type: ignore[misc]  # MongoEngine has no types
    """
    A full state, kept beside the records: for queries, written by the library alone.

    There is one with every hundredth revision (``version_every``), and one with the number 0: the
    state before the first revision of a document that existed already.
    """

    #: Name of the collection that the document lies in.
    document_type = fields.StringField()
    #: Primary key of the document, any BSON value.
    document_id = RawField(default=None)
    #: Number of the revision after which the document was like this.
    revision = fields.IntField()
    #: The state, without ``_id``; None where it is kept in parts, then `Timeline.state` has it.
    state = RawField(default=None)
    #: Who answers for the revision; None if nobody was named.
    identity = RawField(default=None)
    #: When, by the wall clock of the server that wrote it; naive local time in milliseconds.
    created_at = WallTimeField()
    #: When, truly; microseconds since 1970 UTC.
    stamp = fields.IntField()

    meta = {  # noqa: RUF012  # MongoEngine's way to configure a class
        "collection": "history",
        "queryset_class": OwnedQuerySet,
        "strict": False,
        "auto_create_index": False,
    }

    objects = _Versions(lambda _, queryset: queryset.filter(__raw__=VERSIONS))
    """All versions; not the records beside them."""
