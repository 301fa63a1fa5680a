"""The history browser for one person: served to this machine, until Ctrl-C."""

from __future__ import annotations

from contextlib import suppress
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

if TYPE_CHECKING:
    from collections.abc import Callable

    from mongoengine_history.web.browser import HistoryBrowser


def serve(browser: HistoryBrowser, port: int, announce: Callable[[str], object]) -> None:
    """Answer at *port* of 127.0.0.1, 0 for any; *announce* takes the address, ending in a slash."""
    with make_server("127.0.0.1", port, browser.wsgi, _Threads, _Quiet) as server:
        announce(f"http://127.0.0.1:{server.server_port}/")
        with suppress(KeyboardInterrupt):
            server.serve_forever()


class _Threads(ThreadingMixIn, WSGIServer):
    """Answers in threads: who asks for nothing holds nobody up, and Ctrl-C meets no answer."""

    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Tell nothing of each request."""
