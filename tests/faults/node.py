"""One member of the replica set: a mongod that can be killed, stopped and started again."""

from __future__ import annotations

import random
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any, Final

from faults.children import Children
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from mongoengine_history.embedded import find_mongod

REPLICA_SET: Final = "faults"

PATIENCE: Final = 1500
"""Milliseconds to wait for an answer of one member."""

PORTS: Final = range(20000, 32000)
"""Below those that a system gives to clients, who might take the port of a member that is down."""


class Node:
    """A member of the replica set, with a folder and a port of its own."""

    def __init__(self, children: Children, number: int, oplog_megabytes: int) -> None:
        self._children, self._oplog = children, oplog_megabytes
        self._folder = children.folder / f"node{number}"
        self._folder.mkdir()
        self._port = _free_port()
        self.name = f"node {number}"
        self.address = f"127.0.0.1:{self._port}"
        self._server: subprocess.Popen[str] | None = None

    @property
    def is_alive(self) -> bool:
        return self._server is not None and self._server.poll() is None

    def start(self) -> None:
        """Start it, unless it runs."""
        if not self.is_alive:
            self._server = self._children.start([str(find_mongod()), *self._options()])

    def _options(self) -> list[str]:
        log = Path(self._folder, "mongod.log")
        options = ["--dbpath", str(self._folder), "--logpath", str(log), "--logappend"]
        options += ["--port", str(self._port), "--bind_ip", "127.0.0.1", "--nounixsocket"]
        options += ["--replSet", REPLICA_SET, "--oplogSize", str(self._oplog)]
        options += ["--wiredTigerCacheSizeGB", "0.25"]
        options += ["--setParameter", "diagnosticDataCollectionEnabled=false"]
        return [*options, "--setParameter", "enableTestCommands=1"]

    def kill(self) -> None:
        """End it as a failure of power does."""
        if self._server is not None and self.is_alive:
            self._children.kill(self._server)

    def freeze(self) -> None:
        """Let it stand still, with all connections open."""
        if self._server is not None and self.is_alive:
            self._server.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on as if no time had passed."""
        if self._server is not None and self.is_alive:
            self._server.send_signal(signal.SIGCONT)

    def command(self, command: dict[str, Any], milliseconds: int = PATIENCE) -> dict[str, Any]:
        """
        Ask this very member.

        Raises:
            PyMongoError: it does not answer, or refuses.
        """
        timeouts = dict.fromkeys(["serverSelectionTimeoutMS", "socketTimeoutMS"], milliseconds)
        with MongoClient[dict[str, Any]](self.address, directConnection=True, **timeouts) as client:
            return client.admin.command(command)

    @property
    def is_primary(self) -> bool:
        try:
            return self.is_alive and bool(self.command({"hello": 1})["isWritablePrimary"])
        except PyMongoError:
            return False


def _free_port() -> int:
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
