"""What a run starts does not outlive it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from faults import children
from faults.children import Children

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]

PARENT = f"""
import time
from faults.children import Children
with Children() as children:
    children.start({SLEEP!r}, stdout=None)
    print(children.folder, flush=True)
    time.sleep(600)
"""


def test_a_run_leaves_no_process_and_no_file() -> None:
    with Children() as crew:
        child = crew.start(SLEEP)
    assert child.poll() is not None
    assert not crew.folder.exists()


def test_nor_does_a_run_that_is_killed() -> None:
    environment = {**os.environ, "PYTHONPATH": children.TESTS}
    pipes: Any = {"stdout": subprocess.PIPE, "text": True, "env": environment}
    with subprocess.Popen([sys.executable, "-c", PARENT], **pipes) as parent:
        folder = Path(parent.stdout.readline().strip())
        parent.kill()
        parent.stdout.read()  # until nobody holds the other end: guard and child have ended
    assert folder.name.startswith("mongoengine-history-faults-")
    assert not folder.exists()
