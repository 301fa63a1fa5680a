"""Units of work: who writes inside a block, and why; or that nothing shall be recorded there."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial, update_wrapper
from inspect import isfunction, signature
from types import MethodType
from typing import TYPE_CHECKING, Any, Concatenate, Final, Generic, ParamSpec, TypeVar, overload

from bson import ObjectId
from mongoengine import DEFAULT_CONNECTION_NAME, connection, get_connection, get_db

from mongoengine_history.capture.blocks import Block, said_now
from mongoengine_history.capture.decorated import runs_later
from mongoengine_history.documents.options import is_to_ask
from mongoengine_history.documents.stand_in import USUAL_CODEC, codec_in, is_warned_of
from mongoengine_history.errors import OptionsError
from mongoengine_history.record.connected import connected
from mongoengine_history.record.history import History
from mongoengine_history.record.place import Place
from mongoengine_history.record.sessions import (
    check_transactions,
    in_transaction,
    transaction,
)
from mongoengine_history.state.context import Context, checked, identity_of, innermost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from bson.codec_options import CodecOptions
    from typing_extensions import Never, Self

    from mongoengine_history.documents.options import HistoryOptions


P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
S = TypeVar("S")
F = TypeVar("F", bound="Callable[..., Any]")

_MEANT: Final = dict.fromkeys(("user", "author", "actor", "whodunnit", "who"), "identity")
"""What else an identity is called."""

NESTED: Final = (
    "a transaction is open already, and MongoDB has none inside of another; leave it out, and the "
    "block is part of the open one: what fails inside must not be caught before that ends"
)

_providers: Final[list[Callable[[], object]]] = []


@dataclass(frozen=True, slots=True)
class Changeset:
    """One unit of work: what all revisions written inside its block share."""

    #: Stored as `changeset` with each of them. Blocks inside of another one have its id.
    id: ObjectId
    _contexts: tuple[Context, ...]

    @property
    def identity(self) -> Any:
        """Who answers for it; an identity to be called is asked anew each time."""
        return innermost(self._contexts).identity

    @property
    def reason(self) -> str | None:
        """Why, in words."""
        return innermost(self._contexts).reason

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Anything else that was said, also by the blocks around."""
        return innermost(self._contexts).metadata


class Unit(Block[Changeset], Generic[P, R]):
    """
    The block of a changeset, and of a bare function what runs it: its use tells which.

    ``changeset(function)`` asks it who answers, ``@changeset`` runs it.
    """

    def __init__(
        self,
        said: Context,
        around: Callable[[], AbstractContextManager[None]] | None = None,
        function: Callable[..., Any] | None = None,
    ) -> None:
        super().__init__(partial(_say, said), around)
        self._run = function and Unit[..., Any](Context())(function)
        if function:
            update_wrapper(self, function)

    @overload
    def __call__(  # type: ignore[overload-overlap]  # what is run comes before what is decorated
        self, *args: P.args, **kwargs: P.kwargs
    ) -> R: ...
    @overload
    def __call__(self, function: F, /) -> F: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Decorate the one function that is given, or run its own."""
        if self._run is None or (len(args) == 1 and callable(args[0]) and not kwargs):
            return super().__call__(*args, **kwargs)
        return self._run(*args, **kwargs)

    @overload
    def __get__(self, owner: None, model: type) -> Self: ...
    @overload
    def __get__(self: Unit[[Never], Never], owner: object, model: type) -> Unit[[Never], Never]: ...
    @overload
    def __get__(self: Unit[Concatenate[S, Q], R], owner: S, model: type) -> Callable[Q, R]: ...
    def __get__(self, owner: Any, model: type) -> Any:
        """Be a method, if a bare function of a class takes anything."""
        return self if owner is None or self._run is None else MethodType(self, owner)


@overload
def changeset(  # type: ignore[overload-overlap]  # a function is an object, too
    identity: Callable[P, R], /
) -> Unit[P, R]: ...
@overload
def changeset(
    identity: object = None,
    *,
    reason: str | None = None,
    atomic: bool | str = False,
    **metadata: Any,
) -> Unit[[Never], Never]: ...
def changeset(
    identity: object = None,
    *,
    reason: str | None = None,
    atomic: bool | str = False,
    **metadata: Any,
) -> Any:
    """
    Make what is written inside one unit of work.

    A context manager that gives the `Changeset`, and a decorator of functions, ``async`` and
    generators or not, also without parentheses. The object may be used again, inside itself and in
    many threads.

    All revisions recorded inside share an id, and have what is said here. Blocks nest, also with
    `DocumentTrack`: inner values win, outer ones remain, and the id is that of the outermost
    block. A block holds for its thread or asyncio task, and for the tasks started inside.

    Args:
        identity: Who answers for it: a saved document, of which the primary key is kept, any BSON
            value, or something to call without arguments that returns one of these. It is called
            at each write.
        reason: Why, in words.
        atomic: Whether all writes of MongoEngine inside, and their records, happen or none of
            them. That is a transaction on the default connection, or on the one whose alias is
            given: it needs PyMongo 4.17 or later and a replica set. There is none inside another.
        **metadata: Anything else to keep with each revision; BSON values. A name like that of an
            argument that is not given, such as ``identiy`` or ``user``, is refused.

    Raises:
        OptionsError: an argument cannot be used; raised by ``with``, that there can be no
            transaction. Nothing was read or written.
    """
    if not isinstance(atomic, (bool, str)):
        raise OptionsError("atomic", atomic, "it must be True, False or the alias of a connection")
    refuse_misspelt(metadata, identity=identity, reason=reason, atomic=atomic or None)
    checked(identity, reason, metadata, _default_codec())  # early; each write has its own codec
    if isfunction(identity) and reason is None and not (atomic or metadata):
        return _bare(identity)
    context = Context(identity_of(identity), reason, metadata)
    return Unit(context, partial(_transaction, atomic) if atomic else None)


def refuse_misspelt(metadata: Mapping[str, Any], **arguments: object) -> None:
    """
    Refuse names of metadata that are meant for one of *arguments* that was not given.

    Raises:
        OptionsError: a name is nearly that of an argument, or another word for the identity.
    """
    missing = [name for name, value in arguments.items() if value is None]
    for name in metadata:
        near = get_close_matches(name.lower(), missing, 1, cutoff=0.82)
        near = [it for it in near if it[0] == name[0].lower()]  # a season is no reason
        meant = near or [it for it in missing if it == _MEANT.get(name.lower())]
        if meant:
            problem = f"did you mean {meant[0]}=…? As metadata it needs another name"
            raise OptionsError(name, metadata[name], problem)


def _bare(function: Any) -> Any:
    """Decorate a function, or make a block of it if it may be asked who answers."""
    if runs_later(function) or not _takes_nothing(function):
        return Unit(Context())(function)
    return Unit(Context(function), function=function)


def _takes_nothing(function: Callable[..., Any]) -> bool:
    try:
        signature(function).bind()
    except TypeError:
        return False
    return True


def _say(said: Context) -> tuple[Context, Changeset]:
    outer = [context for _, context in said_now()]
    shared = (outer[0].changeset if outer else None) or ObjectId()
    context = replace(said, changeset=shared)
    return context, Changeset(shared, (*outer, context))


@overload
def untracked() -> Block[None]: ...
@overload
def untracked(function: F) -> F: ...
def untracked(function: F | None = None) -> Block[None] | F:
    """
    Record nothing of what is written inside.

    A context manager, and a decorator as `changeset` is. It holds for its thread or asyncio task,
    and for the tasks started inside. What was written there is drift: the history does not know
    it.

    Args:
        function: What is decorated, where nothing stands in brackets behind ``@untracked``.

    Raises:
        OptionsError: it is no function or method.
    """
    block = Block(lambda: (None, None))
    return block if function is None else block(function)


def set_identity_provider(provider: Callable[[], object] | None) -> None:
    """
    Say who answers for a write where nobody else says so, in all threads of the process.

    Args:
        provider: Is called at each write without arguments, and returns what `changeset` takes as
            an identity or None. What it raises, the write raises, before anything is written. None
            takes the last one away.

    Raises:
        OptionsError: it cannot be called.
    """
    if not (provider is None or is_to_ask(provider)):
        raise OptionsError("provider", provider, "it is called at each write, so give a function")
    _providers[:] = [] if provider is None else [provider]


def context_of(
    options: HistoryOptions,
    codec: CodecOptions[Any],
    blocks: Iterable[tuple[int, Context]] = (),
    said: Mapping[str, Any] | None = None,
) -> Context:
    """
    Return who answers for a write now, and why, by the open blocks of its document, too.

    What was *said* are the ``signal_kwargs`` of a save; ``identity`` and ``reason`` win over all.

    Raises:
        OptionsError: something that was said cannot be stored.
    """
    said = said or {}
    opened = said_now()
    ordered = sorted([*blocks, *opened], key=lambda pair: pair[0])
    contexts = [context for _, context in ordered]
    providers = [options.identity, *_providers]
    merged = innermost(contexts, [] if "identity" in said else providers)
    identity = identity_of(said.get("identity", merged.identity))
    if "identity" in said and callable(identity):
        identity = identity()
    context = checked(identity, said.get("reason", merged.reason), merged.metadata, codec)
    if callable(context.identity):
        raise OptionsError("identity", identity, "who is asked must not name somebody to ask")
    return replace(context, changeset=opened[0][1].changeset if opened else None)


@contextmanager
def _transaction(atomic: bool | str) -> Iterator[None]:
    alias = atomic if isinstance(atomic, str) else _usual_alias()
    client = get_connection(alias)
    if is_warned_of(client):  # nothing of that kind has transactions
        yield
        return
    if in_transaction(client):
        raise OptionsError("atomic", atomic, NESTED)
    check_transactions(client)
    Place(History, History.beside(get_db(alias))).ensure_indexes()
    with transaction(client):
        yield


def _usual_alias() -> str:
    """Return the default connection, or where there is none, the only one."""
    known: list[str] = list(connection._connection_settings)
    if DEFAULT_CONNECTION_NAME in known or not known:
        return "default"
    if len({id(get_connection(alias)) for alias in known}) != 1:
        raise OptionsError("atomic", True, "there is no default connection: name one by its alias")
    return known[0]


def _default_codec() -> CodecOptions[Any]:
    """Return the options by which most documents are stored, to check what was said early."""
    database = connected(DEFAULT_CONNECTION_NAME)
    return USUAL_CODEC if database is None else codec_in(database)
