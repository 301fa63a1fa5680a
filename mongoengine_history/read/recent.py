"""What was recorded last, of whatever documents."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from mongoengine_history.read.recorded import Recorded, object_id
from mongoengine_history.read.selection import check_size, conditions_of
from mongoengine_history.record.committed import Committed
from mongoengine_history.record.overview import SMALL
from mongoengine_history.record.touching import conditions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from bson import ObjectId
    from mongoengine import Document


A_RECORD: Final = "it is the record of a revision, an ObjectId"


def recent(*models: type[Document], using: str | None = None) -> Recent:
    """
    Return what was recorded last, of whatever documents, to be filtered and read in pages.

    The order is that of the ``_id`` of records: what several servers record within a second may
    come in any order, and what was recorded late stands where it was recorded.

    Args:
        *models: Of which classes; of everything in the history if none is given.
        using: The alias of another connection, where no class is given.

    Raises:
        OptionsError: an argument cannot be used.
    """
    return Recent(Committed(models, using), models)


class Recent:
    """Revisions of all documents, the newest first, read when they are asked for."""

    def __init__(
        self,
        committed: Committed,
        models: Sequence[type[Document]],
        asked: Sequence[Mapping[str, Any]] = (),
        is_touching: bool = False,
    ) -> None:
        self._committed, self._models, self._asked = committed, models, asked
        self._is_touching = is_touching

    def filter(
        self,
        *,
        by: object = None,
        touching: str | Sequence[str | int] | None = None,
        between: tuple[datetime | None, datetime | None] | None = None,
        operation: str | Sequence[str] | None = None,
    ) -> Recent:
        """
        Return some of them; the arguments are those of `Timeline.filter`.

        Names of attributes may be in *touching* where they are of one class, else stored ones.

        Raises:
            OptionsError: one of them cannot be asked for.
        """
        asked = [*self._asked, *conditions_of(by, between, operation, self._committed.codec)]
        if touching is not None:
            model = self._models[0] if len(self._models) == 1 else None
            asked.append({"$or": conditions(touching, model)})
        is_touching = self._is_touching or touching is not None
        return Recent(self._committed, self._models, asked, is_touching)

    def __iter__(self) -> Iterator[Recorded]:
        return self._read(SMALL)

    def page(self, *, before: object = None, size: int = 50) -> list[Recorded]:
        """
        Read some of them. What cannot be read is left out, and logged.

        Args:
            before: `Recorded.record` of the last one of the page before, or its 24 digits; None
                begins anew.
            size: How many, at most; 1 to 1,000.

        Raises:
            OptionsError: *size* is no such number, or *before* no record.
        """
        check_size(size)
        earlier = None if before is None else object_id("before", before, A_RECORD)
        return list(islice(self._read(size, earlier), size))

    def _read(self, at_once: int, before: ObjectId | None = None) -> Iterator[Recorded]:
        committed = self._committed
        newest = committed.newest_touching if self._is_touching else committed.newest
        return (Recorded(*it) for it in newest(self._asked, at_once, before))
