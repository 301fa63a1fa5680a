"""Reading a history: the revisions of one document, and the states that they lead to."""

from __future__ import annotations

import json
from datetime import datetime
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, overload

from mongoengine import Document

from mongoengine_history.documents.attributes import attributes
from mongoengine_history.documents.snapshot import loaded_in_part, stored_key
from mongoengine_history.errors import (
    DocumentDidNotExistError,
    OptionsError,
    RevisionNotFoundError,
)
from mongoengine_history.read.frame import frame_of
from mongoengine_history.read.references import References
from mongoengine_history.read.selection import Selection, conditions_of
from mongoengine_history.read.setters import setters
from mongoengine_history.read.sliced import sliced
from mongoengine_history.record.doubt import settle
from mongoengine_history.record.history import History
from mongoengine_history.record.place import Place
from mongoengine_history.record.revisions import Revisions
from mongoengine_history.record.states import as_recorded, state_as_of, state_at
from mongoengine_history.record.touching import conditions
from mongoengine_history.state.diff import diff
from mongoengine_history.state.merge import path_text
from mongoengine_history.state.moments import MICROSECOND, last_stamp
from mongoengine_history.state.patches import as_dictdiffer
from mongoengine_history.state.revision import StoredRevision, is_index
from mongoengine_history.state.values import State, native

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mongoengine_history.state.revision import Revision
    from mongoengine_history.state.values import Path

D = TypeVar("D", bound=Document)

MOVED: Final = ("_get_db", "_get_collection", "_collection")
"""What MongoEngine sets on a document that was switched to another database or collection."""


@overload
def history_of(document: D) -> Timeline[D]: ...
@overload
def history_of(document: type[D], pk: object) -> Timeline[D]: ...
def history_of(document: D | type[D], pk: object = None) -> Timeline[D]:
    """
    Return the history of a document, also of one that was deleted. Reads nothing yet.

    Args:
        document: A document with a primary key, or the class of one.
        pk: The primary key, if *document* is a class. Of a document of another class in the same
            collection there is no history then; subclasses are part of a class.

    Raises:
        OptionsError: the two do not name a document.
    """
    return Timeline(document, stored_key(document, pk))


class Timeline(Generic[D]):
    """
    The revisions of one document, read when they are asked for.

    Nothing is written but what a write in doubt has done, which the first question finds out.

    ``timeline[3]`` is revision 3, ``timeline[-1]`` the newest one. A slice is a list and half-open
    by number: ``timeline[2:4]`` has the revisions 2 and 3. Iteration is oldest first and holds one
    batch of records at a time. Records of mongoengine-history 1.1 have no number: they are in
    `legacy` and in `load_history`.
    """

    def __init__(self, document: D | type[D], key: object) -> None:
        self._document = document
        self._model: type[D] = document if isinstance(document, type) else type(document)
        self._key = key
        self._place = Place(document)
        self._codec = self._place.codec

    @cached_property
    def _revisions(self) -> Revisions:
        revisions = Revisions(self._place, self._key)
        settle(revisions)
        is_asked_by_key = self._document is self._model
        return revisions.seen_by(self._model) if is_asked_by_key else revisions

    @cached_property
    def _shown(self) -> Revisions:
        """The same, with the values that the application reads."""
        return Revisions(self._place, self._key, self._codec, self._revisions.among)

    def __repr__(self) -> str:
        return f"<Timeline of {self._model.__name__} {self._key!r}>"

    def __len__(self) -> int:
        """Return the number of the newest revision."""
        return self._revisions.head().number

    def __iter__(self) -> Iterator[Revision]:
        """Read all revisions, the oldest first."""
        return map(StoredRevision.shown, self._shown.between())

    def __reversed__(self) -> Iterator[Revision]:
        """Read all revisions, the newest first."""
        return map(StoredRevision.shown, self._shown.between(newest_first=True))

    @overload
    def __getitem__(self, index: int) -> Revision: ...
    @overload
    def __getitem__(self, index: slice) -> list[Revision]: ...
    def __getitem__(self, index: int | slice) -> Revision | list[Revision]:
        """
        Read a revision by its number, or some of them.

        Raises:
            OptionsError: *index* is no number.
            RevisionNotFoundError: there is no such revision; it is an IndexError.
            IncompleteRevisionError: records of it are missing.
            MalformedRecordError: one of them cannot be read.
        """
        if isinstance(index, slice):
            return sliced(self._revisions, self._shown, index)
        return self._shown.revision(self._number(index)).shown()

    def _number(self, index: int) -> int:
        """Return the number that an index means: negative ones count from the end."""
        if not is_index(index):
            raise OptionsError("number", index, "it is a number: 1, 2, …, or -1 for the newest")
        if index >= 0:
            return index
        newest = len(self)
        if newest + index < 0:
            raise RevisionNotFoundError(self._key, index, newest)
        return newest + 1 + index

    def filter(
        self,
        *,
        by: object = None,
        touching: str | Sequence[str | int] | None = None,
        between: tuple[datetime | None, datetime | None] | None = None,
        operation: str | Sequence[str] | None = None,
    ) -> Selection:
        """
        Return some of the revisions, to be iterated or read in pages. Nothing given is all.

        Args:
            by: Who answers for them: a saved document, or any BSON value but None.
            touching: A path that they have set, or a part of it or what it is in, as for `blame`.
            between: The first and the last moment, both included; None is the beginning or the
                end. Naive is local time of the process.
            operation: ``create``, ``update``, …, or several of them.

        Raises:
            OptionsError: one of them cannot be asked for.
        """
        asked = conditions_of(by, between, operation, self._codec)
        if touching is not None:
            asked.append({"$or": self._touching(touching)})
        return Selection(self._shown, asked)

    def _touching(self, path: str | Sequence[str | int]) -> list[dict[str, Any]]:
        """Return the conditions of a path, which the class or else the history has to know."""
        try:
            return conditions(path, self._model)
        except OptionsError:
            former = conditions(path)
            if not self._revisions.last_touching(former):
                raise
            return former

    def page(self, *, before: int | None = None, size: int = 50) -> list[Revision]:
        """
        Read some revisions, the newest first; `Selection.page` says what the arguments are.

        The next page is ``page(before=found[-1].number)``.
        """
        return self.filter().page(before=before, size=size)

    def names(self, path: Path) -> Path:
        """
        Return a path of stored names by names of attributes, where the class knows them.

        Raises:
            OptionsError: *path* is no sequence of keys and indexes.
        """
        if not isinstance(path, list | tuple):
            raise OptionsError("path", path, "it must be a list of keys")
        return attributes(self._model, path)

    def to_json(self) -> str:
        """
        Return all revisions as a JSON array, the oldest first.

        Each is what `Revision.to_dict` makes with ``json=True`` and names of attributes.
        """
        told = (it.to_dict(json=True, names=self.names) for it in self)
        lines = ",\n".join(json.dumps(it, ensure_ascii=False) for it in told)
        return f"[{lines}]"

    def to_pandas(self) -> Any:
        """
        Return a DataFrame of pandas, which has to be installed: a row for each change.

        Its columns are ``number``, ``at``, ``identity``, ``operation``, ``reason``, ``changeset``,
        ``kind``, ``path`` (by names of attributes), ``old`` and ``new``.

        Raises:
            ImportError: pandas is not installed.
        """
        return frame_of(self, self.names)

    @property
    def legacy(self) -> list[History]:
        """The records that mongoengine-history 1.1 wrote, the oldest first."""
        return [History._from_son(record) for record in self._shown.legacy()]

    def state(self, number: int | datetime) -> State:
        """
        Rebuild the state right after a revision, or at a moment, as plain data.

        Args:
            number: The revision; 0 is the state before the first one, -1 the newest. Or a moment,
                as `as_of` takes it.

        Returns:
            Stored names and values without ``_id``, also those that today's class does not know.

        Raises:
            RevisionNotFoundError: there is no such revision.
            DocumentDidNotExistError: there was no document at that point.
            IncompleteRevisionError: records are missing on the way.
            MalformedRecordError: one on the way cannot be read.
            PatchError: a revision does not fit the one before it: somebody edited the records.
            StateNotKeptError: no version was kept, and the document is gone.
        """
        state: State = native(self._existing(number), self._codec)
        return state

    def _existing(self, index: int | datetime) -> State:
        if isinstance(index, datetime):
            number = self._revisions.number_at(last_stamp(index))
            state = state_as_of(self._revisions, index)
        else:
            number = self._number(index)
            state = state_at(self._revisions, number)
        if state is None:
            raise DocumentDidNotExistError(self._key, number)
        return state

    def at(self, number: int, *, references: bool = False) -> D:
        """
        Make a document as it was right after a revision.

        It is a new object under the old primary key, not saved. Saving it stores all of it in the
        place of what is there; use `revert` or `restore` to go back exactly. What the class has no
        field for any more is left out, with a HistoryWarning.

        Args:
            number: The revision; 0 is the state before the first one, -1 the newest.
            references: Whether the documents that it refers to are loaded as they stood at that
                moment; else MongoEngine loads them as they are today. What those refer to is as of
                today. One without history stays a reference, with a HistoryWarning.

        Raises:
            StateMismatchError: today's class cannot load the state; `state` shows it.
            HistoryError: as `state` raises them.
        """
        document = self._made(self._existing(number))
        if references:
            first = self[max(self._number(number), 1)].at
            References(first if self._number(number) else first - MICROSECOND).load(document)
        return document

    def as_of(self, when: datetime, *, references: bool = False) -> D | None:
        """
        Make a document as it was at a moment: after all revisions stamped at or before it.

        Before the first revision it is the state that this one found, if the document was there.

        Args:
            when: Naive is local time of the process. Exact to the microsecond; one in whole
                milliseconds, as `History.created_at` is, includes its millisecond.
            references: As for `at`.

        Returns:
            A document as `at` makes it, or None if there was none.

        Raises:
            OptionsError: *when* is no datetime.
            HistoryError: as `at` raises them.
        """
        state = state_as_of(self._revisions, when)
        if state is None:
            return None
        document = self._made(state)
        if references:
            References(when).load(document)
        return document

    def _made(self, state: State) -> D:
        document = loaded_in_part(self._model, self._key, state)
        if self._document is not self._model:
            own = vars(self._document)
            vars(document).update({name: own[name] for name in MOVED if name in own})
        return document

    def compare(
        self, first: int | None, second: int | None = None
    ) -> list[tuple[str, list[str | int], Any]]:
        """
        Return the dictdiffer patches that lead from one point to another, in the order to apply.

        Args:
            first: The number of a revision; 0 is before the first one, -1 the newest, None what is
                stored now.
            second: The same.

        Raises:
            HistoryError: as `state` raises them; a document that is not there is an empty one.
        """
        return as_dictdiffer(diff(self._point(first), self._point(second)), self._codec)

    def _point(self, number: int | None) -> State:
        if number is None:
            head, live = self._revisions.opening()
            return as_recorded(self._revisions, head, live) or {}
        return state_at(self._revisions, self._number(number)) or {}

    @overload
    def blame(self, path: str | Sequence[str | int], *, revision: int = -1) -> Revision | None: ...
    @overload
    def blame(
        self, path: None = None, *, revision: int = -1, most: int | None = None
    ) -> dict[str, Revision]: ...
    def blame(
        self,
        path: str | Sequence[str | int] | None = None,
        *,
        revision: int = -1,
        most: int | None = None,
    ) -> Revision | dict[str, Revision] | None:
        """
        Say which revision last set what. Reads back as far as needed.

        Args:
            path: Names of attributes or stored ones, joined by dots; the class, or else the
                history, has to know them. Or a list of stored keys, which is exact. A list counts
                as one value: name the list, not its items.
            revision: Of the state after which revision; -1 is the newest.
            most: How many revisions are gone through at most without a path; None for all.

        Returns:
            The revision that last set, added or removed the value at *path*, or a part of it; None
            if none has. Without a path one for each value of the state, by its path, in which dots
            inside of names are escaped by a backslash; values that were there before the first
            revision, and never set since, are left out, as are those not found in *most*.

        Raises:
            OptionsError: *path* is no path, has more than 100 names or 4 kB, cannot be encoded, or
                leads to nothing in the class and in the history; or a number is none.
            HistoryError: as `state` raises them.
        """
        if most is not None and (not is_index(most) or most < 0):
            raise OptionsError("most", most, "it is a number, or None")
        last = None if revision == -1 else self._number(revision)
        if path is not None:
            number = self._revisions.last_touching(self._touching(path), last)
            return self[number] if number else None
        last = len(self) if last is None else last
        state = state_at(self._revisions, last) or {}
        found = setters(islice(self._shown.between(1, last, newest_first=True), most), state)
        return {path_text(at): it.shown() for at, it in found.items()}
