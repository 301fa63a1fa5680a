"""A catalogue that marks each phrase, so that what stands on a page by itself is seen."""

from __future__ import annotations

import re
from gettext import NullTranslations
from html.parser import HTMLParser
from typing import Any

MARK = "<b onclick=x>"
"""What a translation must not become: a part of the page."""


class Marked(NullTranslations):
    """Brazilian, say."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[str] = set()

    def gettext(self, message: str) -> str:
        self.asked |= {message} - {""}
        return f"⟦{MARK}{message}⟧" if message else "Project: x\nLanguage: pt_BR\nX-Y: z\n"

    def ngettext(self, one: str, many: str, n: int) -> str:
        return self.gettext(one if n == 1 else many)


class Told(HTMLParser):
    """All that a page tells people: its texts, and what attributes say."""

    SAID = frozenset({"alt", "aria-label", "data-name", "placeholder", "title"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.tags: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        self.tags.add(tag)
        self.texts.append(" ")
        self.texts += [f" {value} " for name, value in attributes if name in self.SAID]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def handle_endtag(self, tag: str) -> None:
        self.texts.append(" ")


def unmarked(page: str) -> str:
    """Return what a page tells outside of marks."""
    told, before = "".join(Told(page).texts), ""
    while told != before:
        before, told = told, re.sub(r"⟦[^⟦⟧]*⟧", " ", told)
    return told
