"""Round trips: what a thread sends to the server, counted by collection."""

from __future__ import annotations

import threading
from collections import Counter

from pymongo import monitoring


class Trips(monitoring.CommandListener):
    """Counts commands in the thread that sends them, so that threads do not disturb each other."""

    def __init__(self) -> None:
        self._of_thread = threading.local()

    @property
    def counts(self) -> Counter[str]:
        """How many commands this thread has sent to which collection; "" for other commands."""
        if not hasattr(self._of_thread, "counts"):
            self._of_thread.counts = Counter()
        counts: Counter[str] = self._of_thread.counts
        return counts

    @property
    def total(self) -> int:
        """How many commands this thread has sent."""
        return self.counts.total()

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        named = "collection" if event.command_name == "getMore" else event.command_name
        name = event.command[named]
        self.counts[name if isinstance(name, str) else ""] += 1

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        pass

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        pass


trips = Trips()
monitoring.register(trips)  # for all connections that are made later
