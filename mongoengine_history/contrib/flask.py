"""Flask: each request is a changeset, and the user who is logged in answers for it."""

from __future__ import annotations

from contextvars import copy_context
from inspect import GEN_CREATED, getgeneratorstate, isgenerator
from typing import TYPE_CHECKING, Any, Final

from flask import current_app, has_request_context, request

from mongoengine_history import changeset
from mongoengine_history.contrib.streams import Carried

try:
    from flask_login import current_user
except ImportError:
    current_user = None

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from flask import Flask, Response

__all__ = ["FlaskHistory"]

_OPEN: Final = "mongoengine_history.open"
"""Where the environment of a request has its open blocks."""

_IS_FILE: Final = "mongoengine_history.is_file"
"""Set in the environment of a request that is answered with a file."""


def logged_in() -> Any:
    """Return who is logged in with Flask-Login: its ``pk``, else its ``get_id()``; or None."""
    if current_user is None or not has_request_context():
        return None
    if not hasattr(current_app, "login_manager") or not current_user.is_authenticated:
        return None
    return current_user.pk if hasattr(current_user, "pk") else current_user.get_id()


class FlaskHistory:
    """
    Makes each request of an application a changeset.

    All that is written during a request shares an id, and ``request``, the method and the path, as
    metadata. That includes error handlers, functions after the request and streamed responses. It
    does not include what other ``before_request`` functions write that were registered earlier.

    Args:
        app: The application; without it call `init_app`.
        identity: Returns who answers for a request: a saved document, any BSON value or None. It
            is called without arguments at each write, inside the request. Without it that is the
            user who is logged in with Flask-Login, if the application uses it, else nobody.
        metadata: Returns more to keep with each revision: names and BSON values. It is called
            without arguments when a request begins.
    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        identity: Callable[[], object] | None = None,
        metadata: Callable[[], Mapping[str, Any]] | None = None,
    ) -> None:
        self._identity = identity or logged_in
        self._metadata = metadata or dict
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Make each request of *app* a changeset from now on."""
        wrapped: Any = app
        wrapped.wsgi_app = _Contexts(app.wsgi_app)
        app.before_request(self._enter)
        app.after_request(_carry)

    def _enter(self) -> None:
        opened = request.environ.get(_OPEN)
        if opened is None:  # no request is served: somebody calls this function by hand
            return
        said = {"request": f"{request.method} {request.path}", **self._metadata()}
        block = changeset(self._identity, **said)
        block.__enter__()
        opened.append(block)  # it ends with the context, which nobody else has


class _Contexts:
    """
    Runs each request in a context of its own, so that nothing of it can remain in the thread.

    The end of a request would not do: where a response is streamed, it comes before or after the
    stream, as the release of Flask has it, or never.
    """

    def __init__(self, wsgi_app: Callable[..., Iterable[bytes]]) -> None:
        self._wsgi_app = wsgi_app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        context = copy_context()
        environ.setdefault(_OPEN, [])
        parts = context.run(self._wsgi_app, environ, start_response)
        return parts if _IS_FILE in environ else Carried(parts, context)


def _carry(response: Response) -> Response:
    if response.direct_passthrough:  # the server may have a faster way to send it
        request.environ[_IS_FILE] = True
    elif response.is_streamed and not _has_begun(response.response):
        response.response = Carried[Any](response.response)  # the request can still be asked
    return response


def _has_begun(parts: object) -> bool:
    """Say whether a generator has found its context already, as with ``stream_with_context``."""
    return isgenerator(parts) and getgeneratorstate(parts) != GEN_CREATED
