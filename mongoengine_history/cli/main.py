"""The command line: all commands, and what becomes of their errors."""

from __future__ import annotations

import io
import os
import re
import sys
from typing import TYPE_CHECKING, Final

import click
from bson.errors import BSONError
from mongoengine.errors import MongoEngineException
from pymongo.errors import PyMongoError

from mongoengine_history import ChangesetPartlyRevertedError, HistoryError, __version__
from mongoengine_history.cli.back import GOING_BACK
from mongoengine_history.cli.browse import BROWSING
from mongoengine_history.cli.connection import without_passwords
from mongoengine_history.cli.export import EXPORTING
from mongoengine_history.cli.find import FINDING
from mongoengine_history.cli.keep import KEEPING
from mongoengine_history.cli.look import LOOKING
from mongoengine_history.cli.options import Settings, shared
from mongoengine_history.cli.trust import TRUSTING
from mongoengine_history.embedded import NoServerError
from mongoengine_history.state.wording import shortened

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME: Final = "mongoengine-history"

LONGEST_ERROR: Final = 800
"""Characters of an error that are told."""

COMMAND_SENT: Final = re.compile(r"command \{ (\w+): .*\}", re.DOTALL)
"""What a server that does not allow a command repeats of it: all, with the values."""

FAILED: Final = 2
PARTLY: Final = 3
INTERRUPTED: Final = 130

TOLD_IN_A_LINE: Final = (
    BSONError,
    HistoryError,
    MongoEngineException,
    NoServerError,
    OSError,
    PyMongoError,
)
"""What is told in a line; any other error is a fault of the program and shows its traceback."""

SECTIONS: Final = {
    "Reading": (*LOOKING, *FINDING, *EXPORTING),
    "Going back": GOING_BACK,
    "Keeping": KEEPING,
    "Trust": TRUSTING,
    "People": BROWSING,
}


class _Commands(click.Group):
    """The commands, in sections and in the order in which they are told."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's form
        return [it.name or "" for commands in SECTIONS.values() for it in commands]

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002  # click's form
        formatter: click.HelpFormatter,
    ) -> None:
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                width = formatter.width - 24
                rows = [(it.name or "", it.get_short_help_str(width)) for it in commands]
                formatter.write_dl(rows, col_max=20)


@shared
@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message=f"{NAME} %(version)s")
def commands() -> None:
    """
    Look at the history of MongoEngine documents, and go back.

    A document is named by its COLLECTION and KEY, or by --model package.module:Class and KEY. What
    writes shows what it will do, and asks. Exit codes: 0 done, 1 no (faults, conflicts, not
    confirmed), 2 it could not be done, 3 done in part, 130 interrupted.
    """


for command in (it for section in SECTIONS.values() for it in section):
    commands.add_command(command)


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run a command.

    Args:
        arguments: Those after the program's name; None means those of this process.

    Returns:
        The exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # what a console cannot show ends nothing
    settings = Settings()
    try:
        _check(sys.argv[1:] if arguments is None else arguments)
        code = commands.main(arguments, NAME, standalone_mode=False, obj=settings)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.Abort as aborted:
        return _aborted(aborted)
    except click.ClickException as error:
        told = without_passwords(error.message, settings.uri)
        vars(error)["message"] = "\n".join(shortened(it, sys.maxsize) for it in told.split("\n"))
        error.show()
        return FAILED
    except KeyboardInterrupt:  # before a command runs, or after it
        return INTERRUPTED
    except BrokenPipeError:  # the reader, say `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except TOLD_IN_A_LINE as error:
        sys.stderr.write(f"error: {_one_line(error, settings)}\n")
        return PARTLY if isinstance(error, ChangesetPartlyRevertedError) else FAILED
    finally:
        settings.close()


def _check(arguments: Sequence[str]) -> None:
    try:
        "".join(arguments).encode()
    except UnicodeEncodeError:  # bytes that are no text here
        raise click.UsageError("an argument is no text in the encoding of this terminal") from None


def _aborted(aborted: click.Abort) -> int:
    if isinstance(aborted.__cause__, KeyboardInterrupt):
        return INTERRUPTED
    sys.stderr.write("Nothing was written: it was not confirmed.\n")
    return 1


def _one_line(error: Exception, settings: Settings) -> str:
    text, _, _ = str(error).partition(", full error:")  # the same again, as the server sent it
    text = COMMAND_SENT.sub(r"command \1", text)
    text = without_passwords(text or type(error).__name__, settings.uri)
    return shortened(" ".join(text.split()), LONGEST_ERROR)
