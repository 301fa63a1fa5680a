"""Where the documents of a class and their history lie: collections, session, indexes."""

from __future__ import annotations

from contextlib import nullcontext
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from bson.raw_bson import RawBSONDocument
from pymongo import ASCENDING, ReadPreference, WriteConcern
from pymongo.collection import Collection
from pymongo.errors import ExecutionTimeout, OperationFailure, WTimeoutError
from pymongo.read_concern import ReadConcern

from mongoengine_history.documents.fieldpaths import hiding_of, volatile_of
from mongoengine_history.documents.formerly import names_of, one_of
from mongoengine_history.documents.options import HistoryOptions, options_of
from mongoengine_history.documents.renamed import under_new_names
from mongoengine_history.documents.snapshot import check_id
from mongoengine_history.documents.stand_in import check_real
from mongoengine_history.errors import IndexesMissingError, OptionsError
from mongoengine_history.record.history import History, kept_by
from mongoengine_history.record.indexes import BY_REVISION, create_indexes
from mongoengine_history.record.neighbours import check_apart, check_database, claim
from mongoengine_history.record.sealed import is_decrypting, sealed_collection
from mongoengine_history.record.sessions import APART, active_session
from mongoengine_history.state.rules import CLASS
from mongoengine_history.state.values import WIRE, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from mongoengine import Document
    from pymongo import MongoClient
    from pymongo.client_session import ClientSession
    from pymongo.database import Database

    from mongoengine_history.state.hiding import Hiding

PRIMARY: Final = ReadPreference.PRIMARY
"""Where to read: a secondary may not know the newest revision yet …"""

LOCAL: Final = ReadConcern("local")
"""… and what: what was written last, be it on the majority of the servers or not."""

PATIENCE: Final = 5_000
"""Milliseconds to wait for an index inside a transaction."""

LIES_IN_HISTORY: Final = (
    "it lies in the collection of its own history. Put the records elsewhere: track_history("
    "history=…) with a class derived from BaseHistory"
)
"""Why a class cannot be recorded where its documents lie."""

OTHER_CLIENT: Final = (
    "the history lies on another connection (db_alias), which can join none of its sessions. Do it "
    "outside of the session, or in an untracked() block"
)
"""Why a history on another connection has no sessions."""

BAD_HINT: Final = (2, 27)
"""How the server says that there is no such index, or that there are several."""

UNAUTHORIZED: Final = 13

indexed: WeakKeyDictionary[MongoClient[Any], set[str]] = WeakKeyDictionary()
"""The histories of which this process knows that they have their indexes."""


class Place:
    """
    Where documents of one class and their history lie, and how they are read there.

    Args:
        model: The class, or a document, which may have been switched to another collection.
        collection: Where they lie, if not where *model* says.
        session: The one to read and write in, if not the one that is active.

    Raises:
        OptionsError: the collection only stands in for PyMongo's, so it has no history; or its
            client encrypts, or decrypts and a session of it is active; or the history lies
            elsewhere and keeps the documents of another database.
    """

    def __init__(
        self,
        model: Document | type[Document],
        collection: Collection[Any] | None = None,
        session: ClientSession | None = None,
    ) -> None:
        collection = model._get_collection() if collection is None else collection
        check_real(model, collection)
        check_id(model)
        _check_session(collection.database.client, session)
        self._collection, self._session = sealed_collection(collection), session
        self.client: MongoClient[Any] = self._collection.database.client
        #: The one of the application, which may decrypt what it reads.
        self.connection: MongoClient[Any] = collection.database.client
        self.database: str = collection.database.name
        self.document_type: str = collection.name
        self.class_name: str = model._class_name
        self.model = model if isinstance(model, type) else type(model)
        self.options: HistoryOptions = options_of(model)
        self._kept_by = kept_by(model)
        self.hiding = hiding_of(model)
        self._check_history(model)

    @cached_property
    def volatile(self) -> Hiding:
        """What goes on by itself in the documents, whatever is taken back."""
        return volatile_of(self.model)

    def revealed(self, state: State, live: State | None) -> State:
        """Return an earlier state with what is hidden as *live* has it, by the names of today."""
        model = self.model
        return self.hiding.revealed(
            under_new_names(model, state), live and under_new_names(model, live)
        )

    @cached_property
    def documents(self) -> Collection[State]:
        """The collection of the documents: PyMongo's own, whatever class the application has."""
        return Collection.with_options(self._collection, self.wire, PRIMARY, read_concern=LOCAL)

    def stored(self, key: object) -> bytes | None:
        """Read a document as it is stored now, to the byte; None if it is not."""
        codec: Any = self.codec.with_options(document_class=RawBSONDocument)
        raw: Any = Collection.with_options(self.documents, codec)
        found = raw.find_one({"_id": {"$eq": key}}, session=self.session)
        return None if found is None else bytes(found.raw)

    @property
    def wire(self) -> Any:
        """How documents are read exactly; what is no UTF-8 as the application has it."""
        handler = self.codec.unicode_decode_error_handler
        is_strict = handler in {None, "strict"}
        return WIRE if is_strict else WIRE.with_options(unicode_decode_error_handler=handler)

    @cached_property
    def history(self) -> Collection[State]:
        """The collection of the history."""
        kept = sealed_collection(self._kept_by.beside(self._collection.database))
        concern = None if kept.write_concern.acknowledged else WriteConcern(w=1)
        history = Collection.with_options(kept, WIRE, PRIMARY, concern, LOCAL)
        if self._kept_by.kept_at:
            check_database(history, self.database)
        return history

    def beside(self, suffix: str) -> Collection[Any]:
        """Return a collection beside the history, whose name has a *suffix*, and is read alike."""
        own = self.history
        options = own.codec_options, own.read_preference, own.write_concern, own.read_concern
        return Collection(own.database, f"{own.name}{suffix}", False, *options)

    def _check_history(self, model: Document | type[Document]) -> None:
        """Raise an OptionsError where documents and their history lie in each other's way."""
        if self.history == self._collection and not getattr(model, "_is_history", False):
            raise OptionsError("document", model, LIES_IN_HISTORY)
        if self.history.database.client is not self.client and self.session:
            raise OptionsError("session", "active", OTHER_CLIENT)

    @property
    def codec(self) -> Any:
        """The options by which the application reads the documents."""
        return self._collection.codec_options

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names that the collection has, and had: records of before are under those."""
        return names_of(self.model, self.document_type)

    def owner(self, key: Any) -> dict[str, Any]:
        """Return the fields that say whose a new record is: of the document with a primary key."""
        return {"document_type": self.document_type, "document_id": key}

    def owned(self, which: Any) -> dict[str, Any]:
        """Return the condition that a record belongs to *which* documents, by their keys."""
        return {"document_type": one_of(self.names), "document_id": which}

    def of(self, keys: Iterable[Any]) -> dict[str, Any]:
        """Return the condition that a record belongs to one of some documents."""
        return self.owned({"$in": list(keys)})

    @property
    def session(self) -> Any:
        """The session to read and write in, if there is one."""
        return self._session or active_session(self.client)

    def dated(self) -> AbstractContextManager[Any]:
        """Give the session, or one for the block, which tells when the server has answered."""
        return nullcontext(self.session) if self.session else self.client.start_session()

    @property
    def in_transaction(self) -> bool:
        """Say whether reads and writes are part of a transaction now."""
        session = self.session
        return session is not None and session.in_transaction

    def find(
        self,
        index: tuple[str, ...],
        query: Mapping[str, Any],
        order: int = ASCENDING,
        codec: Any = WIRE,
        **options: Any,
    ) -> Iterator[Mapping[str, Any]]:
        """Read the history by an index, in its order; where it is missing, the server chooses."""
        history = self.history.with_options(codec_options=codec)
        options = {"sort": [(name, order) for name in index], "session": self.session, **options}

        def find(**hint: Any) -> Iterator[Any]:
            return _all_of(history.find(query, **options, **hint), options.get("batch_size"))

        yield from self._hinted(find, [(name, ASCENDING) for name in index])

    def aggregate(self, pipeline: list[dict[str, Any]], **options: Any) -> list[dict[str, Any]]:
        """Aggregate by the index of revisions; where it is missing, the server chooses."""
        aggregate = partial(self.history.aggregate, pipeline, session=self.session, **options)
        return list(self._hinted(aggregate, dict.fromkeys(BY_REVISION, ASCENDING)))

    def _hinted(self, read: Callable[..., Iterable[Any]], hint: object) -> Iterator[Any]:
        """Read by an index; by any where it is missing, or a majority does not have it yet."""
        try:
            yield from read(hint=hint)
        except OperationFailure as error:
            if error.code not in BAD_HINT:
                raise
            self._make_indexes_again(error)
            yield from read()

    def clear(self, query: Mapping[str, Any]) -> bool:
        """Remove documents of the history; False for a user who may only find and insert."""
        try:
            self.history.delete_many(query, session=self.session)
        except OperationFailure as error:
            if error.code != UNAUTHORIZED or self.in_transaction:
                raise
            return False
        return True

    def _make_indexes_again(self, error: OperationFailure) -> None:
        """Create the indexes that somebody dropped; a transaction is over by the *error*."""
        indexed.get(self.history.database.client, set()).discard(self.history.full_name)
        if self.in_transaction:
            raise IndexesMissingError(self.database) from error
        self.ensure_indexes()

    def ensure_indexes(self) -> None:
        """
        Create the indexes of the history, once per database and process; in no transaction.

        Raises:
            IndexesMissingError: a transaction is active that uses the history already.
            OptionsError: a class of the application lies there, too.
        """
        client, name = self.history.database.client, self.history.full_name
        done = indexed.setdefault(client, set())
        if name in done:
            return
        check_apart(self.model)
        # Outside a transaction an index may take its time; inside it may wait for that very one.
        limit: Any = {"maxTimeMS": PATIENCE} if self.in_transaction else {}
        try:
            with client.start_session() as apart:
                self._create_indexes(apart, limit)
        except (ExecutionTimeout, WTimeoutError) as error:  # of the index, or of its journal
            raise IndexesMissingError(self.database) from error
        except OperationFailure as error:  # whoever may not make them finds those of a deployment
            if error.code != UNAUTHORIZED:
                raise
            self._check_indexes()
        if self._kept_by.kept_at:
            claim(self.history, self.database)
        done.add(name)

    def _check_indexes(self) -> None:
        """Raise an IndexesMissingError where records were written without an index."""
        hint, database = dict.fromkeys(BY_REVISION, ASCENDING), self.history.database
        try:  # explained, since where there is no collection any hint is taken
            plan = database.command("explain", {"find": self.history.name, "hint": hint})
        except OperationFailure as error:
            raise IndexesMissingError(self.database) from error
        if "IXSCAN" not in str(plan["queryPlanner"]):
            raise IndexesMissingError(self.database)

    def _create_indexes(self, session: Any, limit: Any) -> None:
        history = self.history.with_options(write_concern=WriteConcern(w=1))  # one has them: enough
        create_indexes(history, session=session, **limit)


def place_of_events(database: Database[Any]) -> Place:
    """Return where histories lie that belong to no document: no collection has an empty name."""
    place = Place(History, History.beside(database))
    place.document_type = ""
    return place


def _all_of(cursor: Any, size: int | None) -> Iterator[Mapping[str, Any]]:
    """Take documents out of a cursor, *size* at once where PyMongo can: 4.9 or later."""
    if size is None or not hasattr(cursor, "to_list"):
        yield from cursor
        return
    while documents := cursor.to_list(size):
        yield from documents


def projection(names: set[str] | None) -> dict[str, int] | None:
    """
    Return what to read, None for all; no projection can name nothing, or what begins with $.

    The class is read with it, since it says what is hidden.
    """
    if not names or any(not name or name.startswith("$") for name in names):
        return None
    return dict.fromkeys([*names, CLASS], 1)


def _check_session(client: MongoClient[Any], session: ClientSession | None) -> None:
    """Raise an OptionsError where the history is read and written past an active session."""
    if is_decrypting(client) and (session or active_session(client)):
        raise OptionsError("session", "active", APART)
