"""Packages of npm that tests need."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

#: How npm tells that it cannot reach its registry, and nothing else.
UNREACHED = re.compile(r"E(AI_\w+|NOTFOUND|CONN\w+|TIMEDOUT|\w+UNREACH|5\d\d)|ERR_SOCKET_TIMEOUT")


def packed(package: str, folder: Path, *options: str) -> str:
    """
    Get a package by npm, and return the name of its archive.

    Where there is no registry its tests are skipped. Where there is no npm they are, too, but not
    in CI, where nobody would see it.
    """
    npm = shutil.which("npm")
    if npm is None and not os.environ.get("CI"):
        pytest.skip(f"there is no npm, which brings {package}")
    command = [npm or "npm", "pack", "--json", "--fetch-retry-mintimeout=1000", *options, package]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    answer = json.loads(done.stdout or "{}")
    if done.returncode == 0:
        return str(answer[0]["filename"])
    code = answer.get("error", {}).get("code", "")
    if UNREACHED.fullmatch(code):
        pytest.skip(f"the registry of npm, which brings {package}, cannot be reached: {code}")
    pytest.fail(f"npm does not bring {package}: {done.stderr}")
