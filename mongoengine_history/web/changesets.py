"""A changeset is taken back: first as a preview, then, as it was shown, for good."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from mongoengine_history import changeset, changeset_of, revert_changeset
from mongoengine_history.web.failures import MESSAGES, Failure
from mongoengine_history.web.leading_back import REFUSED, conflicts_told
from mongoengine_history.web.rows import sides_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.responses import Response

    from mongoengine_history import ChangesetPlan
    from mongoengine_history.web.look import Look
    from mongoengine_history.web.rights import Rights


def look_at(look: Look) -> Response:
    """Show what would be taken back."""
    return _shown(look)


def _shown(look: Look, notice: str = "", status: int = 200, reason: str = "") -> Response:
    plan, rights = _plan(look)
    models = {id(it.model): it.model for it in rights}.values()
    return look.form(
        "plan.html",
        status,
        title="Revert a changeset: preview",
        id=look.part["id"],
        plan=plan,
        steps=[*_steps(look, plan, rights)],
        conflicts=[*_conflicts(look, plan)],
        mark=_mark(look, plan, rights),
        notice=notice,
        reason=reason,
        is_reason_needed=any(look.site.reason_needed(it) for it in models),
    )


def _plan(look: Look) -> tuple[ChangesetPlan, list[Rights]]:
    """Return the plan, and the rights to each document that it would write."""
    plan = revert_changeset(look.part["id"], dry_run=True)
    named = [(it.document_class, it.document_id) for it in plan.steps]
    rights = [_rights(look, *it) for it in named]
    for step, right in zip(plan.steps, rights, strict=True):
        if not right.restores or right.refused(step.patches):
            raise Failure(403, "forbidden")
    return plan, rights


def _rights(look: Look, name: str, pk: Any) -> Rights:
    """Return the rights to a document, whose class may be below one that is shown."""
    for model in look.seen_models:
        if name == model._class_name or name.startswith(f"{model._class_name}."):
            return look.rights_to(model, pk)
    raise Failure(403, "forbidden")


def _steps(look: Look, plan: ChangesetPlan, rights: list[Rights]) -> Iterator[Any]:
    for step, right in zip(plan.steps, rights, strict=True):
        yield step, right, sides_of(step.patches, right, look.site.words(right.model))


def _conflicts(look: Look, plan: ChangesetPlan) -> Iterator[Any]:
    """Tell what is in the way, of documents that may be seen."""
    errors = {(repr(it.document_id), it.number): it for it in plan.conflicts}
    groups = look.histories(look.seen_models) if errors else []
    for it in chain.from_iterable(changeset_of(plan.changeset, *group) for group in groups):
        error = errors.get((repr(it.document_id), it.revision.number))
        model = look.model_in(it.document_type)
        rights = look.rights_to(model, it.document_id) if model else None
        if error and rights and rights.sees:
            words = look.site.words(model)
            yield error.number, rights, conflicts_told(error.conflicts, rights, words)


def _mark(look: Look, plan: ChangesetPlan, rights: list[Rights]) -> str:
    """Return a text that is another one if any of the documents was written meanwhile."""
    steps = [
        (it.kind, it.document_class, it.document_id, it.revisions, it.patches) for it in plan.steps
    ]
    return look.site.mark(plan.changeset, steps, [it.stored for it in rights])


def carry_out(look: Look) -> Response:
    """Write what was shown, if it is still the same; otherwise show it anew."""
    plan, rights = _plan(look)
    reason = look.given("reason")
    if plan.conflicts or not look.has_mark(_mark(look, plan, rights)):
        return _shown(look, MESSAGES["stale"], 409, reason)
    if not reason and any(look.site.reason_needed(it.model) for it in rights):
        return _shown(look, MESSAGES["reason"], 422)
    with changeset(look.site.identity(look.request), reason=reason or None):
        try:
            own = revert_changeset(look.part["id"], reason=reason or None)
        except REFUSED as error:
            raise Failure(409, "refused") from error
    return look.redirect("changesets", own.id, done="changeset")
