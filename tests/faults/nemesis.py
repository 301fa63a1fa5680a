"""What goes wrong, at random: members, writers and commands fail, in an order that a seed gives."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from random import Random
from typing import Any, Final

from faults.crew import Crew
from faults.node import Node
from faults.replica_set import FAIL_COMMAND, ReplicaSet
from pymongo.errors import PyMongoError

COMMANDS: Final = {"documents": ["findAndModify", "update", "delete"], "history": ["insert"]}
"""What writes documents (a creation is an insert, too), and what writes records."""

ERRORS: Final = {
    "HostUnreachable": 6,
    "ShutdownInProgress": 91,
    "PrimarySteppedDown": 189,
    "NotWritablePrimary": 10107,
    "InterruptedAtShutdown": 11600,
}

CONCERNS: Final = {"WriteConcernFailed": 64, "ShutdownInProgress": 91}
"""Errors of commands that were done, only not everywhere."""

MAJORITY_PATIENCE: Final = 12.0
"""Seconds that two members have to agree on a primary, without the third one."""

LATE: Final = 2500
"""Milliseconds that a command waits before it is done, longer than its client."""


class Nemesis:
    """Injects faults, and tells each."""

    def __init__(self, replica_set: ReplicaSet, crews: Sequence[Crew], seed: int) -> None:
        self._replica_set, self._crews, self._chance = replica_set, crews, Random(seed)

    def rage(self, seconds: float) -> None:
        """Inject faults, each kind of them before one comes again, as long as there is time."""
        end, deck = time.monotonic() + seconds, list[Callable[[Nemesis], str]]()
        while time.monotonic() < end:
            deck = deck or self._chance.sample(FAULTS, len(FAULTS))
            fault = deck.pop()
            self._pause(0.2, 1.0)
            what = fault(self)
            print(f"  {fault.__name__}: {what}", flush=True)

    def _pause(self, least: float, most: float) -> None:
        time.sleep(self._chance.uniform(least, most))

    def step_down(self) -> str:
        """Let the primary give up, whether another one is ready or not."""
        primary = self._replica_set.primary()
        with suppress(PyMongoError):  # it may close the connection
            primary.command({"replSetStepDown": 3, "secondaryCatchUpPeriodSecs": 1, "force": True})
        return primary.name

    def freeze_primary(self) -> str:
        """Let the primary stand still for a while: it goes on as one, or after an election."""
        primary = self._replica_set.primary()
        primary.freeze()
        self._pause(1.0, 4.0)
        primary.thaw()
        return primary.name

    def kill_primary(self) -> str:
        """Kill the primary, and start it again."""
        primary = self._replica_set.primary()
        primary.kill()
        self._pause(0.5, 2.0)
        primary.start()
        return primary.name

    def kill_primary_alone(self) -> str:
        """Kill a primary that has written what no other member has: that is rolled back."""
        primary = self._replica_set.primary()
        others = self._replica_set.others(primary)
        for node in others:
            node.kill()
        self._pause(0.5, 1.0)
        primary.kill()
        for node in others:
            node.start()
        with suppress(TimeoutError):  # one of the others may need that very member
            self._replica_set.primary(MAJORITY_PATIENCE)
        self._pause(0.2, 1.0)
        primary.start()
        return primary.name

    def kill_writers(self) -> str:
        """Kill a process of each setting."""
        return ", ".join(crew.kill_one(self._chance) for crew in self._crews)

    def kill_writers_between(self) -> str:
        """Kill some while records are on their way, which may be written, or not any more."""
        primary = self._replica_set.primary()
        self._set(primary, "history", 100, blockConnection=True, blockTimeMS=LATE)
        self._pause(0.3, 0.8)
        killed = self.kill_writers()
        self._end(primary)
        return killed

    def refuse_documents(self) -> str:
        return self._fail("documents", errorCode=self._error(ERRORS))

    def refuse_history(self) -> str:
        return self._fail("history", errorCode=self._error(ERRORS))

    def close_documents(self) -> str:
        return self._fail("documents", closeConnection=True)

    def close_history(self) -> str:
        return self._fail("history", closeConnection=True)

    def doubt_documents(self) -> str:
        return self._fail("documents", writeConcernError=self._concern())

    def doubt_history(self) -> str:
        return self._fail("history", writeConcernError=self._concern())

    def delay_documents(self) -> str:
        """Do the writes after their clients have gone."""
        return self._fail("documents", blockConnection=True, blockTimeMS=LATE)

    def delay_history(self) -> str:
        return self._fail("history", blockConnection=True, blockTimeMS=LATE)

    def _error(self, errors: dict[str, int]) -> int:
        return errors[self._chance.choice(list(errors))]

    def _concern(self) -> dict[str, Any]:
        return {"code": self._error(CONCERNS), "errmsg": "injected"}

    def _fail(self, what: str, **data: Any) -> str:
        """Let some commands of the primary fail."""
        primary, times = self._replica_set.primary(), self._chance.randint(6, 24)
        self._set(primary, what, times, **data)
        self._pause(0.5, 1.5)
        self._end(primary)
        return f"{primary.name}, {times} times {data}"

    def _set(self, primary: Node, what: str, times: int, **data: Any) -> None:
        data["failCommands"] = COMMANDS[what]
        with suppress(PyMongoError):  # it is gone already
            primary.command({**FAIL_COMMAND, "mode": {"times": times}, "data": data})

    def _end(self, primary: Node) -> None:
        with suppress(PyMongoError):
            primary.command({**FAIL_COMMAND, "mode": "off"})


FAULTS: Final = [
    *(Nemesis.step_down, Nemesis.freeze_primary, Nemesis.kill_primary),
    *(Nemesis.kill_primary_alone, Nemesis.kill_writers, Nemesis.kill_writers_between),
    *(Nemesis.refuse_documents, Nemesis.refuse_history),
    *(Nemesis.close_documents, Nemesis.close_history),
    *(Nemesis.doubt_documents, Nemesis.doubt_history),
    *(Nemesis.delay_documents, Nemesis.delay_history),
]
