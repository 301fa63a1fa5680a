"""A page as a browser asks a server for it, without one."""

from __future__ import annotations

from contextlib import closing
from http.client import HTTPConnection
from urllib.parse import urlsplit


def fetched(address: str) -> str:
    """Return a page; a program like ``curl`` would not be let in."""
    with closing(HTTPConnection(urlsplit(address).netloc, timeout=20)) as connection:
        connection.request("GET", urlsplit(address).path, headers={"Connection": "keep-alive"})
        return connection.getresponse().read().decode()
