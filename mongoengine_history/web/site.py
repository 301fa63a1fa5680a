"""What the pages of one history browser have in common."""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode
from zlib import crc32

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import escape

from mongoengine_history.faces.line import TAGS, cut, html_of
from mongoengine_history.faces.phrases import N_, OPERATIONS, by_names, looked_up
from mongoengine_history.faces.words import Words
from mongoengine_history.state.revision import RESTORE, REVERT, UNDO
from mongoengine_history.state.wording import shortened
from mongoengine_history.web.keys import name_of, name_text
from mongoengine_history.web.rights import Rights, everybody, nobody

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from datetime import tzinfo

    from mongoengine import Document
    from starlette.requests import Request

    from mongoengine_history.faces.phrases import Translations
    from mongoengine_history.web.rights import Decide

COLOURS: Final = 8
"""In how many colours people are told apart."""

DONE: Final = {
    UNDO: N_("The revision is undone."),
    REVERT: N_("The document is reverted."),
    RESTORE: N_("The document is back."),
    "erase": N_("The values are erased."),
    "changeset": N_("The changeset is taken back."),
}
"""What is said after something was done."""

CATALOGUE_HEADER: Final = ""
"""The phrase of which each catalogue has its header."""

LANGUAGE: Final = re.compile(r"^Language: *([A-Za-z]+(?:[_-][A-Za-z0-9]+)*)", re.MULTILINE)

LONG: Final = 160
"""Characters of a value from which on it is folded."""

LONGEST_IN_LISTS: Final = 10_000
"""Characters of a value, or a reason, that lists have; the page of the revision has all."""


def who_sent(request: Request) -> Any:
    """Return ``pk``, ``identity`` or name of the user of a request, None if nobody is known."""
    user = request.scope.get("user")
    if user is None or not getattr(user, "is_authenticated", True):
        return None
    if hasattr(user, "pk"):
        return user.pk
    try:
        return user.identity
    except (AttributeError, NotImplementedError):  # Starlette has it, but not for all users
        return getattr(user, "display_name", None)


def no_fields(_request: Request) -> Mapping[str, str]:
    """Add nothing to forms."""
    return {}


@dataclass(frozen=True)
class Site:
    """How histories are shown, and to whom."""

    #: The classes, by names of which each is another one.
    models: Mapping[str, type[Document]]
    may_see: Decide | None
    may_restore: Decide
    may_erase: Decide
    identity: Callable[[Request], Any]
    identity_label: Callable[[Any], str]
    zone: tzinfo
    hosts: Collection[str]
    secret: bytes = field(repr=False)
    form_fields: Callable[[Request], Mapping[str, str]]
    translations: Translations

    @cached_property
    def names(self) -> Mapping[type[Document], str]:
        """The name of each class."""
        return {model: name for name, model in self.models.items()}

    @cached_property
    def addressed(self) -> Mapping[str, type[Document]]:
        """The classes, by what stands in addresses."""
        return {name_text(name): model for name, model in self.models.items()}

    def is_named(self, model: type[Document], name: str | None) -> bool:
        """Say whether somebody who asks for a class means this one; without a name it is any."""
        return not name or name in {self.names[model], name_of(model), model.__name__}

    @cached_property
    def templates(self) -> Environment:
        """The pages, in which all that is shown is escaped, phrases too."""
        environment: Any = Environment(
            loader=PackageLoader("mongoengine_history.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.i18n"],
        )
        environment.policies["ext.i18n.trimmed"] = True
        environment.install_gettext_callables(self._gettext, self._ngettext, newstyle=True)
        environment.globals.update(
            DONE=DONE, OPERATIONS=OPERATIONS, TAGS=TAGS, LONGEST_IN_LISTS=LONGEST_IN_LISTS
        )
        environment.globals.update(language=self._language)
        environment.filters.update(
            colour=_colour, initials=_initials, plain=plain, html=html_of, cut=cut
        )
        environment.filters.update(grouped="{:,}".format)
        environment.tests.update(long=_is_long)
        return environment  # type: ignore[no-any-return]  # mypy knows no extensions

    def gettext(self, phrase: str) -> str:
        """Return a phrase in the language of the pages."""
        return looked_up(self.translations.gettext, phrase)

    def _gettext(self, message: str) -> str:
        return escape(looked_up(self.translations.gettext, message, fill=by_names))

    def _ngettext(self, one: str, many: str, n: int) -> str:
        return escape(looked_up(self.translations.ngettext, one, many, n, fill=by_names))

    def _language(self) -> str:
        """Return the tag of the language, by the header of its catalogue."""
        named = LANGUAGE.search(self.gettext(CATALOGUE_HEADER))
        return named[1].replace("_", "-") if named else "en"

    def words(self, model: type[Document] | None) -> Words:
        """How revisions of a class are told."""
        return Words(model, self.identity_label, self.zone, self.translations)

    def mark(self, *shown: object) -> str:
        """Return a text that what was shown has, and nothing else."""
        return hmac.new(self.secret, repr(shown).encode(), sha256).hexdigest()

    def rights(self, request: Request, model: type[Document], pk: Any = None) -> Rights:
        """What who sent a request may see and do; without a function to ask only look."""
        if self.may_see is None:
            return Rights(request, everybody, nobody, nobody, model, pk)
        return Rights(request, self.may_see, self.may_restore, self.may_erase, model, pk)


def _colour(who: str) -> str:
    """Return the class of the colour that somebody has, the same one on each page."""
    return f"who-{crc32(who.encode('utf-8', 'replace')) % COLOURS}" if who else "nobody"


def _initials(who: str) -> str:
    words = [it for it in who.replace(".", " ").replace("@", " ").split() if it[0].isalnum()]
    return "".join(it[0] for it in words[:2]).upper() or "?"


def plain(value: object) -> str:
    """Tell a key or a name on one line, without signs that turn the text around it."""
    return shortened(str(value), LONG)


def _is_long(text: str) -> bool:
    return len(text) > LONG


def address(root: str, *parts: object, **query: object) -> str:
    """
    Return an address below the browser's own, and of no other host.

    Args:
        root: Where the browser is mounted.
        *parts: Names and keys, which need no quoting.
        **query: What stands behind the question mark, without what is None.
    """
    path = "/".join(
        ["", *(it for it in root.split("/") if it), *(quote(str(it), safe="") for it in parts)]
    )
    asked = urlencode({name: it for name, it in query.items() if it is not None}, doseq=True)
    return f"{path or '/'}{'?' if asked else ''}{asked}"
