"""Three mongod that elect a primary, again and again."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any, Final

from faults.children import Children
from faults.node import REPLICA_SET, Node
from pymongo.errors import PyMongoError

SIZE: Final = 3

TIMES: Final = {"electionTimeoutMillis": 1500, "heartbeatIntervalMillis": 500}

PATIENCE: Final = 60.0
"""Seconds to wait for a primary, however busy the machine is."""

HEALTHY: Final = {1, 2}
"""The states of a member that is the primary or a secondary."""


class ReplicaSet:
    """The members of a replica set. Their processes are those of *children*."""

    def __init__(self, children: Children, oplog_megabytes: int) -> None:
        self.nodes = [Node(children, number, oplog_megabytes) for number in range(SIZE)]

    @property
    def uri(self) -> str:
        hosts = ",".join(node.address for node in self.nodes)
        return f"mongodb://{hosts}/?replicaSet={REPLICA_SET}"

    def start(self) -> None:
        """Start the members, and wait until one of them is the primary."""
        for node in self.nodes:
            node.start()
        members = [{"_id": number, "host": it.address} for number, it in enumerate(self.nodes)]
        config = {"_id": REPLICA_SET, "members": members, "settings": TIMES}
        _wait_for(lambda: self.nodes[0].command({"replSetInitiate": config}, 10_000))
        self.wait_until_healthy()

    def primary(self, patience: float = PATIENCE) -> Node:
        """
        Wait for a primary, some seconds.

        Raises:
            TimeoutError: there is none for long.
        """

        def ask() -> Node:
            return next(node for node in self.nodes if node.is_primary)

        found: Node = _wait_for(ask, patience)
        return found

    def others(self, primary: Node) -> list[Node]:
        return [node for node in self.nodes if node is not primary]

    def heal(self) -> None:
        """End all faults, and wait until each member has caught up."""
        for node in self.nodes:
            node.thaw()
            node.start()
        self.wait_until_healthy()
        for node in self.nodes:
            _wait_for(lambda node=node: node.command({**FAIL_COMMAND, "mode": "off"}))

    def wait_until_healthy(self) -> None:
        """Wait until there is a primary, and the others follow it."""
        _wait_for(self._check_health)

    def _check_health(self) -> bool:
        primary = next(node for node in self.nodes if node.is_primary)
        members = primary.command({"replSetGetStatus": 1})["members"]
        if {member["state"] for member in members} <= HEALTHY:
            return True
        raise StopIteration


FAIL_COMMAND: Final = {"configureFailPoint": "failCommand"}
"""What makes a member fail commands on purpose."""


def _wait_for(ask: Any, patience: float = PATIENCE) -> Any:
    end = time.monotonic() + patience
    while time.monotonic() < end:
        with suppress(PyMongoError, StopIteration):
            return ask()
        time.sleep(0.1)
    raise TimeoutError("The replica set is not healthy, see the mongod.log of its members.")
