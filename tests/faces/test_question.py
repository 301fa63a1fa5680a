"""Questions on one line: each word is read as one value, and nothing in it means anything else."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from bson import CodecOptions, Int64, ObjectId
from bson.binary import UuidRepresentation
from hypothesis import example, given
from hypothesis import strategies as st
from support.strategies import values

from mongoengine_history import OptionsError
from mongoengine_history.faces.identity import identity_text
from mongoengine_history.faces.question import Question
from mongoengine_history.state.context import identity_of, plain
from mongoengine_history.state.values import WIRE, same

STANDARD = WIRE.with_options(uuid_representation=UuidRepresentation.STANDARD)

PARIS = timezone(timedelta(hours=1), "CET")


def day(year: int, month: int, number: int, zone: Any = timezone.utc, **clock: int) -> datetime:
    return datetime(year, month, number, tzinfo=zone, **clock)


LAST = {"hour": 23, "minute": 59, "second": 59, "microsecond": 999_999}


def test_all_words() -> None:
    text = 'by:"Ada Lovelace" model:Invoice path:address.city operation:update between:2026-01-01..'
    assert Question.of(text) == Question(
        "Ada Lovelace", "Invoice", "address.city", "update", (day(2026, 1, 1), None)
    )
    assert Question.of("  ") == Question()
    assert Question.of("path:total by:ada").conditions == {"by": "ada", "touching": "total"}


@pytest.mark.parametrize(
    ("text", "who"),
    [
        ("65a1b2c3d4e5f60718293a4b", ObjectId("65a1b2c3d4e5f60718293a4b")),
        ('"65a1b2c3d4e5f60718293a4b"', "65a1b2c3d4e5f60718293a4b"),
        ("7", 7),
        ('"7"', "7"),
        ("-12", -12),
        ("9" * 19, "9" * 19),
        ("00000000-0000-0000-0000-000000000001", uuid.UUID(int=1)),
        ("zzzzzzzz-0000-0000-0000-000000000001", "zzzzzzzz-0000-0000-0000-000000000001"),
        ("007", "007"),
        ("1.5", 1.5),
        ("1e5", "1e5"),
        ("true", True),
        ("null", "null"),
        ('{"$gt":""}', {"$gt": ""}),
        ('{"$numberLong":"7"}', Int64(7)),
        ("{half", "{half"),
        ("$where", "$where"),
        (r'"a \"b\" \\c"', r'a "b" \c'),
    ],
)
def test_who_is_one_value(text: str, who: Any) -> None:
    asked = Question.of(f"by:{text}").by
    assert (type(asked), asked) == (type(who), who)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=50))
def test_whatever_stands_in_quotes_is_a_text(text: str) -> None:
    quoted = text.replace("\\", r"\\").replace('"', r"\"")
    assert Question.of(f'path:a by:"{quoted}" operation:update').by == text


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("2026-01-01..2026-02-01", (day(2026, 1, 1), day(2026, 2, 1, **LAST))),
        ("..2026-02-01T10:00", (None, day(2026, 2, 1, hour=10))),
        ("2026-01-31", (day(2026, 1, 31), day(2026, 1, 31, **LAST))),
        ("2026-01-31T09:30Z..", (day(2026, 1, 31, hour=9, minute=30), None)),
        ('"2026-01-31 09:30"..', None),
        ('"2026-01-31 09:30.."', (day(2026, 1, 31, hour=9, minute=30), None)),
    ],
)
def test_times(text: str, ends: Any) -> None:
    if ends is None:
        with pytest.raises(OptionsError):
            Question.of(f"between:{text}")
    else:
        assert Question.of(f"between:{text}").between == ends


def test_times_are_meant_in_a_zone() -> None:
    start, end = Question.of("between:2026-01-31", PARIS).between or ()
    assert (start, end) == (day(2026, 1, 31, PARIS), day(2026, 1, 31, PARIS, **LAST))
    today = datetime.now(PARIS).date()
    assert (Question.of("between:today", PARIS).between or ())[0] == day(
        today.year, today.month, today.day, PARIS
    )
    yesterday = Question.of("between:yesterday", PARIS).between or ()
    assert yesterday[1] == day(today.year, today.month, today.day, PARIS) - timedelta(
        microseconds=1
    )


@pytest.mark.parametrize(
    "text",
    [
        "ada",
        "by:",
        'by:"ada',
        "by:ada by:bob",
        "who:ada",
        "BY:ada",
        "by:ada,model:x model",
        "between:..",
        "between:soon",
        "between:2026-13-01",
        "between:2026-01-01..later",
        "by:ada " * 200,
    ],
)
def test_all_else_is_refused_with_the_words_that_there_are(text: str) -> None:
    with pytest.raises(OptionsError):
        Question.of(text)


@given(values.filter(lambda it: it is not None), st.sampled_from([STANDARD, WIRE]))
@example({"by ada": [1, "a b"]}, WIRE)
@example('"', WIRE)
@example("{}", WIRE)
@example(uuid.UUID(int=1), STANDARD)
def test_who_is_written_is_read_again(who: Any, codec: CodecOptions[Any]) -> None:
    """What a link says is the same BSON, and one word."""
    text = identity_text(who, codec)
    if text is None:  # what looks like another thing in Extended JSON, or a NaN of another kind
        assert isinstance(who, dict | list | float)
        return
    read = plain("identity", Question.of(f"path:a by:{text} operation:update").by, codec)
    assert same(read, plain("identity", identity_of(who), codec))


@given(st.text(max_size=80))
def test_any_text_is_a_question_or_is_refused(text: str) -> None:
    try:
        Question.of(text)
    except OptionsError:
        return
