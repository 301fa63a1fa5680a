"""What writes says what it will do, and asks."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import click

from mongoengine_history import OptionsError, changeset
from mongoengine_history.cli.options import kept, several
from mongoengine_history.faces.identity import identity_in
from mongoengine_history.faces.reason import needs_reason, reason_in

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from mongoengine import Document

    from mongoengine_history import ChangesetPlan
    from mongoengine_history.cli.options import Settings

NO_REASON: Final = "the class asks for one (reason_required): give --reason; nothing was written"


writes: Final = several(
    click.option("--yes", "-y", is_flag=True, help="Do not ask.", **kept()),
    click.option("--dry-run", is_flag=True, help="Only say what it would do.", **kept()),
    click.option("--reason", metavar="TEXT", help="Why; it is recorded.", **kept()),
    click.option("--identity", metavar="WHO", help="Who answers for it.", **kept()),
)
"""Gives a command that writes the options of all that do."""


def agreed(
    settings: Settings,
    question: str,
    subject: Document | type[Document] | ChangesetPlan | None = None,
) -> bool:
    """
    Ask, unless the answer was given before; say so if nothing is to be written.

    With a *subject* that needs a reason it is asked why, too.

    Raises:
        OptionsError: it needs one, and nobody can be asked.
    """
    if settings.dry_run:
        settings.terminal.note("Nothing was written: --dry-run.")
        return False
    is_needed = subject is not None and needs_reason(subject)
    if is_needed and not reason_in(settings.reason):
        settings.reason = _reason(settings)
    if not settings.yes:
        click.confirm(question, abort=True, err=True)
    return True


def _reason(settings: Settings) -> str:
    if settings.yes or not sys.stdin.isatty():
        raise OptionsError("reason", settings.reason, NO_REASON)
    reason = ""
    while not reason:
        reason = reason_in(click.prompt("Why?", prompt_suffix=" ", err=True))
    return reason


def writing(settings: Settings) -> AbstractContextManager[object]:
    """Say for a block who writes, and why."""
    identity = None if settings.identity is None else identity_in(settings.identity)
    return changeset(identity, reason=settings.reason)
