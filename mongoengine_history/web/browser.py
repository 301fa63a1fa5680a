"""The history browser as one application, for ASGI and for WSGI."""

from __future__ import annotations

import secrets
from datetime import timezone
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

try:
    from a2wsgi import ASGIMiddleware
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.convertors import IntegerConvertor, register_url_convertor
    from starlette.responses import PlainTextResponse
    from starlette.routing import Mount, Route
    from starlette.staticfiles import StaticFiles
except ImportError as error:
    raise ImportError('Install what pages need: pip install "mongoengine-history[web]"') from error

from bson.errors import InvalidBSON
from mongoengine import Document

from mongoengine_history.documents.fieldrules import concrete
from mongoengine_history.documents.options import is_tracked
from mongoengine_history.documents.snapshot import check_model, stored_key
from mongoengine_history.errors import HistoryError, OptionsError
from mongoengine_history.faces.classless import Classless
from mongoengine_history.faces.phrases import ENGLISH
from mongoengine_history.web import changesets, erasing, leading_back, reading
from mongoengine_history.web.failures import Failure
from mongoengine_history.web.keys import key_text, name_text, named
from mongoengine_history.web.look import Look
from mongoengine_history.web.protection import (
    HEADERS,
    host_of,
    is_from_own_page,
    is_local,
    is_token,
    named_in,
)
from mongoengine_history.web.rights import check_sync, nobody
from mongoengine_history.web.site import Site, no_fields, who_sent

__all__ = ["HistoryBrowser", "history_browser"]

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from datetime import tzinfo

    from starlette.requests import Request
    from starlette.responses import Response

    from mongoengine_history.faces.phrases import Translations
    from mongoengine_history.web.rights import Decide

USER: Final = "mongoengine_history.user"
"""Where a view of another framework leaves its user, in the environment of WSGI."""

LARGEST_FORM: Final = 256 * 1024
"""Bytes that a form may have."""

PAGES: Final[dict[str, Callable[[Look], Response]]] = {
    "/": reading.latest,
    "/help": reading.help,
    "/deleted": reading.gone,
    "/changesets/{id}": reading.changeset,
    "/{model}/{key}": reading.document,
    "/{model}/{key}/compare": reading.compare,
    "/{model}/{key}/newest": reading.newest,
    "/{model}/{key}/{number:revision}": reading.revision,
    "/{model}/{key}/{number:revision}/state": reading.state,
}

FORMS: Final = {
    "/{model}/{key}/erase": (erasing.look_at, erasing.carry_out),
    "/changesets/{id}/revert": (changesets.look_at, changesets.carry_out),
    "/{model}/{key}/{kind}": (leading_back.look_at, leading_back.carry_out),
    "/{model}/{key}/{number:revision}/{kind}": (leading_back.look_at, leading_back.carry_out),
}
"""Pages that show what will be done, and what does it."""


class _Number(IntegerConvertor):
    regex = "[0-9]{1,18}"  # of more digits Python makes no number, or MongoDB has none


register_url_convertor("revision", _Number())


class HistoryBrowser:
    """An ASGI application; `wsgi` is the same for WSGI."""

    def __init__(self, site: Site) -> None:
        self._site = site
        pages = [Route(path, self._page(page)) for path, page in PAGES.items()]
        forms = [
            Route(path, self._page(*both), methods=["GET", "POST"]) for path, both in FORMS.items()
        ]
        files = StaticFiles(packages=[("mongoengine_history.web", "static")])
        self._app = Starlette(routes=[Mount("/static", files), *pages, *forms])
        self._app.router.redirect_slashes = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        root, environ = scope.get("root_path", ""), scope.get("wsgi_environ", {})
        if scope["type"] == "http" and scope["path"] == root:
            scope = {**scope, "path": f"{root}/"}
        if USER in environ:
            scope = {**scope, "user": environ[USER]}

        async def protected(message: Any) -> None:
            if message["type"] == "http.response.start":
                own = {name.lower() for name, _ in message["headers"]}
                more = [(name.lower().encode(), it.encode()) for name, it in HEADERS.items()]
                message["headers"] = [*message["headers"], *(it for it in more if it[0] not in own)]
            await send(message)

        await self._app(scope, receive, protected)

    def wsgi(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        """Answer a request of a server or a framework that speaks WSGI: the same application."""
        answer: Any = self._from_wsgi(environ, start_response)
        return [b"".join(answer)]  # whole, so that nothing waits for who reads no further

    @cached_property
    def _from_wsgi(self) -> Any:
        return ASGIMiddleware(self)

    def below(self, prefix: str) -> Callable[[dict[str, Any], Any], list[bytes]]:
        """
        Return the application for WSGI as a view of another one gives it, by its path there.

        What the view knows, such as the user of Flask-Login, the functions of the host know, too.
        """
        prefix = f"/{prefix.strip('/')}"

        def answer(environ: dict[str, Any], start_response: Any) -> list[bytes]:
            path, root = environ["PATH_INFO"], environ.get("SCRIPT_NAME", "") + prefix
            moved = {"SCRIPT_NAME": root, "PATH_INFO": path.removeprefix(prefix)}
            return self.wsgi({**environ, **moved}, start_response)

        return answer

    def path_of(self, document: Document | type[Document], pk: object = None) -> str:
        """
        Return the path of a document's history, below that of the browser. Reads nothing.

        Args:
            document: The document, or its class.
            pk: With a class, the primary key, in any form that a query takes.

        Raises:
            OptionsError: it has no primary key, or the browser does not show its class.
        """
        model = document if isinstance(document, type) else type(document)
        names = self._site.names
        name = next((names[it] for it in model.__mro__ if it in names), None)
        if name is None:
            raise OptionsError("document", document, "the browser does not show its class")
        return f"{name_text(name)}/{key_text(model, stored_key(document, pk))}"

    def gettext(self, phrase: str) -> str:
        """Return a phrase in the language of the pages, for what leads to them."""
        return self._site.gettext(phrase)

    def _page(self, *both: Callable[[Look], Response]) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            look = Look(self._site, request)
            try:
                self._check(request)
                if request.method == "POST":
                    look.said = await self._form(request)
                page = both[-1] if request.method == "POST" else both[0]
                return await run_in_threadpool(_answered, page, look)
            except Failure as error:
                return PlainTextResponse(look.gettext(error.message), error.status)

        return answer

    def _check(self, request: Request) -> None:
        """Let nobody in whom the site is not for."""
        if self._site.may_see is None and not is_local(request):
            raise Failure(403, "elsewhere")
        if self._site.hosts and host_of(request) not in self._site.hosts:
            raise Failure(421, "unknown")

    async def _form(self, request: Request) -> dict[str, list[str]]:
        """Read a form that one of the own pages has sent."""
        if not is_from_own_page(request, self._site.hosts):
            raise Failure(403, "forged")
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > LARGEST_FORM:
                raise Failure(413, "large")
        try:
            said = parse_qs(body.decode("utf-8", "replace"), max_num_fields=1000)
        except ValueError as error:
            raise Failure(413, "large") from error
        if not is_token(self._site.secret, request, said.get("token", [""])[0]):
            raise Failure(403, "forged")
        return said


def _answered(page: Callable[[Look], Response], look: Look) -> Response:
    """Answer, or say why not; what the history does not have is no error of the server."""
    try:
        return page(look)
    except (Failure, HistoryError, InvalidBSON) as error:
        return look.failure(error)


def history_browser(  # noqa: PLR0913  # each option has its name
    *models: type[Document],
    may_see: Decide | None = None,
    may_restore: Decide | None = None,
    may_erase: Decide | None = None,
    identity: Callable[[Request], Any] = who_sent,
    identity_label: Callable[[Any], str] = str,
    zone: tzinfo = timezone.utc,
    hosts: Collection[str] = (),
    secret: bytes | None = None,
    form_fields: Callable[[Request], Mapping[str, str]] = no_fields,
    translations: Translations = ENGLISH,
) -> HistoryBrowser:
    """
    Return pages on which people look at histories, and lead documents back.

    Args:
        *models: The classes whose histories are shown, each with its subclasses; all tracked ones
            if none is given.
        may_see: ``may_see(request, model, pk, path)`` says who may look at what: at a class where
            *pk* is None, at a document where *path* is None, else at the values at a path of it,
            names of attributes joined by dots. What it refuses is not there, or masked. Without it
            the pages answer to the own machine alone, and nothing can be changed.
        may_restore: The same for who may undo, revert and restore. Without it nobody may.
        may_erase: The same for who may erase values from a history, for good. Without it nobody
            may.
        identity: Who sent a request, to be recorded with what it changes; the user that the
            framework knows if nothing is given.
        identity_label: Makes a text of an identity, such as the name of a user.
        zone: In which moments are told, and asked for.
        hosts: Under which names the pages may be seen; any if none is given.
        secret: 16 bytes or more, the same in each process that serves the pages; drawn if none is
            given.
        form_fields: Returns more hidden fields for the forms of a request, names and texts, where
            the application asks for a token of its own.
        translations: Tells phrases in another language: ``gettext`` and ``ngettext`` of an object,
            such as a `gettext.GNUTranslations`, by the English ones.

    Raises:
        OptionsError: an argument cannot be used.
    """
    if secret is not None and (not isinstance(secret, bytes) or len(secret) < 16):
        raise OptionsError("secret", "…", "it must be 16 bytes or more")
    decisions = {"may_see": may_see, "may_restore": may_restore, "may_erase": may_erase}
    for name, decide in decisions.items():
        if decide is not None and may_see is None:
            raise OptionsError(name, decide, "say may_see, too: who may look")
    told = {"identity": identity, "identity_label": identity_label, "form_fields": form_fields}
    for name, function in {**decisions, **told}.items():
        check_sync(name, function)
    if isinstance(hosts, str) or any(named_in(it) != it for it in hosts):
        raise OptionsError("hosts", hosts, "it is a list of names in small letters, without ports")
    for model in models:
        check_model(model)
    site = Site(
        named(models or _tracked()),
        may_see,
        may_restore or nobody,
        may_erase or nobody,
        identity,
        identity_label,
        zone,
        frozenset(hosts),
        secret or secrets.token_bytes(32),
        form_fields,
        translations,
    )
    return HistoryBrowser(site)


def _tracked() -> list[type[Document]]:
    """Return the tracked classes, without those below others in the same collection."""
    tracked = [it for it in concrete(Document) if is_tracked(it) and not issubclass(it, Classless)]
    return [it for it in tracked if not set(it.__mro__[1:]) & {*tracked}]
