"""What was measured: the page and the plots show the numbers, and one command makes all of them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from benchmarks.__main__ import parsed
from benchmarks.page import PAGE, PLACE, PLOTS, numbers
from benchmarks.plots import told
from support.binding import binds

DOCS = Path(__file__).parents[1] / "docs"
TESTS = Path(__file__).parent
LIFE = "\n".join(
    json.dumps({"at": "2026-11-27T10:00:00Z", "author": "ann", "message": "", "state": {"n": n}})
    for n in range(3)
)
TARGETS = {f"T{number}" for number in range(1, 20)}


def test_the_page_shows_the_numbers_that_are_kept() -> None:
    shown = PLACE.search((DOCS / PAGE).read_text(encoding="utf-8"))
    assert shown
    assert shown[1] == numbers(DOCS).text


def test_each_plot_shows_the_points_that_are_kept() -> None:
    text = (DOCS / PAGE).read_text(encoding="utf-8")
    for name in {point.plot for point in numbers(DOCS).points}:
        own = [point for point in numbers(DOCS).points if point.plot == name]
        assert told(own) in (DOCS / PLOTS / f"{name}.svg").read_text(encoding="utf-8")
        assert f"({PLOTS}/{name}.svg)" in text


def test_each_target_is_measured_and_told_to_users() -> None:
    text = (DOCS / PAGE).read_text(encoding="utf-8")
    assert {it.target for it in numbers(DOCS).results if it.target} == TARGETS
    assert {
        *re.findall(r"^\| (T\d+) \|", text.partition("## All numbers")[0], re.MULTILINE)
    } == TARGETS


def test_what_is_not_reached_has_a_reason() -> None:
    reasons = (DOCS / PAGE).read_text(encoding="utf-8").partition("## What is not reached")[2]
    missed = [it for it in numbers(DOCS).results if it.met == "no"]
    names = {it.target or it.what.partition(":")[0] for it in missed}
    assert {it for it in names if not re.search(rf"\b{it}\b", reasons, re.IGNORECASE)} == set()


@binds
def test_one_command_measures_and_writes_all_of_it(
    mongodb_uri: str, request: Any, tmp_path: Path
) -> None:
    """With so few turns that nothing is measured, and without what is slow."""
    (tmp_path / PAGE).write_text("a\n<!-- measured -->\n<!-- end -->\nz\n", encoding="utf-8")
    (tmp_path / "life.jsonl").write_text(LIFE, encoding="utf-8")
    wheel = request.config.cache.mkdir("mongoengine-history-1.1")
    folders = ["--docs", tmp_path, "--revisions", tmp_path, "--wheel", wheel]
    subprocess.run(
        [sys.executable, "-m", "benchmarks", "all", "0.001", *map(str, folders)],
        env={**os.environ, "PYTHONPATH": str(TESTS), "MONGODB_URI": mongodb_uri},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    kept = numbers(tmp_path)
    text = (tmp_path / PAGE).read_text(encoding="utf-8")
    assert text == f"a\n<!-- measured -->\n{kept.text}<!-- end -->\nz\n"
    assert TARGETS - {it.target for it in kept.results} == {"T6", "T9"}  # which are slow
    assert {it.name for it in (tmp_path / PLOTS).iterdir()} == {
        f"{point.plot}.svg" for point in kept.points
    }


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["page"], "--docs"),
        (["all", "--docs", "nowhere"], "nowhere is no folder"),
        (["all", "--docs", str(TESTS)], "there is no speed.md"),
        (["all", "--revisions", "nowhere"], "nowhere is no folder"),
        (["saves", "0"], "0 is no number above 0"),
        (["saves", "nan"], "nan is no number above 0"),
    ],
)
def test_what_cannot_be_measured_or_written_is_told_at_once(
    monkeypatch: Any, capsys: Any, arguments: list[str], expected: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks", *arguments])
    with pytest.raises(SystemExit):
        parsed()
    assert expected in capsys.readouterr().err
