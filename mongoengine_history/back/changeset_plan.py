"""What is to be done to take a changeset back: as data to look at before anything is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mongoengine_history.state.wording import changes

if TYPE_CHECKING:
    from bson import ObjectId

    from mongoengine_history.errors import UndoConflictError
    from mongoengine_history.state.patches import DictdifferPatch


@dataclass(frozen=True, slots=True)
class PlanStep:
    """One write to one document."""

    #: The name of the class by which it is written.
    document_class: str
    #: Where the document lies.
    database: str
    collection: str
    #: Its primary key.
    document_id: Any
    #: ``update``, ``delete``, or ``insert`` of what was deleted.
    kind: str
    #: The numbers of the revisions that it takes back, the newest first.
    revisions: tuple[int, ...]
    #: dictdiffer's ``(action, path, data)``: what it changes, in the order in which they apply.
    patches: tuple[DictdifferPatch, ...]
    #: ``save()`` or ``delete()`` of the application's own, or with handlers of signals, which may
    #: do more or less than is planned; None where nothing of that kind is called.
    method: str | None
    #: Why that, or validation, will refuse it, as far as is known now. With *bypass_methods* it is
    #: written all the same.
    problem: str | None

    def __str__(self) -> str:
        what = "; ".join(changes(self.patches, room=60, most=3))
        problem = f" (refused: {self.problem})" if self.problem else ""
        return f"{self.kind} {self.document_class} {self.document_id}: {what}{problem}"


@dataclass(frozen=True, slots=True)
class ChangesetPlan:
    """
    How a changeset will be taken back: what `revert_changeset` gives as a *dry_run*.

    It is as of the moment when it was made.
    """

    #: Id of the changeset.
    changeset: ObjectId
    #: What is written, in that order: the reverse of the one in which the changeset was written.
    steps: tuple[PlanStep, ...]
    #: One for each revision that later writes are in the way of. If there is one, nothing is done.
    conflicts: tuple[UndoConflictError, ...]
    #: Whether all of it is one transaction. If not, it is written in parts.
    is_atomic: bool
