"""The demo as a program: its arguments, server and errors. It needs no extra."""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
import uuid
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import mongoengine
from bson.errors import BSONError
from mongoengine.errors import MongoEngineException
from pymongo import MongoClient
from pymongo.errors import ConnectionFailure, PyMongoError

from mongoengine_history.demo.order import ALIAS, Order, demo
from mongoengine_history.demo.replay import FORMAT, Replayed, ReplayError, read, replay
from mongoengine_history.embedded import NoServerError, embedded_server
from mongoengine_history.errors import HistoryError
from mongoengine_history.state.wording import shortened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from mongoengine import Document

SECONDS: Final = 5
"""How long a server may take to answer."""

LONGEST_MESSAGE: Final = 400
"""Characters of an error message."""


FAILURES: Final = (
    BSONError,
    HistoryError,
    ImportError,  # of an extra that --browse needs
    MongoEngineException,
    PyMongoError,
    ReplayError,
)
"""What is told in a line, as is that there is no server."""

BROWSABLE: Final = "To look at a history in a browser: python -m mongoengine_history demo --browse"


def main(arguments: Sequence[str]) -> int:
    """
    Run the demo.

    Args:
        arguments: Those after the word ``demo``.

    Returns:
        The exit code: 0 if all came back exactly, 1 if not, 2 if it could not be tried.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # what a console cannot show ends no demo
    given = _parser().parse_args(arguments)
    try:
        return 0 if _run(given.uri, given.replay, browse=given.browse) else 1
    except BrokenPipeError:  # the reader, say `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    except (NoServerError, *FAILURES) as error:
        sys.stderr.write(f"error: {_one_line(error)}\n")
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mongoengine_history demo",
        description="Make a history in a database of its own, show it and take it back to the\n"
        "byte. The database is dropped at the end.",
        epilog=FORMAT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--uri", help="the MongoDB server; else MONGODB_URI, else an embedded one is started"
    )
    parser.add_argument(
        "--replay",
        type=Path,
        metavar="FILE.jsonl.xz",
        help="take real revisions from a file instead of the example",
    )
    parser.add_argument(
        "--browse",
        action="store_true",
        help="then show the history in a browser, until Ctrl-C; needs the extra `web`",
    )
    return parser


def _one_line(error: Exception) -> str:
    text, _, _ = str(error).partition(", full error:")  # the same again, as the server sent it
    return shortened(" ".join(text.split()), LONGEST_MESSAGE)


def _run(uri: str | None, file: Path | None, *, browse: bool) -> bool:
    entries = read(file) if file else None  # before a server is started for nothing
    look = _browser() if browse else None
    named = uri or os.environ.get("MONGODB_URI")
    served = nullcontext(named) if named else embedded_server()
    with served as address, _throw_away_database(address) as where:
        about = f"MongoDB at {where}" if named else "An embedded MongoDB"
        show([f"{about}, in a database that is dropped at the end."])
        exact = demo(show) if entries is None else replay(entries, show)
        if look:
            look(Order if entries is None else Replayed)
        elif entries is None:
            show(["", BROWSABLE])
        return exact


def _browser() -> Callable[[type[Document]], None]:
    """Import what pages need, and return what serves those of a class."""
    web: Any = importlib.import_module("mongoengine_history.web.browser")
    server: Any = importlib.import_module("mongoengine_history.web.serve")

    def announce(address: str) -> None:
        show(["", f"Open {address} in a browser. Ctrl-C ends it."])

    return lambda model: server.serve(web.history_browser(model), 0, announce)


@contextmanager
def _throw_away_database(uri: str) -> Iterator[str]:
    """Connect `ALIAS` to a new database, dropped at the end; yield the names of the servers."""
    name = f"history_demo_{uuid.uuid4().hex[:12]}"
    with _client(uri) as client:
        _expect_answer(client)
        # MongoEngine gets no URI: a database named in it would win over the new one.
        mongoengine.connect(
            name, ALIAS, mongo_client_class=lambda **_: client, uuidRepresentation="standard"
        )
        try:
            yield _hosts(client)
        finally:
            client.drop_database(name)
            mongoengine.disconnect(ALIAS)


def _client(uri: str) -> MongoClient[Any]:
    try:
        return MongoClient(
            uri, serverSelectionTimeoutMS=SECONDS * 1000, uuidRepresentation="standard"
        )
    except (PyMongoError, ValueError) as error:  # whose text may quote a password
        hint = f"({type(error).__name__}); it looks like mongodb://localhost:27017"
        raise NoServerError(f"The URI is none of MongoDB {hint}") from error


def _expect_answer(client: MongoClient[Any]) -> None:
    try:
        client.admin.command("ping")
    except ConnectionFailure as error:
        where = _hosts(client)
        raise NoServerError(f"No MongoDB answers at {where} within {SECONDS} s.") from error


def _hosts(client: MongoClient[Any]) -> str:
    servers = client.topology_description.server_descriptions()
    return ", ".join(f"{host}:{port}" if port else str(host) for host, port in sorted(servers))


def show(lines: Iterable[str]) -> None:
    """Print lines at once, also into a pipe."""
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()
