"""Where a document and its history lie: collections, primary key, session, indexes."""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from pymongo import ReadPreference
from pymongo.errors import ExecutionTimeout, OperationFailure, WTimeoutError

from mongoengine_history.errors import IndexesMissingError
from mongoengine_history.fieldpaths import hiding_of
from mongoengine_history.keys import key_in
from mongoengine_history.options import HistoryOptions, options_of
from mongoengine_history.records import INDEXES, History
from mongoengine_history.sessions import active_session, in_transaction
from mongoengine_history.values import WIRE, State, encode, wire

if TYPE_CHECKING:
    from mongoengine import Document
    from pymongo import MongoClient
    from pymongo.collection import Collection

PRIMARY: Final = ReadPreference.PRIMARY
"""Where to read: a secondary may not know the newest revision yet."""

PATIENCE: Final = 5_000
"""Milliseconds to wait for an index inside a transaction."""

CONFLICTING_INDEX: Final = (85, 86)

indexed: WeakKeyDictionary[MongoClient[Any], set[str]] = WeakKeyDictionary()
"""The databases of which this process knows that their history has its indexes."""


class Place:
    """
    One document and its history in the database.

    Args:
        document: The document, or its class if *pk* is given.
        pk: The primary key as it is stored; that of *document* by default.
        collection: Where it lies, if not where documents of its class lie now.
    """

    def __init__(
        self,
        document: Document | type[Document],
        pk: object = None,
        collection: Collection[Any] | None = None,
    ) -> None:
        collection = document._get_collection() if collection is None else collection
        if pk is None:
            pk = key_in(document)
        self._collection = collection
        self.client: MongoClient[Any] = collection.database.client
        self.database: str = collection.database.name
        self.options: HistoryOptions = options_of(document)
        self.hiding = hiding_of(document)
        self.document_type: str = collection.name
        self.document_id = wire({"_id": pk}, collection.codec_options)["_id"]

    @cached_property
    def documents(self) -> Collection[State]:
        """The collection that the document lies in."""
        return self._collection.with_options(codec_options=WIRE, read_preference=PRIMARY)

    @cached_property
    def history(self) -> Collection[State]:
        """The collection of the history."""
        name = History._get_collection_name()
        return self._collection.database.get_collection(
            name, codec_options=self.reading, read_preference=PRIMARY
        )

    @property
    def reading(self) -> Any:
        """The codec options by which the history is read."""
        return WIRE

    @property
    def codec(self) -> Any:
        """The options by which the application reads the document."""
        return self._collection.codec_options

    @cached_property
    def address(self) -> tuple[object, str, str, bytes]:
        """Name the document for comparisons: server, database, collection, primary key."""
        return self.client, self.database, self.document_type, encode(self.document_id)

    @property
    def owner(self) -> dict[str, Any]:
        """The fields that say whose record it is."""
        return {"document_type": self.document_type, "document_id": self.document_id}

    @property
    def mine(self) -> dict[str, Any]:
        """The condition that a record belongs to this document."""
        return {"document_type": self.document_type, "document_id": {"$eq": self.document_id}}

    @property
    def session(self) -> Any:
        """The session to read and write in, if one is active."""
        return active_session(self.client)

    @property
    def in_transaction(self) -> bool:
        """Say whether reads and writes are part of a transaction now."""
        return in_transaction(self.client)

    def ensure_indexes(self) -> None:
        """
        Create the indexes of the history, once per database and process; in no transaction.

        Raises:
            IndexesMissingError: a transaction is active that uses the history already.
        """
        done = indexed.setdefault(self.client, set())
        if self.database in done:
            return
        # Outside a transaction an index may take its time; inside it may wait for that very one.
        limit: Any = {"maxTimeMS": PATIENCE} if self.in_transaction else {}
        try:
            with self.client.start_session() as apart:
                self._create_indexes(apart, limit)
        except (ExecutionTimeout, WTimeoutError) as error:  # of the index, or of its journal
            raise IndexesMissingError(self.database) from error
        done.add(self.database)

    def _create_indexes(self, session: Any, limit: Any) -> None:
        try:
            self.history.create_indexes(INDEXES, session=session, **limit)
        except OperationFailure as error:
            if error.code not in CONFLICTING_INDEX:
                raise
            # The application has one on the same keys under its own name, which serves as well.
            unique, *others = INDEXES
            self.history.create_indexes([unique], session=session, **limit)
            for index in others:
                with suppress(OperationFailure):
                    self.history.create_indexes([index], session=session, **limit)
