"""A server that asks for passwords."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pymongo import MongoClient

from mongoengine_history.embedded import NoServerError, _free_port, find_mongod


@contextmanager
def asking_for_passwords(folder: Path) -> Iterator[int]:
    """Start one for the block, on which ``root`` may do all, with the password x; give its port."""
    try:
        mongod = find_mongod()
    except NoServerError as error:
        pytest.skip(str(error))
    port, log = _free_port(), str(folder / "log")
    options = ["--dbpath", str(folder), "--port", str(port), "--bind_ip", "127.0.0.1", "--auth"]
    quiet = ["--nounixsocket", "--wiredTigerCacheSizeGB", "0.25", "--logpath", log]
    server = subprocess.Popen([str(mongod), *options, *quiet], stdout=subprocess.DEVNULL)
    try:
        with MongoClient("127.0.0.1", port, directConnection=True) as first:
            first.admin.command("createUser", "root", pwd="x", roles=["root"])
        yield port
    finally:
        server.terminate()
        server.wait()
