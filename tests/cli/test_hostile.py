"""What is typed wrong, or with intent, is refused in a line; and no password is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bson.datetime_ms import DatetimeMS
from mongoengine.errors import OperationError
from support.shelves import Hook, hook, raw_collection

from mongoengine_history import history_of

HUGE = "9" * 30

OPENING = "mongoengine_history.cli.connection.expect_answer"


@pytest.mark.parametrize(
    "words",
    [
        ["show", "hook", "door", HUGE],
        ["show", "hook", "door", "9" * 5000],
        ["show", "hook", "door", "-" + HUGE],
        ["diff", "hook", "door", "1", HUGE],
        ["state", "hook", "door", HUGE],
        ["log", "hook", "door", "--before", HUGE],
        ["log", "hook", "door", "-n", HUGE],
        ["log", "hook", "door", "--since", "5000y"],
        ["log", "hook", "door", "--since", HUGE + "y"],
        ["log", "hook", '{"$oid":"zz"}'],
        ["log", "hook", '{"$timestamp":{}}'],
        ["log", "hook", "[" * 6000],
        ["log", "hook", "\udcff"],
        ["log", "hook", "door", "--by", '{"$timestamp":{}}', "--by", "\udcff"],
        ["log", "$hook", "door"],
        ["log", "", "door"],
        ["log", "a..b", "door"],
        ["log", "hook", HUGE],
        ["as-of", "hook", "door", "5000y"],
        ["as-of", "hook", "5000y"],
        ["search", "--since", "5000y"],
        ["search", "by:" + "\udcff"],
        ["search", "--before", "nothing-of-that-kind", "nonsense"],
        ["search", "--before", "nothing"],
        ["search", "--before", '{"$gt": 1}'],
        ["deleted", "hook", "-n", HUGE],
        ["prune", "hook", "--older-than", "5000y"],
        ["revert", "hook", "door", HUGE, "--yes"],
        ["revert", "hook", "door", "-4", "--yes"],
        ["revert", "hook", "door", "-5", "--yes"],
        ["restore", "hook", "door", "--path", "load", "--revision", "-4", "--yes"],
        ["revert", "hook", '{"$gt":""}', "1", "--yes"],
        ["undo", "hook", '{"$gt":""}', "2", "--yes"],
        ["undo", "hook", "door", HUGE, "--yes"],
        ["proof", "hook", "door", HUGE],
        ["changeset", "\x1b[31m"],
        ["log", "hook", "\x1b[31m", "\x1b[2J", "\x1b[31m"],
    ],
    ids=lambda words: " ".join(words)[:60].encode("ascii", "backslashreplace").decode(),
)
def test_wrong_words_end_in_a_line(run: Any, words: list[str]) -> None:
    made = hook()
    ended = run(*words)
    assert ended.code == 2
    assert ended.out == ""
    assert ended.err.strip()
    assert "\x1b" not in ended.err
    assert len(history_of(made)) == 3


def test_the_last_day_that_there_is(run: Any) -> None:
    hook()
    assert run("log", "hook", "door", "--until", "9999-12-31").code == 0
    assert run("log", "hook", "door", "--since", "0001-01-01").code == 0
    for zone in ("Asia/Tokyo", "America/New_York"):
        assert run("log", "hook", "door", "--until", "9999-12-31", "--zone", zone).code == 0
        assert run("as-of", "hook", "door", "9999-12-31", "--zone", zone).code == 0


def test_moments_that_python_has_no_datetime_for(run: Any) -> None:
    hook()
    for far in (2**60, -(2**60)):
        Hook._get_collection().update_one({}, {"$set": {"load": DatetimeMS(far)}})
    words = [["log", "hook", "door"], ["show", "hook", "door", -1], ["export", "hook"]]
    words += [["search", "path:load"], ["diff", "hook", "door", 1, 4]]
    for each in words:
        assert "115292150" in run(*each).out, each
    assert run("blame", "hook", "door").code == 0
    assert run("revert", "hook", "door", 1, "--yes").code == 0
    assert run("log", "hook", "door", "--json").code == 0


def test_a_key_that_looks_like_an_operator_finds_nothing_else(run: Any) -> None:
    made = hook()
    key = '{"$ne":"nothing"}'
    for command in (["revert", "hook", key, "0"], ["restore", "hook", key, "--path", "load"]):
        assert run(*command, "--yes").code == 2
    assert raw_collection("hook").count_documents({}) == 1
    assert len(history_of(made)) == 3


def test_a_file_that_is_no_checkpoint(run: Any, tmp_path: Path) -> None:
    (tmp_path / "it").write_bytes(b"\xff\xfe\x00")
    ended = run("verify", "--since", tmp_path / "it")
    assert (ended.code, ended.out) == (2, "")
    assert "is no checkpoint" in ended.err


def test_what_is_not_allowed_is_told_without_the_values(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        said = 'execute command { insert: "hook", documents: [ { load: 4711 } ], $db: "shop" }'
        said = f"not authorized on shop to {said}"
        raise OperationError(f"Could not save document ({said}, full error: {{'ok': 0.0}})")

    monkeypatch.setattr(OPENING, refused)
    said = "error: Could not save document (not authorized on shop to execute command insert\n"
    assert run("log", "hook", "door").err == said


@pytest.mark.parametrize("at", ["mongoengine_history.cli.main._check", OPENING])
def test_ctrl_c_ends_without_a_word(run: Any, monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    hook()
    monkeypatch.setattr(at, interrupted)
    ended = run("log", "hook", "door")
    assert (ended.code, ended.out, ended.err.strip()) == (130, "", "")


URI = "mongodb://ada:se/cret@db.example:27017/shop"


@pytest.mark.parametrize(
    "words",
    [[URI], ["log", URI], ["log", "hook", "door", URI], ["show", "hook", "door", URI],
     ["search", URI], ["--database", URI, "log", "hook", "door"], ["--zone", URI, "log"],
     ["-m", URI, "log", "a"], ["prune", "hook", "--older-than", URI], ["changeset", URI],
     ["log", f"--nothing={URI}"]],
)  # fmt: skip
def test_a_password_in_the_wrong_place_is_not_repeated(run: Any, words: list[str]) -> None:
    hook()
    ended = run(*words)
    assert ended.code == 2
    assert "cret" not in ended.out + ended.err


def test_a_password_that_the_application_tells_is_not_repeated(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "app_that_fails.py").write_text(f"raise ValueError({URI!r})\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    ended = run("-m", "app_that_fails:It", "log", "door")
    assert ended.code == 2
    assert "ada:***@db.example" in ended.err
    assert "cret" not in ended.err
