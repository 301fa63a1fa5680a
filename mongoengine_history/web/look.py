"""One request: who looks at what, and the answer to it."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from starlette.responses import HTMLResponse, RedirectResponse

from mongoengine_history.errors import HistoryError, OptionsError
from mongoengine_history.faces.identity import identity_text, quoted
from mongoengine_history.faces.question import LONGEST_QUESTION
from mongoengine_history.record.committed import Committed
from mongoengine_history.record.connected import connected
from mongoengine_history.record.place import Place
from mongoengine_history.record.revisions import Revisions
from mongoengine_history.web.failures import ASKED_WRONGLY, NOT_ASKED, Failure, told
from mongoengine_history.web.keys import key_in_text, key_text, name_text
from mongoengine_history.web.protection import COOKIE, give_cookie, new_cookie, token_for
from mongoengine_history.web.site import address, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bson.errors import InvalidBSON
    from mongoengine import Document
    from starlette.requests import Request
    from starlette.responses import Response

    from mongoengine_history import Recorded
    from mongoengine_history.faces.words import Words
    from mongoengine_history.web.rights import Rights
    from mongoengine_history.web.rows import Row
    from mongoengine_history.web.site import Site


@dataclass
class Look:
    """A request to the site, and what a form said, by names."""

    site: Site
    request: Request
    said: Mapping[str, list[str]] = field(default_factory=dict)

    @property
    def part(self) -> Mapping[str, Any]:
        """The parts of the address."""
        return self.request.path_params

    @property
    def query(self) -> Mapping[str, str]:
        """What stands behind the question mark."""
        return self.request.query_params

    def given(self, name: str) -> str:
        """Return what a form said, without the spaces around it."""
        return self.said.get(name, [""])[0].strip()

    def has_mark(self, mark: str) -> bool:
        """Say whether a form was sent from a page with that mark."""
        return hmac.compare_digest(mark.encode(), self.given("mark").encode())

    def url(self, *parts: object, **query: object) -> str:
        """Return an address of the browser."""
        return address(self.request.scope.get("root_path", ""), *parts, **query)

    def url_of(self, it: Row | Rights, *parts: object, **query: object) -> str:
        """Return the address of a document, or of a page about it."""
        name, key = name_text(self.site.names[it.model]), key_text(it.model, it.pk)
        return self.url(name, key, *parts, **query)

    def url_of_class(self, model: type[Document]) -> str:
        """Return the address of the recent changes of a class."""
        return self.url(q=f"model:{quoted(self.site.names[model])}")

    def url_of_deeds(self, model: type[Document], identity: Any) -> str | None:
        """Return the address of what somebody did; None if it cannot be asked for."""
        if identity is None:
            return None
        text = identity_text(identity, model._get_collection().codec_options)
        is_short = text is not None and len(text) < LONGEST_QUESTION - len("by:")
        return self.url(q=f"by:{text}") if is_short else None

    @cached_property
    def rights(self) -> Rights:
        """The rights to the document, or the class, that the address names."""
        model = self.site.addressed.get(self.part["model"])
        if model is None or connected(model) is None:
            raise Failure(404, "unknown")
        try:
            pk = key_in_text(model, self.part["key"]) if "key" in self.part else None
        except OptionsError as error:
            raise Failure(404, "unknown") from error
        rights = self.site.rights(self.request, model, pk)
        if not rights.sees:
            raise Failure(404, "unknown")  # as if it was not there
        return rights

    @cached_property
    def words(self) -> Words:
        """How revisions are told of the class that the address names."""
        return self.site.words(self.rights.model)

    def rights_to(self, model: type[Document], pk: Any = None) -> Rights:
        """Return the rights to a class, or a document."""
        return self.site.rights(self.request, model, pk)

    @cached_property
    def seen_models(self) -> list[type[Document]]:
        """The classes that may be seen, as far as this process is connected to them."""
        models = [it for it in self.site.models.values() if connected(it) is not None]
        return [it for it in models if self.rights_to(it).sees]

    def histories(self, models: Iterable[type[Document]]) -> list[list[type[Document]]]:
        """Put classes together whose history is one."""
        found: dict[Any, list[type[Document]]] = {}
        for model in models:
            found.setdefault(Committed([model], None).kept, []).append(model)
        return [*found.values()]

    def model_of(self, found: Recorded, models: Iterable[type[Document]]) -> type[Document] | None:
        """Return the one of some classes of which a document is; None if it is of none."""
        name, key = found.document_type, found.document_id
        places = [it for it in map(Place, models) if name in it.names]
        if len(places) > 1:  # which share a collection
            known = [(it.model, Revisions(it, key)) for it in places]
            return next((model for model, its in known if its.seen_by(model) is its), None)
        return places[0].model if places else None

    def number(self, name: str) -> int | None:
        """Read a number behind the question mark; None if there is none. Another text is told."""
        text = self.query.get(name, "")
        if text and not (text.isascii() and text.isdigit() and len(text) < 16):
            raise Failure(404, "unknown")
        return int(text) if text else None

    def gettext(self, phrase: str) -> str:
        """Return a phrase in the language of the site."""
        return self.site.gettext(phrase)

    def say_wrong(self, error: OptionsError) -> str:
        """Tell that something cannot be asked for."""
        template = self.gettext(ASKED_WRONGLY.get(error.name, NOT_ASKED))
        return template.format(value=plain(error.value))

    def page(self, template: str, status: int = 200, **shown: Any) -> Response:
        """Return a page."""
        shown = {"look": self, "url": self.url, "query": self.query, "rights": None, **shown}
        page = self.site.templates.get_template(template).render(**shown)
        return HTMLResponse(page, status)

    def form(self, template: str, status: int = 200, *, mark: str, **shown: Any) -> Response:
        """Return a page with a form that only this browser can send, of what has that mark."""
        cookie = self.request.cookies.get(COOKIE) or new_cookie()
        token = token_for(self.site.secret, cookie)
        hidden = {**self.site.form_fields(self.request), "token": token, "mark": mark}
        response = self.page(template, status, hidden=hidden, **shown)
        give_cookie(response, self.request, cookie, self.url())
        return response

    def redirect(self, url: str) -> Response:
        """Lead to another page of the browser."""
        return RedirectResponse(url, 303)

    def failure(self, error: HistoryError | InvalidBSON | Failure) -> Response:
        """Return the page that says what is wrong."""
        status, message = told(error)
        return self.page("failure.html", status, message=self.gettext(message))
