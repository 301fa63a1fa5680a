"""Programs that run until they are interrupted."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any


@contextmanager
def running(command: Sequence[str], **options: Any) -> Iterator[Any]:
    """Run a program in the background; a test that fails does not wait for it."""
    with subprocess.Popen(command, text=True, **options) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def at_once(program: str, tasks: Iterable[dict[str, Any]]) -> Iterator[list[Any]]:
    """Run a program of Python for each task, all from one moment on; none is left afterwards."""
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    commands = [[sys.executable, program, json.dumps(task)] for task in tasks]
    processes = [subprocess.Popen(command, **pipes) for command in commands]
    try:
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()
