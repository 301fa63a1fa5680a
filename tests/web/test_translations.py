"""Each page in another language: no word of it stands in the pages or in the code alone."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from gettext import NullTranslations
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from babel.messages.pofile import read_po
from support.browsing import Cell, Sheet, Ware, browse, everybody, fields_of, ordered, send
from support.marked import Marked, unmarked

import mongoengine_history
from mongoengine_history import History, changeset, prune, record_event, redact
from mongoengine_history.web.site import DONE

pytestmark = pytest.mark.usefixtures("database")

ROOT = Path(__file__).parents[2]
PACKAGE = Path(mongoengine_history.__file__).parent

#: The syntax of questions, and keys of a keyboard, are the same in each language.
SYNTAX = "by ada model Invoice path total address city operation update between today yesterday"
OPERATIONS = "create update delete revert undo restore external event redact"
FIELDS = "status total sum of all note street name city wares _id count iban facts seats page"
VALUES = "Mill Lane Leeds York draft pot cup word blue gone bob import eve order list ticket nobody"
VALUES += " viewed overview UTC Sheet Cell Enter Ord"
KNOWN = {*f"{SYNTAX} {OPERATIONS} {FIELDS} {VALUES}".split()}


@pytest.fixture
def sheet(database: Any) -> Sheet:
    """All that a history may have."""
    sheet = ordered()
    with changeset("bob", ticket=12):
        sheet.street.city, sheet.note = "York", "word " * 200
        sheet.wares = [Ware(_id=2, name="cup"), *sheet.wares]
        sheet.save()
        Cell(name="blue", seats=4).save()
    sheet.modify(facts={f"a{number}": number for number in range(12)}, iban="GB1")
    sheet.wares = [*reversed(sheet.wares)]
    sheet.save()
    record_event("viewed", sheet, page="overview")
    redact(Sheet, "status", sheet.pk)
    for seats in range(30):
        Cell.objects(name="blue").update(seats=seats + 5)
    prune(Cell, keep=28)
    Cell(name="gone", seats=1).save().delete()
    History.objects(document_id="blue", revision=30).delete()
    return sheet


def everywhere(client: Any, sheet: Sheet) -> dict[str, str]:
    """Return all pages that links lead to, and those to which none does, by their addresses."""
    own = f"/Sheet/{sheet.pk}"
    others = ["/?q=x", "/?q=between:x", "/?q=path:..x", "/?q=model:nobody", "/?q=by:nobody"]
    others += [f"{own}?q=path:none", f"{own}?q=by:nobody", f"{own}/9/state", "/Cell/blue/1", "/x/y"]
    others += [f"{own}/erase?path=none", f"{own}/erase?path=status", f"{own}/compare?from=0&to=2"]
    others += [f"{own}/newest", f"{own}/1/revert", f"{own}/2/undo", "/Cell/gone/2/state"]
    waiting, pages = ["/", "/Cell/blue", *others], {}
    while waiting:
        address = waiting.pop()
        pages[address] = client.get(address).text
        found = {unescape(it) for it in re.findall(r'href="(/.*?)"', pages[address])}
        found = {it for it in found if not re.match("/static|/Cell/blue/", it)}
        waiting += found - {*pages, *waiting}
    return pages


def words_of(page: str) -> set[str]:
    """Return the words outside of marks that are no ids, no initials, and no metadata."""
    text = unmarked(re.sub(r'<p class="facts">.*?</p>', "", page))
    return {*re.findall(r"[^\W\d]{2,}", re.sub(r"\b[0-9a-f]{24}\b", " ", text))}


def test_each_word_of_each_page_is_a_phrase_that_can_be_translated(sheet: Sheet) -> None:
    marked = Marked()
    client = browse(user="eve", may_erase=everybody, translations=marked)
    pages = everywhere(client, sheet)
    assert len(pages) > 60
    found = {address: words_of(page) - KNOWN for address, page in pages.items()}
    assert {address: words for address, words in found.items() if words} == {}
    for address, page in pages.items():
        assert "<b onclick" not in page, re.findall("<b onclick.{60}", page)
        assert '<html lang="pt-BR">' in page or address.endswith("/newest")
    assert '<html lang="en">' in browse().get("/").text
    assert marked.asked <= phrases_in(PACKAGE / "faces" / "phrases.pot")


def phrases_in(path: Path) -> set[str]:
    with path.open("rb") as file:
        ids = [it.id for it in read_po(file) if it.id]
    return {it for each in ids for it in ([each] if isinstance(each, str) else each)}


def test_the_file_of_phrases_has_those_of_pages_and_code(tmp_path: Path) -> None:
    """Otherwise make it anew; how stands among the habits of contributors."""
    said = (ROOT / "docs" / "contributing.md").read_text(encoding="utf-8").replace("\\\n", "")
    made = tmp_path / "phrases.pot"
    words = shlex.split(re.search("^pybabel (extract .*)", said, re.MULTILINE)[1])
    words = [str(made) if it.endswith(".pot") else it for it in words]
    babel = [sys.executable, "-m", "babel.messages.frontend", "-q"]
    subprocess.run([*babel, *words], cwd=ROOT, check=True)
    assert phrases_in(made) == phrases_in(PACKAGE / "faces" / "phrases.pot")


def test_what_is_said_of_a_form_is_one_too(sheet: Sheet) -> None:
    client = browse(user="eve", may_erase=everybody, translations=Marked())
    undo, erase = f"/Sheet/{sheet.pk}/3/undo", f"/Sheet/{sheet.pk}/erase?path=note"
    fields = fields_of(client.get(undo).text)
    answers = [
        send(client, undo, fields),
        send(client, undo, {**fields, "mark": "old"}),
        client.post(undo, data=fields),
        send(client, undo, {**fields, "reason": "x" * 300_000}),
        send(client, erase, {**fields_of(client.get(erase).text), "path": "note"}),
        browse(translations=Marked()).get(undo),
        *(client.get("/", params={"done": it}) for it in DONE),
    ]
    assert [it.status_code for it in answers] == [422, 409, 403, 413, 422, 403, *[200] * len(DONE)]
    assert [words for it in answers if (words := words_of(it.text) - KNOWN)] == []
    assert all("⟦" in it.text for it in answers)


class Broken(NullTranslations):
    """What hosts give, by mistake."""

    def __init__(self, spoilt: Any) -> None:
        super().__init__()
        self.spoilt = spoilt

    def gettext(self, message: str) -> Any:
        return self.spoilt(message)

    def ngettext(self, one: str, many: str, n: int) -> Any:
        return self.spoilt(one if n == 1 else many)


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda _: None,
        lambda it: {}[it],
        lambda _: "",
        lambda it: re.sub(r"([{(])(\w)", r"\1x\2", it) if re.search(r"[{(]\w", it) else it,
        lambda it: re.sub(r"{\w+}|%\(\w+\)s", "", it) or it,
        lambda it: f"{it} {{" if "{" in it else f"{it} 7 % ",
    ],
)
def test_a_catalogue_that_is_wrong_tells_it_in_english(sheet: Sheet, spoilt: Any) -> None:
    own = f"/Sheet/{sheet.pk}"
    for page in (own, "/?q=x", f"{own}/3/undo", f"{own}/2/state", "/deleted"):
        broken = browse(user="eve", translations=Broken(spoilt)).get(page)
        english = browse(user="eve").get(page)
        assert broken.status_code == english.status_code
        assert words_of(broken.text) - KNOWN == words_of(english.text) - KNOWN


def test_somebody_without_a_name_is_told_by_what_was_recorded(sheet: Sheet) -> None:
    for label in ({}.get, {}.__getitem__):
        page = browse(identity_label=label).get(f"/Sheet/{sheet.pk}")
        assert (page.status_code, "ada" in page.text) == (200, True)
    assert "7" in browse(identity_label=lambda _: 7).get("/").text
