"""The history browser as a view of Django."""

from __future__ import annotations

from http import HTTPStatus
from io import BytesIO
from typing import TYPE_CHECKING, Any

from django.http import HttpResponse
from django.views.decorators.csrf import csrf_exempt

from mongoengine_history.web.browser import USER

__all__ = ["history_part", "history_view"]

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest

    from mongoengine_history.web.browser import HistoryBrowser


def history_view(browser: HistoryBrowser) -> Callable[[HttpRequest, str], HttpResponse]:
    """
    Return the browser as a view, which takes the rest of a path as its argument.

    It stands at ``re_path(r"^history/(.*)$", …)``. The functions of the host find the user of
    Django in ``request.user``. Forms have tokens of their own, so Django does not look for its own.

    Args:
        browser: What `history_browser` returned.
    """

    def view(request: HttpRequest, rest: str = "") -> HttpResponse:
        root = request.path.removesuffix(rest)
        own = {"wsgi.input": BytesIO(request.body), "CONTENT_LENGTH": str(len(request.body))}
        return _answer(browser, {**_environ(request, root, rest), **own})

    mounted: Any = csrf_exempt(view)
    mounted.browser = browser
    return mounted  # type: ignore[no-any-return]  # Django has no types


def history_part(browser: HistoryBrowser, request: HttpRequest, root: str, rest: str) -> str:
    """
    Return a page of the browser as the user of another request sees it; nothing if it is refused.

    Args:
        browser: What `history_browser` returned.
        request: The request that is answered.
        root: The path at which the browser stands.
        rest: The path below it.
    """
    path, _, query = rest.partition("?")
    asked = {"REQUEST_METHOD": "GET", "QUERY_STRING": query, "wsgi.input": BytesIO()}
    answer = _answer(browser, {**_environ(request, root, path), **asked, "CONTENT_LENGTH": "0"})
    return answer.content.decode() if answer.status_code == HTTPStatus.OK else ""


def _answer(browser: HistoryBrowser, environ: dict[str, Any]) -> HttpResponse:
    answer: dict[str, Any] = {}

    def start(status: str, headers: list[tuple[str, str]], *_: object) -> None:
        answer.update(status=int(status.split(maxsplit=1)[0]), headers=headers)

    body = b"".join(browser.wsgi(environ, start))
    response = HttpResponse(body, status=answer["status"])
    for name, value in answer["headers"]:
        if name.lower() == "set-cookie":
            response.cookies.load(value)
        else:
            response[name] = value
    return response


def _environ(request: HttpRequest, root: str, rest: str) -> dict[str, Any]:
    """Return the environment of WSGI, below the path at which the browser stands."""
    own = {
        "SCRIPT_NAME": root.rstrip("/").encode().decode("latin-1"),
        "PATH_INFO": f"/{rest}".encode().decode("latin-1"),
        "HTTP_HOST": request.get_host(),
        "wsgi.url_scheme": request.scheme,
        "SERVER_PROTOCOL": "HTTP/1.1",
    }
    user = getattr(request, "user", None)
    known = {USER: user} if user is not None and user.is_authenticated else {}
    return {**request.META, **own, **known}
