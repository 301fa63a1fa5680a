"""The CPU time of a thread, without what it spends in sockets: what a client works itself."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from functools import wraps
from typing import Any, Final

_spent: Final = threading.local()


def client_cpu() -> float:
    """Return the seconds that this thread has worked so far, sending and receiving aside."""
    return time.thread_time() - getattr(_spent, "seconds", 0.0)


def _aside(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def timed(*args: Any) -> Any:
        start = time.thread_time()
        try:
            return method(*args)
        finally:
            _spent.seconds = getattr(_spent, "seconds", 0.0) + time.thread_time() - start

    return timed


for _name in ("sendall", "recv_into"):  # by which PyMongo talks to the server
    setattr(socket.socket, _name, _aside(getattr(socket.socket, _name)))
