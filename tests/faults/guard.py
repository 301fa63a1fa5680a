"""
Kills processes and removes a folder as soon as the process that started them ends, however it ends.

Run as a script, ``python guard.py FOLDER``. A line of its standard input is the id of a process to
kill later, or with a minus sign in front of one that has ended.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path


def guard(folder: Path) -> None:
    """Wait until standard input closes, and clear away."""
    alive: set[int] = set()
    for line in sys.stdin:
        number = int(line)
        alive = alive | {number} if number > 0 else alive - {-number}
    for number in alive:
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
    for _ in range(50):  # who is killed may still make a file
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            break
        time.sleep(0.1)


if __name__ == "__main__":
    guard(Path(sys.argv[1]))
