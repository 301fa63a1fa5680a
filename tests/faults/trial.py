"""A whole run: a replica set, a crew of writers for each setting, a nemesis, a judge."""

from __future__ import annotations

import json
import subprocess
import time
from typing import Final

from faults.children import Children
from faults.crew import Crew
from faults.findings import Findings
from faults.nemesis import LATE, Nemesis
from faults.replica_set import ReplicaSet
from faults.settings import SETTINGS

SHARE: Final = 0.6
"""How much of the time has faults; the rest is for the beginning, the end, and the judge."""

LEAST_OPLOG: Final = 128
"""Megabytes. It holds all of a run, at less than one for a second."""


def run(seconds: float, seed: int) -> list[Findings]:
    """Let writers write under faults, and return what was found in each setting."""
    with Children() as children:
        replica_set = ReplicaSet(children, max(LEAST_OPLOG, round(seconds)))
        replica_set.start()
        crews = [Crew(children, setting, replica_set.uri) for setting in SETTINGS]
        for crew in crews:
            crew.wait()
        _say("Faults, the same ones for all settings:")
        Nemesis(replica_set, crews, seed).rage(SHARE * seconds)
        replica_set.heal()
        time.sleep(LATE / 1000)  # what was delayed is done
        _say("All is healthy. Each writer saves each of its documents once more, and looks at it.")
        for crew in crews:
            crew.settle()
        _say("The judge replays each state.")
        return judged(children, crews, replica_set.uri)


def judged(children: Children, crews: list[Crew], uri: str) -> list[Findings]:
    """Let a judge look at each setting, each in a process of its own."""
    judges = [_judge(children, crew, uri) for crew in crews]
    return [Findings(**json.loads(judge.communicate()[0])) for judge in judges]


def _judge(children: Children, crew: Crew, uri: str) -> subprocess.Popen[str]:
    setting = crew.setting
    task = {"uri": uri, "database": setting.database, "journals": str(crew.journals)}
    task |= {"setting": setting.name, "is_safe": setting.is_safe}
    pipes = {"stdout": subprocess.PIPE, "stderr": None}
    return children.run_module("faults.judge", json.dumps(task), **pipes)


def _say(text: str) -> None:
    print(text, flush=True)
