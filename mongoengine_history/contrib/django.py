"""Django: each request is a changeset, and the user who is authenticated answers for it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction

from mongoengine_history import changeset
from mongoengine_history.contrib.streams import AsyncCarried, Carried

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from contextlib import AbstractContextManager

    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

__all__ = ["HistoryMiddleware"]


class HistoryMiddleware:
    """
    Makes each request a changeset, under WSGI and under ASGI.

    All that is written during a request shares an id, and ``request``, the method and the path, as
    metadata. That includes streamed responses. Name the class in ``MIDDLEWARE``; its place does
    not matter for who answers, since that is asked at each write. Make a subclass to say something
    else.

    Args:
        get_response: What Django hands over: the next middleware, or the view.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Answer *request*, inside a changeset."""
        if self._is_async:
            return self._wait(request)
        with self._changeset(request):
            return _carried(self._get_response(request))

    def identity(self, request: HttpRequest) -> object:
        """
        Return who answers for a write, asked at each one.

        Args:
            request: The request, as the views before have left it.

        Returns:
            A saved document, any BSON value, or None for nobody. Here that is the primary key of
            ``request.user``, None if it is anonymous or not set.
        """
        user = getattr(request, "user", None)
        return user.pk if user is not None and user.is_authenticated else None

    def metadata(self, request: HttpRequest) -> Mapping[str, Any]:
        """
        Return what else to keep with each revision, asked when a request begins.

        Args:
            request: The request. It has no user yet if this middleware comes before the one that
                sets it.

        Returns:
            Names and BSON values. Here that is ``request``, the method and the path.
        """
        return {"request": f"{request.method} {request.path}"}

    async def _wait(self, request: HttpRequest) -> HttpResponseBase:
        with self._changeset(request):
            return _carried(await self._get_response(request))

    def _changeset(self, request: HttpRequest) -> AbstractContextManager[object]:
        return changeset(partial(self.identity, request), **self.metadata(request))


def _carried(response: HttpResponseBase) -> HttpResponseBase:
    """Let the parts of a streamed response be made inside the changeset."""
    # Files are passed through as they are: nothing is written while they are sent.
    if response.streaming and not getattr(response, "file_to_stream", None):
        carry = AsyncCarried if getattr(response, "is_async", False) else Carried
        response.streaming_content = carry(response.streaming_content)
    return response
