"""A changeset is taken back: first as a preview, then, as it was shown, for good."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from mongoengine_history import (
    HistoryError,
    UndoConflictError,
    changeset,
    changeset_of,
    revert_changeset,
    undo,
)
from mongoengine_history.documents.fieldrules import with_subclasses
from mongoengine_history.faces.reason import needs_reason, reason_in
from mongoengine_history.web.failures import MESSAGES, Failure
from mongoengine_history.web.leading_back import REFUSED, conflicts_told
from mongoengine_history.web.reading import of_changeset
from mongoengine_history.web.rows import sides_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.responses import Response

    from mongoengine_history import ChangesetPlan, Conflict, PlanStep
    from mongoengine_history.web.look import Look
    from mongoengine_history.web.rights import Rights


def look_at(look: Look, notice: str = "", status: int = 200, reason: str = "") -> Response:
    """Show what would be taken back, with a notice where it was to be done and was not."""
    plan, rights = _plan(look)
    return look.form(
        "plan.html",
        status,
        id=look.part["id"],
        plan=plan,
        steps=[*_steps(look, plan, rights)],
        conflicts=[*_conflicts(look, plan)],
        mark=_mark(look, plan, rights),
        notice=notice,
        reason=reason,
        is_reason_needed=needs_reason(plan),
    )


def _plan(look: Look) -> tuple[ChangesetPlan, list[Rights]]:
    """Return the plan, and the rights to each document that it would write."""
    of_changeset(look, 1)  # what may not be seen is not there
    plan = revert_changeset(look.part["id"], dry_run=True)
    rights = [_rights(look, it) for it in plan.steps]
    for step, right in zip(plan.steps, rights, strict=True):
        if not right.restores or right.refused(step.patches):
            raise Failure(403, "forbidden")
    return plan, rights


def _rights(look: Look, step: PlanStep) -> Rights:
    """Return the rights to a document, whose class may be below one that is shown."""
    where = step.database, step.collection
    for model in look.seen_models:
        is_there = (model._get_db().name, model._get_collection_name()) == where
        names = {it.__name__ for it in with_subclasses(model)}
        if is_there and step.document_class in names:
            return look.rights_to(model, step.document_id)
    raise Failure(403, "forbidden")


def _steps(look: Look, plan: ChangesetPlan, rights: list[Rights]) -> Iterator[Any]:
    for step, right in zip(plan.steps, rights, strict=True):
        yield step, right, sides_of(step.patches, right, look.site.words(right.model))


def _conflicts(look: Look, plan: ChangesetPlan) -> Iterator[Any]:
    """Tell what is in the way, of documents that may be seen."""
    known = {(repr(it.document_id), it.number) for it in plan.conflicts}
    for group in look.histories(look.seen_models) if known else []:
        for it in changeset_of(plan.changeset, *group):
            model, number = look.model_of(it, group), it.revision.number
            rights = look.rights_to(model, it.document_id) if model else None
            if rights and rights.sees and (repr(it.document_id), number) in known:
                found = _in_the_way(rights, number)
                told = conflicts_told(found, rights, look.site.words(model))
                yield from [(number, rights, told)] if found else []


def _in_the_way(rights: Rights, number: int) -> list[Conflict]:
    """Ask the document itself: one of another class may have the same key, and be hidden."""
    with suppress(HistoryError):
        try:
            undo(rights.document or rights.model(pk=rights.pk), number)
        except UndoConflictError as error:
            return error.conflicts
    return []


def _mark(look: Look, plan: ChangesetPlan, rights: list[Rights]) -> str:
    """Return a text that is another one if any of the documents was written meanwhile."""
    steps = [
        (it.kind, it.document_class, it.document_id, it.revisions, it.patches) for it in plan.steps
    ]
    return look.site.mark(plan.changeset, steps, [it.stored for it in rights])


def carry_out(look: Look) -> Response:
    """Write what was shown, if it is still the same; otherwise show it anew."""
    plan, rights = _plan(look)
    reason = reason_in(look.given("reason"))
    if plan.conflicts or not look.has_mark(_mark(look, plan, rights)):
        return look_at(look, look.gettext(MESSAGES["stale"]), 409, reason)
    if not reason and needs_reason(plan):
        return look_at(look, look.gettext(MESSAGES["reason"]), 422)
    with changeset(look.site.identity(look.request), reason=reason or None):
        try:
            own = revert_changeset(look.part["id"], reason=reason or None)
        except REFUSED as error:
            raise Failure(409, "refused") from error
    return look.redirect(look.url("changesets", own.id, done="changeset"))
