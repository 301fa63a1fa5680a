"""What keeps others out: who is let in, headers of answers, tokens of forms."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.requests import Request
    from starlette.responses import Response

LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
"""Names and addresses of the own machine."""

FORWARDED: Final = re.compile(
    r"(x-)?forwarded(-.*)?|via|(x-)?real-ip|.*-(client|connecting|cluster-client)-ip|x-envoy-.*"
)
"""Headers of those who hand on what others have sent."""

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # With less than that browsers do not say where a form comes from.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""What each answer says."""

COOKIE: Final = "history_token"


def is_local(request: Request) -> bool:
    """Say whether a request comes from the own machine, by a name of it, and from nobody else."""
    environ: dict[str, Any] = request.scope.get("wsgi_environ", {})
    client = request.client.host if request.client else environ.get("REMOTE_ADDR")
    if any(FORWARDED.fullmatch(name.lower()) for name in request.headers):
        return False
    if not _is_first_hop(request):
        return False
    return client in LOOPBACK and host_of(request) in LOOPBACK


def _is_first_hop(request: Request) -> bool:
    """
    Say whether it is a browser that sends a request, and not who hands it on.

    Some proxies name the own machine as the host, and not themselves: nginx, unless it is told to.
    But all browsers ask for a connection that is kept, which is for the next hop alone, and which
    no proxy hands on; only HTTP/2 has no word for that.
    """
    asked = request.headers.get("connection", "").lower().split(",")
    is_kept = "keep-alive" in map(str.strip, asked)
    return is_kept or not str(request.scope.get("http_version", "1")).startswith("1")


def host_of(request: Request) -> str | None:
    """Return the name under which a browser sees the pages; None if it is none."""
    return named_in(request.headers.get("host", ""))


def named_in(host: str) -> str | None:
    """Return the name of a host without its port, in small letters; None if it is none."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def is_from_own_page(request: Request, hosts: Collection[str]) -> bool:
    """Say whether a form was sent by a page of the same origin: browsers tell it."""
    site, origin = (request.headers.get(name) for name in ("sec-fetch-site", "origin"))
    if site is not None and site != "same-origin":
        return False
    if origin is None:
        return site == "same-origin"
    try:
        named = urlsplit(origin)
    except ValueError:
        return False
    return named.netloc == request.headers.get("host") or named.hostname in hosts


def token_for(secret: bytes, cookie: str) -> str:
    """Return what a form must hold, by the cookie that the browser holds."""
    return hmac.new(secret, b"form:" + cookie.encode(), hashlib.sha256).hexdigest()


def is_token(secret: bytes, request: Request, given: str) -> bool:
    """Say whether a form holds what it must."""
    cookie = request.cookies.get(COOKIE, "")
    meant = token_for(secret, cookie).encode()
    return bool(cookie) and hmac.compare_digest(meant, given.encode())


def new_cookie() -> str:
    """Draw what a browser is known by, for as long as it runs."""
    return secrets.token_urlsafe(32)


def give_cookie(response: Response, request: Request, cookie: str, path: str) -> None:
    """Let a browser keep its cookie: for these pages alone, and for no script."""
    is_safe = request.url.scheme == "https"
    response.set_cookie(COOKIE, cookie, path=path, secure=is_safe, httponly=True, samesite="strict")
