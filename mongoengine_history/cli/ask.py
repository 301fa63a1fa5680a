"""What writes says what it will do, and asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mongoengine_history import changeset
from mongoengine_history.cli.options import kept
from mongoengine_history.cli.values import value_of

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from mongoengine_history.cli.options import Settings


def writes(function: Any) -> Any:
    """Give a command that writes the options of all that do."""
    for option in reversed(
        [
            click.option("--yes", "-y", is_flag=True, help="Do not ask.", **kept()),
            click.option("--dry-run", is_flag=True, help="Only say what it would do.", **kept()),
            click.option("--reason", metavar="TEXT", help="Why; it is recorded.", **kept()),
            click.option("--identity", metavar="WHO", help="Who answers for it.", **kept()),
        ]
    ):
        function = option(function)
    return function


def agreed(settings: Settings, question: str) -> bool:
    """Ask, unless the answer was given before; say so if nothing is to be written."""
    if settings.dry_run:
        settings.terminal.note("Nothing was written: --dry-run.")
        return False
    if not settings.yes:
        click.confirm(question, abort=True, err=True)
    return True


def writing(settings: Settings) -> AbstractContextManager[object]:
    """Say for a block who writes, and why."""
    identity = None if settings.identity is None else value_of(settings.identity)
    return changeset(identity, reason=settings.reason)
