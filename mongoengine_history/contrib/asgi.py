"""ASGI, that is Starlette, FastAPI and others: each request and each websocket is a changeset."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import partial
from typing import Any

from mongoengine_history import changeset

__all__ = ["HistoryMiddleware"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


def authenticated(scope: Scope) -> Any:
    """Return ``pk``, ``identity`` or name of ``scope["user"]``, None if nobody is authenticated."""
    user = scope.get("user")
    if user is None or not user.is_authenticated:
        return None
    if hasattr(user, "pk"):  # a document, or a user of Django
        return user.pk
    try:
        return user.identity
    except (AttributeError, NotImplementedError):  # Starlette has it, but not for all users
        return user.display_name


def nothing(_scope: Scope) -> Mapping[str, Any]:
    """Return no metadata."""
    return {}


class HistoryMiddleware:
    """
    Makes each request, and each connection of a websocket, a changeset.

    All that is written meanwhile shares an id, and ``request``, the method and the path, as
    metadata. That includes sync endpoints, which run in threads, streamed responses and background
    tasks.

    Args:
        app: The ASGI application.
        identity: Returns who answers for a scope: a saved document, any BSON value or None. It is
            called at each write, so it sees what later middleware, dependencies and the endpoint
            put into the scope. Without it that is ``scope["user"]``, which Starlette's
            ``AuthenticationMiddleware`` sets: its ``pk``, ``identity`` or ``display_name``, None if
            it is not authenticated.
        metadata: Returns more to keep with each revision of a scope: names and BSON values. It is
            called when the request begins.
    """

    def __init__(
        self,
        app: Application,
        identity: Callable[[Scope], object] = authenticated,
        metadata: Callable[[Scope], Mapping[str, Any]] = nothing,
    ) -> None:
        self._app = app
        self._identity = identity
        self._metadata = metadata

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application, inside a changeset unless it starts up or shuts down."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        said = {"request": _request(scope), **self._metadata(scope)}
        with changeset(partial(self._identity, scope), **said):
            await self._app(scope, receive, send)


def _request(scope: Scope) -> str:
    return f"{scope.get('method', 'WEBSOCKET')} {scope['path']}"
