"""Classes of which all writes are recorded: `track_history` puts something in front of methods."""

from __future__ import annotations

from functools import partial, wraps
from inspect import getattr_static
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from mongoengine import Document, signals
from pymongo.collection import Collection

from mongoengine_history.capture.collection import RecordingCollection
from mongoengine_history.capture.fronts import FRONTS, can_record
from mongoengine_history.capture.tracker import Tracker
from mongoengine_history.documents.fieldpaths import check_rules
from mongoengine_history.documents.fieldrules import concrete, with_subclasses
from mongoengine_history.documents.formerly import check_names
from mongoengine_history.documents.options import (
    NOT_GIVEN,
    OPTIONS_ATTRIBUTE,
    HistoryOptions,
    is_tracked,
)
from mongoengine_history.documents.snapshot import check_id
from mongoengine_history.errors import HistoryNotRecordedError, OptionsError
from mongoengine_history.record.history import alias_of, kept_by
from mongoengine_history.record.neighbours import check_apart
from mongoengine_history.record.place import LIES_IN_HISTORY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import timedelta

    from mongoengine_history.record.history import BaseHistory

M = TypeVar("M", bound=type[Document])

_covers: Final[dict[type[Document], list[_Cover]]] = {}


class _Cover:
    """
    Stands in front of a method of a class, also for subclasses, those made later included.

    *front* is called with the method beneath, with what that belongs to, and the arguments.
    """

    def __init__(self, model: type[Document], name: str, front: Callable[..., Any]) -> None:
        self._model, self._name = model, name
        #: What the class itself has there; None where it inherits.
        self._own = model.__dict__.get(name)
        method = getattr(model, name)
        is_static = isinstance(getattr_static(model, name), staticmethod)
        is_of_class = is_static or getattr(method, "__self__", None) is model

        @wraps(method)
        def covering(target: Any, *args: Any, **kwargs: Any) -> Any:
            return front(self._beneath(target), target, *args, **kwargs)

        setattr(model, name, classmethod(covering) if is_of_class else covering)

    def _beneath(self, target: Any) -> Any:
        if self._own is None:
            return getattr(super(self._model, target), self._name)
        is_class = isinstance(target, type)
        return self._own.__get__(None if is_class else target, target if is_class else type(target))

    def take_off(self) -> None:
        """Leave the class as it was."""
        if self._own is None:
            delattr(self._model, self._name)
        else:
            setattr(self._model, self._name, self._own)


@overload
def track_history(
    cls: M,
    *,
    exclude: Iterable[str] = ...,
    mask: Iterable[str] = ...,
    volatile: Iterable[str] = ...,
    fingerprint_key: bytes | None = ...,
    checksum_key: bytes | None = ...,
    version_every: int = ...,
    identity: Callable[[], object] | None = ...,
    strict: bool = ...,
    reason_required: bool = ...,
    renamed: Mapping[str, str] = ...,
    formerly: Iterable[str] = ...,
    on_error: str | Callable[[HistoryNotRecordedError], object] = ...,
    history: type[BaseHistory] = ...,
    keep: int | None = ...,
    keep_for: timedelta | None = ...,
) -> M: ...
@overload
def track_history(
    cls: None = None,
    *,
    exclude: Iterable[str] = ...,
    mask: Iterable[str] = ...,
    volatile: Iterable[str] = ...,
    fingerprint_key: bytes | None = ...,
    checksum_key: bytes | None = ...,
    version_every: int = ...,
    identity: Callable[[], object] | None = ...,
    strict: bool = ...,
    reason_required: bool = ...,
    renamed: Mapping[str, str] = ...,
    formerly: Iterable[str] = ...,
    on_error: str | Callable[[HistoryNotRecordedError], object] = ...,
    history: type[BaseHistory] = ...,
    keep: int | None = ...,
    keep_for: timedelta | None = ...,
) -> Callable[[M], M]: ...
def track_history(  # noqa: PLR0913  # each option has its name, only the class has a place
    cls: M | None = None,
    *,
    exclude: Iterable[str] = NOT_GIVEN,
    mask: Iterable[str] = NOT_GIVEN,
    volatile: Iterable[str] = NOT_GIVEN,
    fingerprint_key: bytes | None = NOT_GIVEN,
    checksum_key: bytes | None = NOT_GIVEN,
    version_every: int = NOT_GIVEN,
    identity: Callable[[], object] | None = NOT_GIVEN,
    strict: bool = NOT_GIVEN,
    reason_required: bool = NOT_GIVEN,
    renamed: Mapping[str, str] = NOT_GIVEN,
    formerly: Iterable[str] = NOT_GIVEN,
    on_error: str | Callable[[HistoryNotRecordedError], object] = NOT_GIVEN,
    history: type[BaseHistory] = NOT_GIVEN,
    keep: int | None = NOT_GIVEN,
    keep_for: timedelta | None = NOT_GIVEN,
) -> Any:
    """
    Record each write to a class of documents and its subclasses, those made later included.

    A decorator, plain or with options; or called with a class. Recorded are saves and deletions,
    writes by queries, inserts of many, and what delete rules do. Who answers for a write is said by
    `changeset`, `DocumentTrack` or ``save(signal_kwargs=…)``. Loading a document costs nothing.
    Below a tracked base, time series are left as they are. So are collections that only stand in
    for PyMongo's (mongomock), with one HistoryWarning.

    The same options may stand in ``meta = {"history": {…}}`` of the class, of a base or of a
    subclass: paths add up, of any other option the nearest class counts.

    Args:
        cls: A class of documents. An abstract base tracks all below it, even ``Document`` itself.
        exclude: Dotted paths, by names of attributes, that are never stored; ``*`` is any item of a
            list or any key. A change of nothing else is no revision.
        mask: Dotted paths of which is stored that they changed, but no value.
        volatile: Dotted paths that go on by themselves, such as the time of the last change or a
            counter: they are recorded, but never in the way of `undo`, `revert` and
            `revert_changeset`, which leave them as they are.
        fingerprint_key: 16 bytes or more. With it masked values get a keyed fingerprint, by which
            equal ones are recognised.
        checksum_key: 16 bytes or more. With it nobody else can make the checksums of revisions.
        version_every: A full state is kept with every so many revisions: 1 keeps each one, 0 none;
            100 if nothing is said.
        identity: Is called at each write for which nobody else says who answers.
        strict: Whether a write that cannot be recorded exactly is refused; False if nothing is
            said.
        reason_required: Whether the history browser, the admins and the command line lead
            documents back, and erase from their histories, only with a reason; False if nothing is
            said.
        renamed: Names stored before, of top-level fields and of classes (``_cls``), and those of
            today, under which the past is loaded: ``{"old": "new"}``.
        formerly: Names that the collection had before: what was recorded under them is the history
            of its documents, which goes on.
        on_error: What happens where records could not be written: ``raise`` a
            HistoryNotRecordedError, as if nothing is said, ``log`` one, or what is called with it,
            such as `spool`; what raises there is logged, and the error raised.
        history: The class of the records, derived from `BaseHistory`: its collection and, if it
            says one, its ``db_alias`` are where they are kept; `History` if nothing is said.
        keep: How many revisions of each document `prune` keeps at least, if it is not told.
        keep_for: For how long it keeps them; both do nothing by themselves.

    Returns:
        The class, or the decorator.

    Raises:
        OptionsError: an option cannot be used or contradicts one in a ``meta``, or the class, a
            base or a subclass is tracked.
    """
    said: dict[str, Any] = {
        "exclude": exclude,
        "mask": mask,
        "volatile": volatile,
        "fingerprint_key": fingerprint_key,
        "checksum_key": checksum_key,
        "version_every": version_every,
        "identity": identity,
        "strict": strict,
        "reason_required": reason_required,
        "renamed": renamed,
        "formerly": formerly,
        "on_error": on_error,
        "history": history,
        "keep": keep,
        "keep_for": keep_for,
    }
    given = {name: value for name, value in said.items() if value is not NOT_GIVEN}
    checked = HistoryOptions(**given)
    given |= {name: getattr(checked, name) for name in given}  # paths may have come by a generator
    return partial(_track, given=given) if cls is None else _track(cls, given=given)


def untrack_history(cls: type[Document]) -> None:
    """
    Record writes to a class no more. What was recorded stays.

    Args:
        cls: A class that `track_history` was called for.

    Raises:
        OptionsError: it was not.
    """
    if not isinstance(cls, type) or cls not in _covers:
        raise OptionsError("cls", cls, "track_history was not called for this class")
    for cover in _covers.pop(cls):
        cover.take_off()
    delattr(cls, OPTIONS_ATTRIBUTE)
    for model in with_subclasses(cls):
        if isinstance(model.__dict__.get("_collection"), RecordingCollection):
            model._collection = None  # MongoEngine gets it anew


def _track(cls: M, given: dict[str, Any]) -> M:
    _check(cls)
    setattr(cls, OPTIONS_ATTRIBUTE, given)
    try:
        check_rules(cls)
        _check_collection(cls)
    except OptionsError:
        delattr(cls, OPTIONS_ATTRIBUTE)
        raise
    fronts = {name: front for name, front in FRONTS.items() if _is_as_ever(cls, name)}
    _covers[cls] = [_Cover(cls, name, front) for name, front in fronts.items()]
    _covers[cls].append(_Cover(cls, "__init_subclass__", _made))
    for model in with_subclasses(cls):
        if model is not cls:
            _cover_own(model)
    signals.pre_save_post_validation.connect(_hear)
    for model in with_subclasses(cls):
        _record_from_now(model)
    return cls


def _record_from_now(model: type[Document]) -> None:
    """Let the collection record that a queryset, or the application, has got hold of before."""
    collection = model.__dict__.get("_collection")
    if not isinstance(collection, Collection) or isinstance(collection, RecordingCollection):
        return
    if can_record(model, collection):
        RecordingCollection.of(collection, model).take_place_of(collection)


def _is_as_ever(cls: type[Document], name: str) -> bool:
    """
    Say whether a method is of the kind that MongoEngine has: of documents, or of the class.

    One of another kind is the application's own, and what that writes is recorded all the same. So
    is a field, a property or a value of that name.
    """
    of_class = (classmethod, staticmethod)
    kinds = {isinstance(getattr_static(model, name), of_class) for model in (cls, Document)}
    return len(kinds) == 1 and callable(getattr(cls, name))


def _check(cls: type[Document]) -> None:
    if not (isinstance(cls, type) and issubclass(cls, Document)):
        raise OptionsError("cls", cls, "only a class of top-level documents has a history")
    if getattr(cls, OPTIONS_ATTRIBUTE, cls) is None:
        raise OptionsError("cls", cls, "the history has no history")
    if cls._meta.get("timeseries"):
        raise OptionsError("cls", cls, "MongoDB finds no document of a time series by its key")
    for model in _covers:
        if issubclass(cls, model) or issubclass(model, cls):
            raise OptionsError("cls", cls, f"{model.__name__} is tracked already; untrack it first")


def _check_collection(cls: type[Document]) -> None:
    if cls._meta.get("abstract"):
        return
    check_id(cls)
    check_names(cls, {it for root in _covers for it in concrete(root)})
    kept = kept_by(cls)
    lies_there = kept._get_collection_name() == cls._get_collection_name()
    if lies_there and kept.kept_at in {None, alias_of(cls)}:
        raise OptionsError("cls", cls, LIES_IN_HISTORY)
    check_apart(cls)


def _hear(sender: type[Document], document: Document, **said: Any) -> None:
    """Keep what ``save(signal_kwargs=…)`` says; only signals are told."""
    if is_tracked(sender):
        Tracker.of(document).said = said


def _made(beneath: Any, model: type[Document], *args: Any, **kwargs: Any) -> None:
    """Let a subclass that is made later record as those that were there."""
    beneath(*args, **kwargs)
    _cover_own(model)


def _cover_own(model: type[Document]) -> None:
    """Cover what a subclass has of its own, which may give its collection past its base."""
    base = next((it for it in model.__mro__ if it in _covers), None)
    if base is None:
        return
    for name in {"_get_collection", "_get_db"} & vars(model).keys():
        if _is_as_ever(model, name):
            _covers[base].append(_Cover(model, name, FRONTS[name]))
