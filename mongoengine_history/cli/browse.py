"""Commands for newcomers and for people who would rather look: the demo, and the browser."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

import click

from mongoengine_history.cli.options import command

if TYPE_CHECKING:
    from mongoengine_history.cli.options import Settings

NO_WEB: Final = 'The browser needs its extra: pip install "mongoengine-history[web]"'


@command("browse", short_help="Look at histories in a browser.")
@click.option("--port", type=click.IntRange(0, 65535), default=8400, help="8400; 0 is any.")
def browse(settings: Settings, port: int) -> int:
    """Show all histories, or those of --model, to this machine only, read-only, until Ctrl-C."""
    try:
        web: Any = importlib.import_module("mongoengine_history.web.browser")
        server: Any = importlib.import_module("mongoengine_history.web.serve")
    except ImportError as error:
        raise click.ClickException(f"{NO_WEB} ({error})") from None
    browser = web.history_browser(*settings.all_models(), zone=settings.zone)
    server.serve(browser, port, settings.terminal.line)
    return 0


@click.command(
    "demo",
    short_help="Make a history on a real server, show it and take it back.",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def demo(arguments: tuple[str, ...]) -> int:
    """Run the demo, which has options of its own; only then is its class one of the tracked."""
    program: Any = importlib.import_module("mongoengine_history.demo.program")
    code: int = program.main(arguments)
    return code


BROWSING: Final = (browse, demo)
