"""Commands that show one document."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from support.shelves import HOOK, SHELF, Shelf, hook, raw_collection, shelf

from mongoengine_history import History, history_of, record_event


def test_log_tells_the_newest_first_with_who_when_and_why(run: Any) -> None:
    made = shelf()
    ended = run("log", "shelf", made.pk)
    heads = [it for it in ended.lines if not it.startswith(" ")]
    assert [it.split(",")[0].partition(" ")[0] for it in heads] == ["3.", "2.", "1."]
    assert heads[0].endswith("changed by cleo (wrong)")
    assert "  ~ h: 2 → 3" in ended.lines
    assert '  + boards[1]: {"label": "b", "width": 3}' in ended.lines
    assert ended.code == 0


def test_log_has_the_names_of_the_class_that_is_given(run: Any) -> None:
    made = shelf()
    assert "  ~ height: 2 → 3" in run("log", "-m", SHELF, made.pk).lines
    assert '  + owned by: "Ada"' in run("log", made.pk, "--model", SHELF).lines


def test_what_is_hidden_stays_hidden(run: Any) -> None:
    made = shelf()
    for words in (["shelf"], ["-m", SHELF]):
        for command in (["log"], ["show", 1], ["diff", 1, 2], ["diff", 1], ["state", 3]):
            name, *numbers = command
            for form in ([], ["--json"]):
                ended = run(name, *words, made.pk, *numbers, *form)
                assert ended.code == 0, ended
                assert not {"c1", "c2", "s1", "s2"} & {*ended.out.replace('"', " ").split()}


def test_log_goes_on_page_by_page(run: Any) -> None:
    made = hook()
    first = run("log", "hook", "door", "-n", 2, "--json")
    assert [it["number"] for it in first.data] == [3, 2]
    assert "--before 2" in run("log", "hook", "door", "-n", 2).err
    last = run("log", "hook", made.pk, "-n", 2, "--before", 2, "--json")
    assert [it["number"] for it in last.data] == [1]


@pytest.mark.parametrize(
    ("asked", "numbers"),
    [
        (["--by", "ben"], [2]),
        (["--touching", "colour"], [2, 1]),
        (["--operation", "create"], [1]),
        (["--since", "1h"], [3, 2, 1]),
        (["--until", "2001-01-01"], []),
        (["--since", "2001-01-01", "--by", "cleo", "--touching", "load"], [3]),
    ],
)
def test_log_keeps_what_is_asked_for(run: Any, asked: list[str], numbers: list[int]) -> None:
    hook()
    ended = run("log", "hook", "door", *asked, "--json")
    assert [it["number"] for it in ended.data] == numbers


def test_log_tells_moments_in_a_zone(run: Any) -> None:
    made = hook()
    when = history_of(made)[1].at
    assert f"{when:%Y-%m-%d %H:%M:%S} UTC" in run("log", "hook", "door").out
    told = run("--zone", "Asia/Kolkata", "log", "hook", "door").out
    assert " IST, created by ada" in told


def test_lines_fit_on_eighty_columns_unless_all_is_asked_for(run: Any) -> None:
    made = shelf()
    made.modify(note="a" * 500)
    made.modify(note="b" * 500)
    assert max(map(len, run("log", "shelf", made.pk).lines)) <= 80
    assert "b" * 500 in run("log", "shelf", made.pk, "--full").out
    assert "b" * 500 in run("show", "shelf", made.pk, -1).out


@pytest.mark.parametrize("nobody", ["null", '"null"', "{}"])
def test_what_nobody_is_called_is_asked_for_all_the_same(run: Any, nobody: str) -> None:
    assert run("log", "shelf", shelf().pk, "--by", nobody, "--json").data == []


def test_no_text_of_a_document_moves_the_cursor_or_is_taken_for_a_style(run: Any) -> None:
    made = shelf()
    hostile = "[red]\x1b[2J\x9b\u202e\r\n\x00 :smile:"
    made.modify(note=hostile, owner=hostile)
    record_event(hostile, made, **{"a": hostile, "b\x9b\u202e": 1})
    for command in ("log", "blame"):
        out = run(command, "shelf", made.pk).out
        assert all(it.isprintable() for it in out.splitlines())
    assert "[red]\\u001b[2J" in run("show", "shelf", made.pk, 4).out
    ended = run("state", "shelf", made.pk, 4)
    assert all(it.isprintable() for it in ended.out.splitlines())
    assert ended.data["note"] == hostile


def test_words_in_a_text_show_what_is_gone_and_came_without_colours(run: Any) -> None:
    made = shelf()
    made.modify(note="the old shelf stands in the hall")
    made.modify(note="the new shelf stands in the hall")
    assert "the [-old-]{+new+} shelf" in run("log", "shelf", made.pk).out


def test_show_has_all_of_a_revision(run: Any) -> None:
    made = hook()
    ended = run("show", "hook", "door", "2")
    assert '  ~ colour: "red" → "blue"' in ended.lines
    assert f"Changeset: {history_of(made)[2].changeset}" in ended.lines
    for number in ("-1", "newest", "3"):
        assert run("show", "hook", "door", number, "--json").data["number"] == 3


def test_diff_goes_both_ways_and_to_what_is_stored(run: Any) -> None:
    hook()
    assert run("diff", "hook", "door", 1, 3).lines == [
        "  ~ load: 1 → 3",
        '  ~ colour: "red" → "blue"',
    ]
    assert "  ~ load: 3 → 1" in run("diff", "hook", "door", 3, 1).lines
    assert run("diff", "hook", "door", 3).err == "Nothing differs.\n"
    raw_collection("hook").update_one({}, {"$set": {"load": 9}})
    assert run("diff", "-m", HOOK, "door", "newest", "now").lines == ["  ~ load: 3 → 9"]
    assert run("diff", "hook", "door", "newest", "now").err.startswith("Stored otherwise")
    assert [it["path"] for it in run("diff", "hook", "door", 1, 2, "--json").data] == [
        "load",
        "colour",
    ]


def test_blame_names_the_revision_of_each_value(run: Any) -> None:
    hook()
    rows = [it.split() for it in run("blame", "hook", "door").lines]
    assert [(it[0], it[1]) for it in rows[1:]] == [("load", "3"), ("colour", "2")]
    assert run("blame", "hook", "door", "colour", "--json").data["colour"]["identity"] == "ben"


def test_state_is_the_whole_document(run: Any) -> None:
    hook()
    assert run("state", "hook", "door", 1).data == {"load": 1, "colour": "red"}
    assert run("state", "hook", "door", -1).data == {"load": 3, "colour": "blue"}


def test_as_of_is_a_document_or_all_of_a_class(run: Any) -> None:
    made = hook()
    hook("gate")
    moment = history_of(made)[2].at.isoformat()
    assert run("as-of", "hook", "door", moment).data == {"load": 2, "colour": "blue"}
    found = run("as-of", "hook", moment)
    assert found.lines == ['{"_id": "door", "load": 2, "colour": "blue"}']
    assert run("as-of", "hook", "0s").out.count("\n") == 2


def test_moments_without_an_offset_are_in_the_zone(run: Any) -> None:
    made = hook()
    at = history_of(made)[1].at.astimezone(timezone.utc)
    naive = at.replace(tzinfo=None).isoformat()
    assert run("as-of", "hook", "door", naive).data["load"] == 1
    ahead = run("--zone", "Asia/Tokyo", "as-of", "-m", HOOK, naive)
    assert ahead.code == 0
    assert datetime.now(timezone.utc) >= at


def test_records_of_1_1_are_told_of(run: Any) -> None:
    made = Shelf(owner="x")
    made.save()
    History.objects.delete()
    History._get_collection().insert_one(
        {
            "identity": None,
            "document_id": made.pk,
            "document_type": "shelf",
            "action": "change",
            "path": "owner",
            "data": {"old": "a", "new": "x"},
            "created_at": datetime(2020, 1, 1),
        }
    )
    assert "1 record of 1.1" in run("log", "shelf", made.pk).err
