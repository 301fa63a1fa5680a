"""The history browser as a view of Django."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

from django.http import HttpResponse
from django.views.decorators.csrf import csrf_exempt

from mongoengine_history.web.browser import USER

__all__ = ["history_view"]

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
        answer: dict[str, Any] = {}

        def start(status: str, headers: list[tuple[str, str]], *_: object) -> None:
            answer.update(status=int(status.split(maxsplit=1)[0]), headers=headers)

        body = b"".join(browser.wsgi(_environ(request, rest), start))
        response = HttpResponse(body, status=answer["status"])
        for name, value in answer["headers"]:
            if name.lower() == "set-cookie":
                response.cookies.load(value)
            else:
                response[name] = value
        return response

    return csrf_exempt(view)  # type: ignore[no-any-return]  # Django has no types


def _environ(request: HttpRequest, rest: str) -> dict[str, Any]:
    """Return the environment of WSGI, below the path at which the view stands."""
    root = request.path.removesuffix(rest).rstrip("/")
    body = request.body
    own = {
        "SCRIPT_NAME": root.encode().decode("latin-1"),
        "PATH_INFO": f"/{rest}".encode().decode("latin-1"),
        "HTTP_HOST": request.get_host(),
        "wsgi.input": BytesIO(body),
        "wsgi.url_scheme": request.scheme,
        "CONTENT_LENGTH": str(len(body)),
        "SERVER_PROTOCOL": "HTTP/1.1",
    }
    user = getattr(request, "user", None)
    known = {USER: user} if user is not None and user.is_authenticated else {}
    return {**request.META, **own, **known}
