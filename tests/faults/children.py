"""The processes of a run, and the folder that they write to: none of it outlives the run."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from faults import guard

TESTS = str(Path(__file__).parents[1])


class Children:
    """Starts processes, and ends them with its block, or with this process if it is killed."""

    def __enter__(self) -> Children:
        self.folder = Path(tempfile.mkdtemp(prefix="mongoengine-history-faults-"))
        command = [sys.executable, guard.__file__, str(self.folder)]
        self._guard = subprocess.Popen(
            command, stdin=subprocess.PIPE, text=True, start_new_session=True
        )
        self._started: list[subprocess.Popen[str]] = []
        return self

    def __exit__(self, *_: object) -> None:
        self._guard.communicate()
        with ExitStack() as stack:  # which waits for each, and closes its pipes
            for child in self._started:
                stack.enter_context(child)

    def start(self, command: list[str], **pipes: Any) -> subprocess.Popen[str]:
        """Start a process; what it is not given a pipe for is not read or kept."""
        quiet = dict.fromkeys(["stdin", "stdout", "stderr"], subprocess.DEVNULL)
        child = subprocess.Popen(
            command,
            **{**quiet, **pipes},
            cwd=self.folder,
            env=_environment(),
            text=True,
            start_new_session=True,  # a Ctrl-C in the terminal is for this process
        )
        self._started.append(child)
        self._tell(child.pid)
        return child

    def run_module(self, name: str, task: str, **pipes: Any) -> subprocess.Popen[str]:
        """Start a module of this package, which gets a *task*."""
        return self.start([sys.executable, "-m", name, task], **pipes)

    def kill(self, child: subprocess.Popen[str]) -> None:
        """End a process as ``kill -9`` does."""
        child.kill()
        child.wait()
        self._tell(-child.pid)

    def _tell(self, number: int) -> None:
        assert self._guard.stdin
        print(number, file=self._guard.stdin, flush=True)


def _environment() -> dict[str, str]:
    """Let children import these modules, and the package that is imported here."""
    paths = [TESTS, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, paths))}
