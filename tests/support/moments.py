"""Moments between revisions, as naive local times."""

from __future__ import annotations

import time
from datetime import datetime


def now() -> datetime:
    """Name a moment that lies after all that was done and before all that comes."""
    time.sleep(0.001)
    moment = datetime.now()
    time.sleep(0.001)
    return moment


def moment_after(_: object) -> datetime:
    """Name the moment after a change, before all that comes."""
    return now()
