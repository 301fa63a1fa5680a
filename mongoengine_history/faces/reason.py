"""Whether people have to say why something is led back, or erased: its class says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mongoengine import Document

from mongoengine_history.documents.fieldrules import concrete, with_subclasses
from mongoengine_history.documents.options import options_of

if TYPE_CHECKING:
    from mongoengine_history import ChangesetPlan


def reason_in(text: str | None) -> str:
    """Return a reason without the spaces around it; nothing if it has no sign that is seen."""
    text = (text or "").strip()
    return text if any(it.isprintable() and not it.isspace() for it in text) else ""


def needs_reason(subject: Document | type[Document] | ChangesetPlan) -> bool:
    """
    Say whether something needs a reason. Reads nothing.

    Args:
        subject: A document, of which its own class says it; a class, of whose documents it may be
            any, so that one class below it is enough; or a plan, of which one step is enough.
    """
    if isinstance(subject, Document):
        return options_of(subject).reason_required
    if isinstance(subject, type):
        return any(options_of(it).reason_required for it in with_subclasses(subject))
    steps = {(it.collection, it.document_class) for it in subject.steps}
    written = (it for it in concrete(Document) if (it._get_collection_name(), it.__name__) in steps)
    return any(options_of(it).reason_required for it in written)
