"""``python -m mongoengine_history``, and the command ``mongoengine-history``."""

from __future__ import annotations

import sys
from typing import Final

from mongoengine_history import __version__

NO_EXTRA: Final = (
    'error: the command line needs its extra: pip install "mongoengine-history[cli]"; '
    "without it there is the command demo\n"
)


def main() -> int:
    """Run a command, and return the exit code. The demo needs nothing more than the package."""
    command, *arguments = sys.argv[1:] or [""]
    if command == "demo":
        from mongoengine_history.demo import program

        return program.main(arguments)
    try:
        from mongoengine_history.cli.main import main as run
    except ModuleNotFoundError as error:
        if error.name not in {"click", "rich"}:
            raise
        if command == "--version":
            sys.stdout.write(f"mongoengine-history {__version__}\n")
            return 0
        sys.stderr.write(NO_EXTRA)
        return 2
    return run()


if __name__ == "__main__":
    sys.exit(main())
