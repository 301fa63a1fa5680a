"""Units of work: who writes inside a block, and why; or that nothing shall be recorded there."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial, wraps
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction, signature
from itertools import count
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, overload
from warnings import warn

from bson import ObjectId
from mongoengine import get_connection, get_db
from mongoengine.connection import ConnectionFailure

from mongoengine_history.documents.stand_in import USUAL_CODEC, codec_in, is_warned_of
from mongoengine_history.errors import HistoryWarning, OptionsError
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

_MEANT: Final = dict.fromkeys(("user", "author", "actor", "whodunnit", "who"), "identity")
"""What else an identity is called."""

_LATER: Final = (isgeneratorfunction, isasyncgenfunction, iscoroutinefunction)
"""What runs only after it has been called."""

_ELSEWHERE: Final = (
    "A block ended in another context than it began, so it did not hold for what was written in "
    "between. A dependency of FastAPI that yields inside a block has to be an `async def`."
)


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
            them. That is a transaction on the default connection: it needs PyMongo 4.17 or later
            and a replica set.
        **metadata: Anything else to keep with each revision; BSON values. A name like that of an
            argument that is not given, such as ``identiy`` or ``user``, is refused.

    Raises:
        OptionsError: an argument cannot be used. Nothing was read or written.
    """
    refuse_misspelt(metadata, identity=identity, reason=reason, atomic=atomic or None)
    is_alone = reason is None and not atomic and not metadata
    bare: Any = identity if is_alone and type(identity) is FunctionType else None
    if bare and not _can_be_asked(bare):  # ``@changeset`` without parentheses
        return changeset()(bare)
    checked(identity, reason, metadata, _default_codec())  # early; each write has its own codec
    context = Context(identity_of(identity), reason, metadata)
    return Block(partial(_changeset, context, atomic=atomic), bare)


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


def _can_be_asked(identity: Callable[..., object]) -> bool:
    """Say whether a function can answer who writes, called without arguments."""
    if any(kind(identity) for kind in _LATER):
        return False
    try:
        signature(identity).bind()
    except TypeError:
        return False
    return True


@contextmanager
def _changeset(said: Context, *, atomic: bool) -> Iterator[Changeset]:
    outer = [block.context for block in _blocks.get() if block.context]
    shared = (outer[0].changeset if outer else None) or ObjectId()
    context = replace(said, changeset=shared)
    with _transaction() if atomic else nullcontext(), _inside(_Block(next(_orders), context)):
        yield Changeset(shared, (*outer, context))


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
    """
    block = Block(lambda: _inside(_Block(next(_orders))))
    return block if function is None else block(function)


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

    One object may be open several times: inside itself, in many threads and tasks. Python's own
    decorators of this kind end before an ``async def`` or a generator has begun.
    """

    def __init__(
        self,
        make: Callable[[], AbstractContextManager[T]],
        bare: Callable[[], object] | None = None,
    ) -> None:
        self._make, self._bare = make, bare
        self._open: dict[_Block, AbstractContextManager[T]] = {}

    def __enter__(self) -> T:
        manager = self._make()
        given = manager.__enter__()
        self._open[_blocks.get()[-1]] = manager
        return given

    def __exit__(self, *error: Any) -> None:
        own = [block for block in _blocks.get() if block in self._open]
        if not own:  # a framework began it in a thread, and ends it in another one
            own = [*self._open]
            warn(_ELSEWHERE, HistoryWarning, stacklevel=2)
        self._open.pop(own[-1]).__exit__(*error)

    @overload
    def __call__(self) -> Any: ...
    @overload
    def __call__(self, function: F) -> F: ...
    def __call__(self, function: Any = None) -> Any:
        """
        Let each call of *function* run inside; of a generator each step, not what is in between.

        Raises:
            OptionsError: it is nothing to call, a class, or a generator in a transaction.
        """
        if function is None and self._bare:  # ``@changeset`` without parentheses
            return changeset()(self._bare)()
        if isinstance(function, staticmethod | classmethod):
            return type(function)(self(function.__func__))
        if isinstance(function, type) or not callable(function):
            raise OptionsError("function", function, "decorate a function or a method")
        own = getattr(function, "__call__", function)  # noqa: B004  # an object may be async, too
        for kind, wrap in zip(_LATER, (self._steps, self._async_steps, self._async), strict=True):
            if kind(function) or kind(own):
                return wrap(function)
        return self._plain(function)

    def _plain(self, function: Any) -> Any:
        @wraps(function, updated=())
        def called(*args: Any, **kwargs: Any) -> Any:
            with self._make():
                return function(*args, **kwargs)

        return called

    def _async(self, function: Any) -> Any:
        @wraps(function, updated=())
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            with self._make():
                return await function(*args, **kwargs)

        return awaited

    def _steps(self, function: Any) -> Any:
        self._refuse_atomic()

        @wraps(function, updated=())
        def stepped(*args: Any, **kwargs: Any) -> Any:
            block, steps = self._unit(), function(*args, **kwargs)
            step = partial(next, steps)
            while True:
                try:
                    with _inside(block):
                        value = step()
                except StopIteration as done:
                    return done.value
                try:
                    step = partial(steps.send, (yield value))
                except GeneratorExit:
                    with _inside(block):
                        steps.close()
                    raise
                except BaseException as error:
                    step = partial(steps.throw, error)

        return stepped

    def _async_steps(self, function: Any) -> Any:
        self._refuse_atomic()

        @wraps(function, updated=())
        async def stepped(*args: Any, **kwargs: Any) -> Any:
            block, steps = self._unit(), function(*args, **kwargs)
            step = steps.__anext__
            while True:
                try:
                    with _inside(block):
                        value = await step()
                except StopAsyncIteration:
                    return
                try:
                    step = partial(steps.asend, (yield value))
                except GeneratorExit:
                    with _inside(block):
                        await steps.aclose()
                    raise
                except BaseException as error:
                    step = partial(steps.athrow, error)

        return stepped

    def _unit(self) -> _Block:
        """Return one block for all steps of a generator."""
        with self._make():
            return _blocks.get()[-1]

    def _refuse_atomic(self) -> None:
        if getattr(self._make, "keywords", {}).get("atomic"):
            raise OptionsError(
                "atomic", True, "no transaction can wait for a generator's next step"
            )
