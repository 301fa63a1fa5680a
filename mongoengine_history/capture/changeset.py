"""Units of work: who writes inside a block, and why; or that nothing shall be recorded there."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import partial, wraps
from inspect import iscoroutinefunction
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from bson import ObjectId
from mongoengine import get_connection, get_db
from mongoengine.connection import ConnectionFailure

from mongoengine_history.documents.stand_in import USUAL_CODEC, codec_in, is_warned_of
from mongoengine_history.errors import OptionsError
from mongoengine_history.record.history import History
from mongoengine_history.record.place import Place, in_transaction, transaction
from mongoengine_history.state.revision import Context, checked, identity_of, innermost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from bson.codec_options import CodecOptions

    from mongoengine_history.documents.options import HistoryOptions


T = TypeVar("T")
F = TypeVar("F", bound="Callable[..., Any]")


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """A block that is open; without a context it is one in which nothing is recorded."""

    order: int
    context: Context | None = None


_blocks: ContextVar[tuple[_Block, ...]] = ContextVar("mongoengine_history_blocks", default=())
_orders: Final = count()
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


def changeset(
    identity: object = None, *, reason: str | None = None, atomic: bool = False, **metadata: Any
) -> Block[Changeset]:
    """
    Make what is written inside one unit of work.

    A context manager that gives the `Changeset`, and a decorator of functions, ``async`` or not.

    All revisions recorded inside share an id, and have what is said here. Blocks nest, also with
    `DocumentTrack`: inner values win, outer ones remain, and the id is that of the outermost
    block. A block holds for its thread or asyncio task, and for the tasks started inside.

    Args:
        identity: Who answers for it: a saved document, of which the primary key is kept, any BSON
            value, or something to call without arguments that returns one of these. It is called
            at each write.
        reason: Why, in words.
        atomic: Whether all writes of MongoEngine inside, and their records, happen or none of
            them. That is a transaction on the default connection: it needs PyMongo 4.17 or later
            and a replica set.
        **metadata: Anything else to keep with each revision; BSON values.

    Raises:
        OptionsError: an argument cannot be used. Nothing was read or written.
    """
    checked(identity, reason, metadata, _default_codec())  # early; each write has its own codec
    context = Context(identity_of(identity), reason, metadata)
    return Block(partial(_changeset, context, atomic=atomic))


@contextmanager
def _changeset(said: Context, *, atomic: bool) -> Iterator[Changeset]:
    outer = [block.context for block in _blocks.get() if block.context]
    shared = (outer[0].changeset if outer else None) or ObjectId()
    context = replace(said, changeset=shared)
    with _transaction() if atomic else nullcontext(), _inside(_Block(next(_orders), context)):
        yield Changeset(shared, (*outer, context))


def untracked() -> Block[None]:
    """
    Record nothing of what is written inside.

    A context manager, and a decorator of functions, ``async`` or not. It holds for its thread or
    asyncio task, and for the tasks started inside. What was written there is drift: the history
    does not know it.
    """
    return Block(lambda: _inside(_Block(next(_orders))))


def is_untracked() -> bool:
    """Say whether nothing is to be recorded now."""
    return any(block.context is None for block in _blocks.get())


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
    if provider is not None and not callable(provider):
        raise OptionsError("provider", provider, "it is called at each write, so give a function")
    _providers[:] = [] if provider is None else [provider]


def next_order() -> int:
    """Return a number that tells a block opened now from those opened before and later."""
    return next(_orders)


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
    opened = [(block.order, block.context) for block in _blocks.get() if block.context]
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
def _inside(block: _Block) -> Iterator[None]:
    _blocks.set((*_blocks.get(), block))
    try:
        yield
    finally:  # by itself, not by what was there before: blocks of generators may close in any order
        _blocks.set(tuple(other for other in _blocks.get() if other is not block))


@contextmanager
def _transaction() -> Iterator[None]:
    client = get_connection()
    if is_warned_of(client) or in_transaction(client):  # nothing of that kind has transactions
        yield
        return
    Place(History).ensure_indexes()
    with transaction(client):
        yield


def _default_codec() -> CodecOptions[Any]:
    """Return the options by which most documents are stored, to check what was said early."""
    try:
        return codec_in(get_db())
    except ConnectionFailure:  # not connected yet, or never by that name
        return USUAL_CODEC


class Block(Generic[T]):
    """
    A context manager, and a decorator whose functions each run in a block of their own.

    Python's own decorators of this kind end before an ``async def`` has begun.
    """

    def __init__(self, make: Callable[[], AbstractContextManager[T]]) -> None:
        self._make = make
        self._open: list[AbstractContextManager[T]] = []

    def __enter__(self) -> T:
        self._open.append(self._make())
        return self._open[-1].__enter__()

    def __exit__(self, *error: Any) -> None:
        self._open.pop().__exit__(*error)

    def __call__(self, function: F) -> F:
        """Let each call of *function* run inside."""
        if iscoroutinefunction(function):

            @wraps(function)
            async def awaited(*args: Any, **kwargs: Any) -> Any:
                with self._make():
                    return await function(*args, **kwargs)

            return awaited  # type: ignore[return-value]  # it takes and gives the same

        @wraps(function)
        def called(*args: Any, **kwargs: Any) -> Any:
            with self._make():
                return function(*args, **kwargs)

        return called  # type: ignore[return-value]  # it takes and gives the same
