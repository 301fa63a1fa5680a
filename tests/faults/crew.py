"""The writers of one setting, in processes that may be killed at any time."""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path
from random import Random
from typing import Final

from faults.children import Children
from faults.settings import Setting

PROCESSES: Final = 2

PATIENCE: Final = 120.0
"""Seconds to wait for a process that has all to do its work."""


class Crew:
    """Processes that write to the database of one setting."""

    def __init__(self, children: Children, setting: Setting, uri: str) -> None:
        self._children, self.setting = children, setting
        self.uri = setting.uri(uri)
        self.journals = Path(children.folder, setting.database)
        self.journals.mkdir()
        #: How many processes had the place of one.
        self._lives = [0] * PROCESSES
        self._processes = [self._started(place) for place in range(PROCESSES)]
        self.killed = 0

    def _started(self, place: int) -> subprocess.Popen[str]:
        self._lives[place] += 1
        name = f"p{place}.{self._lives[place]}"
        task = {"uri": self.uri, "database": self.setting.database, "name": name}
        task["journal"] = str(self.journals / f"{name}.journal")
        errors = (self.journals / f"{name}.err").open("w")
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": errors}
        with errors:
            return self._children.run_module("faults.writer", json.dumps(task), **pipes)

    def wait(self) -> None:
        """Wait until all write."""
        for process in self._processes:
            self._expect(process, "ready")

    def kill_one(self, chance: Random) -> str:
        """Kill a process, and start another one in its place."""
        place = chance.randrange(PROCESSES)
        self._children.kill(self._processes[place])
        self._processes[place] = self._started(place)
        self.killed += 1
        return f"writer {place} of {self.setting.name}"

    def settle(self) -> None:
        """Let them end; each looks at its documents once more."""
        for process in self._processes:
            assert process.stdin
            process.stdin.write("settle\n")
            process.stdin.flush()
        for process in self._processes:
            self._expect(process, "settled")

    def _expect(self, process: subprocess.Popen[str], word: str) -> None:
        assert process.stdout
        impatience = threading.Timer(PATIENCE, process.kill)
        impatience.start()
        try:
            if any(line.strip() == word for line in process.stdout):
                return
        finally:
            impatience.cancel()
        errors = [path.read_text() for path in self.journals.glob("*.err")]
        raise RuntimeError(f"A writer ended early:\n{''.join(errors)[-2000:]}")
