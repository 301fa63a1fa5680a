"""A revision in words. Every face tells it by these, be it a terminal, a page or a program."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from string import Formatter
from typing import TYPE_CHECKING, Any, Final

from mongoengine_history import ABSENT
from mongoengine_history.documents.attributes import attributes, labels
from mongoengine_history.faces.line import Line, Piece, html_of
from mongoengine_history.faces.phrases import ENGLISH, OPERATIONS, PHRASES, TOLD_LOG, looked_up
from mongoengine_history.faces.woven import woven
from mongoengine_history.state import telling
from mongoengine_history.state.mask import fingerprint_of, is_mask
from mongoengine_history.state.revision import EVENT
from mongoengine_history.state.wording import shortened

__all__ = ["Words"]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import tzinfo

    from mongoengine import Document

    from mongoengine_history import Revision
    from mongoengine_history.faces.phrases import Translations
    from mongoengine_history.state.patches import DictdifferPatch
    from mongoengine_history.state.values import Path

AROUND: Final = 20
"""Characters that are left at each side of a cut inside a text that stayed the same."""


@dataclass(frozen=True)
class Words:
    """
    How revisions of one class are told.

    Args:
        model: The class, for names of attributes and the ``verbose_name`` of fields; None tells
            names as they are stored.
        identity_label: Makes a text of an identity, such as the name of a user.
        zone: In which moments are told.
        translations: Tells phrases in another language: ``gettext`` and ``ngettext`` of an object,
            such as a `gettext.GNUTranslations`, by the English ones.
        item_key: The key by which items of lists are recognised, by its stored name.
        width: To how many characters values are cut; None cuts nothing.
    """

    model: type[Document] | None = None
    identity_label: Callable[[Any], str] = str
    zone: tzinfo = timezone.utc
    translations: Translations = ENGLISH
    item_key: str = "_id"
    width: int | None = None

    def head(self, revision: Revision) -> str:
        """Tell who did what, when and why, in one line."""
        who, reason = revision.identity, revision.reason
        return self.phrase(
            "head",
            number=f"{revision.number:,}",
            when=self.moment(revision.at),
            done=self.done(revision),
            by="" if who is None else self.phrase("by", who=self.who(who)),
            because="" if reason is None else self.phrase("because", reason=self.line(reason)),
        )

    def phrase(self, name: str, **filled: str) -> str:
        """Return one of `PHRASES` with what it is filled with."""
        return self.gettext(PHRASES[name]).format(**filled)

    def gettext(self, phrase: str) -> str:
        """Return a phrase in the language."""
        return looked_up(self.translations.gettext, phrase)

    def ngettext(self, one: str, many: str, n: int) -> str:
        """Return the phrase that goes with a number in the language."""
        return looked_up(self.translations.ngettext, one, many, n)

    def done(self, revision: Revision) -> str:
        """Tell what was done; of an event its kind."""
        if revision.operation == EVENT:
            return self.line(str(revision.metadata.get("kind", EVENT)))
        done = OPERATIONS.get(revision.operation)
        return self.gettext(done) if done else self.line(revision.operation)

    def who(self, identity: Any) -> str:
        """Tell who answers for it; nothing if nobody does."""
        return "" if identity is None else self.line(self._label(identity))

    def _label(self, identity: Any) -> str:
        """Tell somebody by name; who has none, as whoever is gone, by what was recorded."""
        try:
            label = self.identity_label(identity)
        except Exception:  # of the application: a history is shown all the same
            TOLD_LOG.warning("identity_label has no name for %r", identity, exc_info=True)
            label = None
        return str(identity if label is None else label)

    def moment(self, when: datetime) -> str:
        """Tell a moment in the zone, to the second; a naive one is in UTC."""
        aware = when if when.tzinfo else when.replace(tzinfo=timezone.utc)
        with suppress(OverflowError):  # the first and the last moment that there is
            aware = aware.astimezone(self.zone)
        return aware.strftime("%Y-%m-%d %H:%M:%S %Z")

    def lines(self, revision: Revision) -> list[Line]:
        """Tell each change, in their order."""
        if revision.operation == EVENT:
            facts = {name: it for name, it in revision.metadata.items() if name != "kind"}
            return [self._told("fact", (name,), new=it) for name, it in facts.items()]
        return self.changes(revision.patches)

    def changes(self, patches: Iterable[DictdifferPatch]) -> list[Line]:
        """Tell each of some changes, which need be of no revision."""
        told = telling.told(patches, self.item_key, tuple)
        return [self._change(tuple(it["keys"]), it) for it in told]

    def _change(self, path: Path, change: Mapping[str, Any]) -> Line:
        kind, old, new = change["kind"], change.get("old"), change.get("new")
        if items := change.get("items"):
            inner = [self._change((*path, it["index"]), it) for it in items]
            return self._told("item", path)._replace(kind=kind, inner=tuple(inner))
        if kind == "moved":
            origin = change["from"]
            where = origin if isinstance(origin, str) else self.path((*path[:-1], origin))
            return self._told("moved", path, origin=where)._replace(
                inner=self._within(path, old, new)
            )
        inside = self._within(path, old, new) if kind == "edited" else ()
        if inside:
            return self._told("item", path)._replace(kind=kind, inner=inside)
        return self._told(kind, path, old=old, new=new)

    def _within(self, path: Path, old: object, new: object) -> tuple[Line, ...]:
        """Tell what differs between two embedded documents, key by key."""
        if not isinstance(old, dict) or not isinstance(new, dict):
            return ()
        return tuple(
            self._change((*path, key), _difference(key, old, new))
            for key in {**old, **new}
            if key not in old or key not in new or repr(old[key]) != repr(new[key])
        )

    def _told(
        self, kind: str, path: Path, *, old: Any = None, new: Any = None, origin: str = ""
    ) -> Line:
        text = woven(old, new) if kind == "edited" else []
        filled = {
            "path": [Piece("path", self.path(path))],
            "old": [Piece("old", self.value(old))],
            "new": [Piece("new", self.value(new))],
            "text": [self._cut(it) for it in text],
            "origin": [Piece("path", origin)],
        }
        template = self.gettext(PHRASES["woven" if text else kind])
        pieces = [
            piece
            for said, name, *_ in Formatter().parse(template)
            for piece in (*([Piece("", said)] if said else []), *filled.get(name or "", ()))
        ]
        return Line(kind, tuple(pieces))

    def path(self, path: Path) -> str:
        """Tell a path of stored keys by the names of fields."""
        named = labels(self.model, path) if self.model else path
        return shortened("".join(map(_step, named)).removeprefix("."), sys.maxsize)

    def value(self, value: Any) -> str:
        """Tell a value: as JSON, moments in the zone, masks as such, `ABSENT` as nothing."""
        if value is ABSENT:
            return self.phrase("nothing")
        if is_mask(value) or isinstance(value, datetime):
            return self._other(value)
        return self.line(json.dumps(value, default=self._other, ensure_ascii=False))

    def _other(self, value: object) -> str:
        if is_mask(value):
            fingerprint = fingerprint_of(value).hex()[:8]
            return self.phrase("masked" if fingerprint else "blank", fingerprint=fingerprint)
        return self.moment(value) if isinstance(value, datetime) else str(value)

    def line(self, text: str) -> str:
        """Tell a text on one line, without signs that move a cursor or turn the text around."""
        return shortened(text, self.width or sys.maxsize)

    def _cut(self, piece: Piece) -> Piece:
        text = shortened(piece.text, sys.maxsize)
        if self.width is None or piece.role != "same" or len(text) <= 2 * AROUND:
            return piece._replace(text=text)
        return piece._replace(text=f"{text[:AROUND]}…{text[-AROUND:]}")

    def text(self, revision: Revision, *, most: int | None = None) -> str:
        """Tell all of it in lines; *most* is how many changes are told, all if None."""
        lines = [line for it in self.lines(revision) for line in it.texts(1)]
        if most is not None and len(lines) > most:
            lines[most:] = ["  " + self.more(len(lines) - most)]
        return "\n".join([self.head(revision), *lines])

    def more(self, count: int) -> str:
        """Tell that there are some more."""
        template = self.ngettext("… and {count} more", "… and {count} more", count)
        return template.format(count=f"{count:,}")

    def html(self, revision: Revision) -> str:
        """Tell the changes as a fragment of HTML: a list, escaped, with a class for each kind."""
        return html_of(self.lines(revision))

    def data(self, revision: Revision) -> dict[str, Any]:
        """Tell it ready for JSON: what `Revision.to_dict` has, and the same in words."""
        names = (lambda path: attributes(self.model, path)) if self.model else tuple
        told = revision.to_dict(json=True, names=names, item_key=self.item_key)
        told.update(who=self.who(revision.identity), when=self.moment(revision.at))
        told.update(done=self.done(revision))
        return {**told, "lines": [line for it in self.lines(revision) for line in it.texts()]}


def _difference(key: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    sides = {name: it[key] for name, it in (("old", old), ("new", new)) if key in it}
    kind = "edited" if len(sides) > 1 else "removed" if "old" in sides else "added"
    return {"kind": kind, **sides}


def _step(key: str | int) -> str:
    """Write a key of a path; a ``verbose_name`` may have spaces."""
    is_plain = isinstance(key, str) and key.isprintable() and not set(key) & set('.[]"') and key
    return f".{key}" if is_plain else f"[{json.dumps(key, ensure_ascii=False)}]"
