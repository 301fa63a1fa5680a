"""Revisions in words: all is told, nothing can be smuggled in, and each value is told once."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from gettext import NullTranslations
from html import unescape
from typing import Any

import mongoengine as me
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mongoengine import Document, EmbeddedDocument
from support.changes import automatic, tracked_otherwise

from mongoengine_history import Revision, changeset, history_of, record_event
from mongoengine_history.faces.line import html_of
from mongoengine_history.faces.words import Words
from mongoengine_history.faces.woven import woven

PARIS = timezone(timedelta(hours=1), "CET")


class Street(EmbeddedDocument):
    name = me.StringField(db_field="n")
    number = me.IntField(verbose_name="house number")


class Position(EmbeddedDocument):
    _id = me.IntField()
    count = me.IntField(db_field="c")


@pytest.fixture(autouse=True)
def stored(database: Any) -> None:
    """All is stored in a database of its own."""


class Bill(Document):
    meta = {"collection": "told_bills", "auto_create_index": False}
    total = me.IntField(db_field="t", verbose_name="Sum")
    note = me.StringField()
    street = me.EmbeddedDocumentField(Street)
    positions = me.EmbeddedDocumentListField(Position)
    due = me.DateTimeField()
    secret = me.StringField(history="mask")


tracking = automatic(Bill)


def newest(bill: Bill) -> Revision:
    return history_of(bill)[-1]


def told(bill: Bill, **options: Any) -> list[str]:
    lines = Words(Bill, **options).lines(newest(bill))
    return [text for line in lines for text in line.texts()]


def test_the_head_says_who_what_when_and_why() -> None:
    with changeset(7, reason="monthly\nclose"):
        bill = Bill(total=1).save()
    words = Words(Bill, identity_label={7: "Ada"}.__getitem__, zone=PARIS)
    moment = newest(bill).at.astimezone(PARIS)
    assert words.head(newest(bill)) == (
        f"1. {moment:%Y-%m-%d %H:%M:%S} CET, created by Ada (monthly close)"
    )


def test_no_name_turns_the_text_around() -> None:
    assert Words().path(("a", "\u202eb\x1b")) == 'a[" b\\u001b"]'


def test_fields_have_their_names() -> None:
    bill = Bill(total=1, street=Street(name="a", number=1)).save()
    bill.total, bill.street.number = 2, 3
    bill.save()
    assert told(bill) == ["~ Sum: 1 → 2", "~ street.house number: 1 → 3"]
    assert Words().text(newest(bill)).splitlines()[1:] == [
        "  ~ t: 1 → 2",
        "  ~ street.number: 1 → 3",
    ]


def test_what_is_new_or_gone_in_what_is_embedded_is_told_by_itself() -> None:
    bill = Bill(street=Street(name="a", number=1)).save()
    Bill.objects(pk=bill.pk).update(street={"n": "b"})
    assert told(bill) == ['~ street.name: "a" → "b"', "- street.house number: 1"]


def test_items_are_told_by_their_keys() -> None:
    bill = Bill(positions=[Position(_id=1, count=1), Position(_id=2, count=2)]).save()
    bill.positions = [Position(_id=2, count=5), Position(_id=1, count=1), Position(_id=3)]
    bill.save()
    assert told(bill) == [
        "~ positions:",
        "  > positions[0]: moved from positions[1]",
        "    ~ positions[0].count: 2 → 5",
        '  + positions[2]: {"_id": 3}',
    ]


def test_texts_are_told_by_words_and_cut_only_where_asked() -> None:
    text = "It was the best of times, it was the worst of times, it was the age of wisdom"
    bill = Bill(note=text).save()
    bill.note = text.replace("worst", "<b>")
    bill.save()
    assert told(bill) == ["~ note: " + text.replace("worst", "[-worst-]{+<b>+}")]
    bill.note = f"{bill.note}, it was the age of foolishness"
    bill.save()
    cut = "It was the best of t…as the age of wisdom"
    assert told(bill, width=20) == [f"~ note: {cut}{{+, it was the age of foolishness+}}"]

    html = Words(Bill).html(history_of(bill)[2])
    assert "<del>worst</del><ins>&lt;b&gt;</ins>" in html


def test_hidden_values_are_told_as_such_and_moments_in_the_zone() -> None:
    bill = Bill(secret="s", due=datetime(2026, 1, 1)).save()
    assert told(bill, zone=PARIS) == [
        "+ positions: []",
        "+ due: 2026-01-01 01:00:00 CET",
        "+ secret: hidden",
    ]
    with tracked_otherwise(Bill, fingerprint_key=b"key" * 11):
        bill.secret = "other"
        bill.save()
    assert told(bill)[-1].startswith("~ secret: hidden (")


def test_events_are_told_by_their_facts() -> None:
    bill = Bill(total=1).save()
    record_event("exported", bill, to="<x>", pages=3)
    assert Words(Bill).text(newest(bill)).splitlines()[1:] == ['    to: "<x>"', "    pages: 3"]
    assert ", exported" in Words(Bill).head(newest(bill))


class German(NullTranslations):
    """A catalogue as gettext has them, with braces that a value must not fill."""

    known = {"{path}: {old} → {new}": "{path}: jetzt {new}, vorher {old}", "changed": "geändert"}

    def gettext(self, message: str) -> str:
        return self.known.get(message, message)

    def ngettext(self, one: str, many: str, n: int) -> str:
        return "… und {count} weitere"


def test_a_translation_takes_the_place_of_phrases() -> None:
    bill = Bill(total=1, note="{path}").save()
    bill.total, bill.note = 2, "{new}"
    bill.save()
    assert told(bill, translations=German()) == [
        "~ Sum: jetzt 2, vorher 1",
        '~ note: jetzt "{new}", vorher "{path}"',
    ]
    text = Words(Bill, translations=German()).text(newest(bill), most=1)
    assert ", geändert" in text
    assert text.endswith("… und 1 weitere")


@pytest.mark.parametrize("operation", ["head", "", "imported"])
def test_an_operation_that_nobody_knows_is_told_by_its_own_name(operation: str) -> None:
    revision = Revision(1, datetime(2026, 1, 1), None, operation, None, {}, None, ())
    assert Words(translations=German()).done(revision) == operation


def test_of_many_lines_the_rest_is_counted() -> None:
    bill = Bill(total=1, note="n", secret="s").save()
    lines = Words(Bill).text(newest(bill), most=1).splitlines()
    assert lines[1:] == ["  + Sum: 1", "  … and 3 more"]


def test_data_has_all_of_it_ready_for_json() -> None:
    with changeset("ada"):
        bill = Bill(total=1).save()
        bill.update(total=2)
    data = Words(Bill).data(newest(bill))
    assert data["changes"] == [
        {"kind": "edited", "path": "total", "keys": ["total"], "old": 1, "new": 2}
    ]
    assert (data["who"], data["done"], data["lines"]) == ("ada", "changed", ["~ Sum: 1 → 2"])


TEXTS = st.lists(st.sampled_from(["a ", "b ", "<i>", "&", "c.", "\x1b[1m", "ü "]), max_size=12).map(
    "".join
)


@given(TEXTS, TEXTS)
def test_two_texts_can_be_read_out_of_one(old: str, new: str) -> None:
    pieces = woven(old, new)
    if pieces:
        assert "".join(it.text for it in pieces if it.role != "came") == old
        assert "".join(it.text for it in pieces if it.role != "gone") == new


@given(st.dictionaries(TEXTS.filter(bool), st.one_of(TEXTS, st.integers(), st.lists(TEXTS))))
def test_nothing_is_smuggled_into_a_terminal_or_a_page(state: dict[str, Any]) -> None:
    patches = (("add", [], list(state.items())),)
    moment = datetime(2026, 1, 1, tzinfo=timezone.utc)
    revision = Revision(1, moment, "<u>", "create", "\x1b[2J", {}, None, patches)
    lines = Words().lines(revision)
    assert Words().text(revision).replace("\n", "").isprintable()
    page = html_of(lines)
    for tag in ("ul", "li", "code", "ins"):
        page = page.replace(f"<{tag}>", "").replace(f"</{tag}>", "")
    page = page.replace('<li class="added">', "")
    assert "<" not in page
    assert unescape(page) == "".join(line.text for line in lines)


@pytest.mark.parametrize("hours", [-12, 12])
def test_the_ends_of_time_are_told_in_any_zone(hours: int) -> None:
    words = Words(zone=timezone(timedelta(hours=hours)))
    for moment in (datetime.min, datetime.max):
        assert words.moment(moment).lstrip("0").startswith(str(moment.year))
