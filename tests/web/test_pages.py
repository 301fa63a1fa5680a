"""Each page says what was recorded, in words, with links that lead somewhere."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from support.browsing import Cell, Sheet, Ware, browse, ordered, text_of

from mongoengine_history import History, changeset, history_of, prune, record_event, redact
from mongoengine_history.state.revision import KNOWN_OPERATIONS

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def sheet(database: Any) -> Sheet:
    sheet = ordered()
    with changeset("bob", reason="has moved", ticket=12):
        sheet.street.city = "York"
        sheet.save()
    with changeset("ada"):
        sheet.wares.append(Ware(_id=2, name="cup", count=6))
        sheet.iban = "GB1"
        sheet.save()
    return sheet


def seen(address: str, **options: Any) -> str:
    answer = browse(**options).get(address)
    assert answer.status_code == 200, text_of(answer.text)
    return text_of(answer.text)


def test_recent_changes_of_all_classes_newest_first(sheet: Sheet) -> None:
    Cell(name="blue", seats=4).save()
    listed = re.findall(r'<article aria-label="(.*?)"', browse().get("/").text)
    assert listed == [
        "Cell blue, revision 1",
        *(f"Sheet {sheet.pk}, revision {number}" for number in (3, 2, 1)),
    ]
    page = seen("/")
    assert "ada created Sheet" in page
    assert "nobody named created Cell blue" in page
    assert 'street.city : "Leeds" → "York"' in page


@pytest.mark.parametrize(
    ("question", "count"),
    [
        ("by:ada", 2),
        ("by:bob", 1),
        ("model:Sheet", 3),
        ("model:Cell", 1),
        ("operation:create", 2),
        ("path:street.city model:Sheet", 2),
        ("between:today", 4),
        ("between:yesterday", 0),
        ('by:{"$gt":""}', 0),
        ("by:ada operation:create model:Sheet", 1),
    ],
)
def test_the_query_box_and_the_address_say_what_is_shown(
    sheet: Sheet, question: str, count: int
) -> None:
    Cell(name="blue", seats=4).save()
    page = browse().get("/", params={"q": question}).text
    assert page.count('<li class="revision') == count
    assert unescape(re.search(r'id="q".*?value="(.*?)"', page)[1]) == question


@pytest.mark.parametrize(
    "question", ["ada", "by:", "model:Nothing", "between:soon", "path:..x", "operation:updated"]
)
def test_what_cannot_be_asked_is_said(sheet: Sheet, question: str) -> None:
    answer = browse().get("/", params={"q": question})
    assert answer.status_code == 200
    assert 'role="alert"' in answer.text


def test_who_asks_for_no_operation_is_told_all_that_there_are(sheet: Sheet) -> None:
    told = re.search(r"is no operation\. They are ([\w, ]+)\.", seen("/?q=operation:updated"))
    assert re.split(r", | and ", told[1]) == [*KNOWN_OPERATIONS]


def test_pages_of_recent_changes_lead_on(sheet: Sheet) -> None:
    for number in range(30):
        Cell(name=f"cell {number}", seats=number).save()
    client, address, found = browse(), "/", []
    while address:
        page = client.get(address).text
        found += re.findall(r'aria-label="(.*?, revision \d+)"', page)
        more = re.search(r'rel="next" href="(.*?)"', page)
        address = unescape(more[1]) if more else ""
    assert len(found) == len(set(found)) == 33


class TestDocument:
    def test_who_when_why_and_all_lines(self, sheet: Sheet) -> None:
        page = seen(f"/Sheet/{sheet.pk}")
        when = history_of(sheet)[2].at.strftime("%Y-%m-%d %H:%M:%S UTC")
        assert f"bob changed 2 {when} has moved ticket 12" in page
        assert 'edited street.city : "Leeds" → "York"' in page
        assert "added wares[1]" in page
        assert "hidden" in page
        assert "GB1" not in page

    def test_the_identity_is_shown_as_the_host_names_it(self, sheet: Sheet) -> None:
        assert "Ms ada changed" in seen(f"/Sheet/{sheet.pk}", identity_label="Ms {}".format)

    def test_a_question_filters(self, sheet: Sheet) -> None:
        page = browse().get(f"/Sheet/{sheet.pk}?q=by:bob").text
        assert page.count('<li class="revision') == 1

    def test_older_revisions_are_on_the_next_page(self, sheet: Sheet) -> None:
        for total in range(30):
            sheet.modify(total=total + 100)
        client = browse()
        first = client.get(f"/Sheet/{sheet.pk}").text
        address = unescape(re.search(r'rel="next" href="(.*?)"', first)[1])
        second = client.get(address).text
        numbers = [int(it) for page in (first, second) for it in re.findall(r'id="r(\d+)"', page)]
        assert numbers == [*range(33, 0, -1)]
        assert 'rel="next"' not in second

    def test_what_was_pruned_is_said(self, sheet: Sheet) -> None:
        prune(Sheet, keep=1)
        assert "The history begins here, with revision 3" in seen(f"/Sheet/{sheet.pk}")
        answer = browse().get(f"/Sheet/{sheet.pk}/1")
        assert answer.status_code == 410
        assert "was pruned" in answer.text

    def test_what_was_erased_is_said(self, sheet: Sheet) -> None:
        redact(Sheet, "street.city", sheet.pk)
        page = seen(f"/Sheet/{sheet.pk}")
        assert "Values were erased from this history here." in page
        assert "Leeds" not in page

    def test_what_is_missing_is_said_beside_the_rest(self, sheet: Sheet) -> None:
        History.objects(document_id=sheet.pk, revision=2).delete()
        page = seen(f"/Sheet/{sheet.pk}")
        assert "This revision is missing." in page
        assert "ada created 1" in page
        assert browse().get(f"/Sheet/{sheet.pk}/2").status_code == 404

    def test_an_event_tells_its_facts(self, sheet: Sheet) -> None:
        record_event("viewed", sheet, page="overview")
        assert "viewed" in seen(f"/Sheet/{sheet.pk}")
        assert 'page : "overview"' in seen(f"/Sheet/{sheet.pk}/4")

    def test_long_values_are_folded_but_whole(self, sheet: Sheet) -> None:
        sheet.note = "word " * 200
        sheet.save()
        page = browse().get(f"/Sheet/{sheet.pk}").text
        assert "1,002 characters" in page
        assert "word " * 200 in page

    def test_a_long_reason_is_whole_on_the_page_of_the_revision(self, sheet: Sheet) -> None:
        with changeset("ada", reason="why <" + "w" * 100_000, ticket="t" * 100_000):
            sheet.modify(iban="GB2")
        own = f"/Sheet/{sheet.pk}"
        for page in ("/", own, f"{own}/newest", f"{own}/4/restore"):
            assert len(browse().get(page).text) < 60_000, page
        whole = browse().get(f"{own}/4").text
        assert ("why &lt;" + "w" * 100_000 in whole, "t" * 100_000 in whole) == (True, True)

    def test_what_lists_cut_the_page_of_the_revision_has_whole(self, sheet: Sheet) -> None:
        sheet.note = "word " * 200_000
        sheet.save()
        client, words = browse(), sheet.note.count("word")
        sheet.modify(note="a" * 200_000 + " one more word")  # and of what stayed the same
        sheet.modify(note="a" * 200_000 + " two more words")
        own, block = f"/Sheet/{sheet.pk}", history_of(sheet)[1].changeset
        for page in ("/", own, f"{own}/newest", f"/changesets/{block}"):
            answer = client.get(page).text
            assert len(answer) < 60_000, page
        whole = client.get(f"/Sheet/{sheet.pk}/4").text
        assert (whole.count("word ") >= words, "1,000,002 characters" in whole) == (True, True)

    def test_a_deleted_document_has_its_history(self, sheet: Sheet) -> None:
        sheet.delete()
        page = seen(f"/Sheet/{sheet.pk}", user="eve")
        assert "This document is deleted." in page
        assert "Restore…" in page


class TestRevisions:
    def test_one_is_shown_beside_the_one_before(self, sheet: Sheet) -> None:
        page = browse().get(f"/Sheet/{sheet.pk}/2").text
        row = re.search(r"<tr class=\"edited.*?</tr>", page, re.DOTALL)[0]
        assert re.search(r'class="left"[^>]*><del>(.*?)</del>', row)[1] == "&#34;Leeds&#34;"
        assert re.search(r'class="right"[^>]*><ins>(.*?)</ins>', row)[1] == "&#34;York&#34;"
        assert f'rel="prev" href="/Sheet/{sheet.pk}/1"' in page
        assert f'rel="next" href="/Sheet/{sheet.pk}/3"' in page

    def test_any_two_are_shown_side_by_side(self, sheet: Sheet) -> None:
        page = seen(f"/Sheet/{sheet.pk}/compare?from=1&to=3")
        assert 'street.city "Leeds" "York"' in page
        assert "wares[1]" in page
        back = seen(f"/Sheet/{sheet.pk}/compare?from=3&to=1")
        assert 'street.city "York" "Leeds"' in back

    def test_without_a_number_it_is_what_is_stored_now(self, sheet: Sheet) -> None:
        assert "The two are the same." in seen(f"/Sheet/{sheet.pk}/compare?from=3")
        assert "The two are the same." not in seen(f"/Sheet/{sheet.pk}/compare?from=2")

    @pytest.mark.parametrize("asked", ["from=1.5", "from=-1&to=2", "from=1&to=x", "to=" + "9" * 16])
    def test_what_is_no_number_is_no_revision(self, sheet: Sheet, asked: str) -> None:
        assert browse().get(f"/Sheet/{sheet.pk}/compare?{asked}").status_code == 404

    def test_texts_are_compared_by_words(self, sheet: Sheet) -> None:
        sheet.note = "ring twice and wait"
        sheet.save()
        sheet.note = "ring once and wait"
        sheet.save()
        page = browse().get(f"/Sheet/{sheet.pk}/5").text
        row = re.search(r"<tr class=\"edited.*?</tr>", page, re.DOTALL)[0]
        left, right = (text_of(it) for it in re.findall(r"<td.*?</td>", row, re.DOTALL))
        assert (left, right) == ("ring twice and wait", "ring once and wait")

    def test_the_whole_state_with_who_set_what(self, sheet: Sheet) -> None:
        page = seen(f"/Sheet/{sheet.pk}/2/state")
        assert re.search(r'city "York" \w bob 2', page)
        assert re.search(r'status "draft" \w ada 1', page)
        assert "sum of all 10" in page
        assert "cup" not in page
        assert "bob" not in seen(f"/Sheet/{sheet.pk}/1/state")

    @pytest.mark.parametrize("rest", ["9", "0", "9/state", "compare?from=9", "9" * 20])
    def test_there_is_no_other(self, sheet: Sheet, rest: str) -> None:
        assert browse().get(f"/Sheet/{sheet.pk}/{rest}").status_code in {400, 404}


def test_a_changeset_as_a_whole(database: Any) -> None:
    with changeset("import", reason="list 12") as done:
        sheet = Sheet(status="new").save()
        Cell(name="red", seats=1).save()
    page = seen(f"/changesets/{done.id}")
    assert "2 revisions" in page
    assert f"Sheet {sheet.pk}" in page
    assert "Cell red" in page


@pytest.mark.parametrize(
    ("rest", "title"),
    [
        ("", "{} · History"),
        ("/2", "Revision 2 · {} · History"),
        ("/compare", "Compare · {} · History"),
        ("/2/undo", "Undo: preview · {} · History"),
    ],
)
def test_titles_say_what_a_page_is_about(sheet: Sheet, rest: str, title: str) -> None:
    page = browse(user="eve").get(f"/Sheet/{sheet.pk}{rest}").text
    assert re.search("<title>(.*?)</title>", page)[1] == title.format(f"Sheet {sheet.pk}")


@pytest.mark.parametrize("address", ["/", "/Cell/blue"])
def test_from_older_ones_there_is_a_way_back_to_the_newest(database: Any, address: str) -> None:
    cell = Cell(name="blue", seats=0).save()
    for seats in range(1, 30):
        cell.modify(seats=seats)
    newest = browse().get(address).text
    assert 'rel="prev"' not in newest
    older = browse().get(unescape(re.search(r'rel="next" href="(.*?)"', newest)[1])).text
    assert f'rel="prev" href="{address}"' in older
    assert 'rel="next"' not in older


@pytest.mark.parametrize("key", ["0" * 24, "x", "$ne", "None"])
def test_no_other_changeset(database: Any, key: str) -> None:
    Sheet(status="of none").save()
    assert browse().get(f"/changesets/{key}").status_code == 404


def test_deleted_documents(sheet: Sheet) -> None:
    Cell(name="gone", seats=1).save().delete()
    Cell(name="there", seats=1).save()
    sheet.delete()
    page = seen("/deleted")
    assert "Cell gone" in page
    assert f"Sheet {sheet.pk}" in page
    assert "there" not in page
    assert "Cell gone" not in seen("/deleted?model=Sheet")
    assert 'role="alert"' not in seen("/deleted?model=Sheet")
    assert "There is no such class" in seen("/deleted?model=Sheets")


def test_deletions_are_told_in_pages_the_newest_first(database: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("mongoengine_history.web.reading.SIZE", 2)
    for name in ("one", "two", "one", "three", "back"):
        Cell(name=name, seats=1).save().delete()
    Cell(name="back", seats=2).save()
    redact(Cell, "seats", "two")  # a revision that is later than its deletion
    client, address, found = browse(), "/deleted?model=Cell", []
    while address:
        page = client.get(address).text
        found.append(re.findall(r'class="document" href="/Cell/(.*?)"', page))
        older = re.search(r'rel="next" href="(.*?)"', page)
        address = unescape(older[1]) if older else ""
    assert found == [["three"], ["one", "two"], []]


@pytest.mark.parametrize(
    "address",
    ["/Nothing/1", "/Sheet/x", "/Sheet/" + "0" * 24, "/Cell/~", "/Cell/~!", "/Sheet", "/x/y/z/a"],
)
def test_nothing_else_is_there(sheet: Sheet, address: str) -> None:
    assert browse().get(address).status_code == 404


def test_each_link_leads_somewhere(sheet: Sheet) -> None:
    """All pages that can be reached, none of which fails."""
    Cell(name="a/b?c#d é", seats=1).save().delete()
    client, waiting, known = browse(user="eve"), ["/"], set()
    while waiting:
        address = waiting.pop()
        page = client.get(address)
        assert page.status_code in {200, 409}, address
        found = {unescape(it) for it in re.findall(r'(?:href|src|action)="(.*?)"', page.text)}
        found.discard("#content")
        assert all(it.startswith("/") for it in found)
        known.add(address)
        waiting += [it for it in found - known if it not in waiting]
    assert len(known) > 20


def test_a_name_leads_to_what_somebody_did(database: Any) -> None:
    with changeset({"a b": [True, 7]}):
        Cell(name="one", seats=1).save()
    with changeset("7"):
        Cell(name="two", seats=1).save()
    client = browse()
    for name, who in (("one", "{&#39;a b&#39;: [True, 7]}"), ("two", "7")):
        page = client.get(f"/Cell/{name}").text
        link = re.search(rf'<span class="who"><a href="(.*?)">{re.escape(who)}</a>', page)
        assert link
        found = client.get(unescape(link[1])).text
        assert re.findall(r'class="document" href="(.*?)"', found) == [f"/Cell/{name}"]
