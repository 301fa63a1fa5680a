"""How the clients of a run are set up: the write concern, and whether the driver tries again."""

from __future__ import annotations

from typing import Final, NamedTuple

TIMEOUTS: Final = {
    "connectTimeoutMS": 1000,
    "serverSelectionTimeoutMS": 4000,
    "socketTimeoutMS": 2000,
    "wTimeoutMS": 1000,
}
"""Shorter than faults may last."""


class Setting(NamedTuple):
    """The options of a connection that decide what a fail-over costs."""

    w: str
    retry_writes: bool

    @property
    def name(self) -> str:
        """What stands above its column."""
        return f"w={self.w}, retryWrites={'on' if self.retry_writes else 'off'}"

    @property
    def database(self) -> str:
        return f"faults_{self.w}_{'on' if self.retry_writes else 'off'}"

    @property
    def is_safe(self) -> bool:
        """Whether a fail-over leaves what was acknowledged."""
        return self.w == "majority"

    def uri(self, uri: str) -> str:
        """Add the options to the URI of a replica set."""
        options = {"w": self.w, "retryWrites": str(self.retry_writes).lower(), **TIMEOUTS}
        return "&".join([uri, *(f"{name}={value}" for name, value in options.items())])


SETTINGS: Final = [Setting(w, retry) for w in ("majority", "1") for retry in (True, False)]
