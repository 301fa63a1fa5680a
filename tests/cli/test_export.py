"""Commands that give a history to others."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from support.shelves import HOOK, SHELF, Hook, hook, shelf

from mongoengine_history import history_of, record_event


def test_stats_tell_how_much_there_is(run: Any) -> None:
    shelf(), hook(), hook("gate")
    record_event("login", user="ada")
    rows = {it.split()[0]: it.split()[1:] for it in run("stats").lines[1:]}
    assert rows["hook"][:3] == ["2", "6", "█" * 12]
    assert rows["shelf"][:3] == ["1", "3", "█" * 6]
    assert "(events)" in rows
    found = {it["collection"]: it for it in run("stats", "--json").data}
    assert (found["hook"]["documents"], found["hook"]["revisions"]) == (2, 6)
    assert {it["collection"] for it in run("stats", "-m", HOOK, "--json").data} >= {"hook"}
    assert max(map(len, run("stats").lines)) <= 80


def test_stats_of_nothing(run: Any) -> None:
    assert "empty" in run("stats").err


@pytest.mark.parametrize("words", [["hook"], ["-m", HOOK]])
def test_json_lines_have_each_revision(run: Any, words: list[str]) -> None:
    hook(), hook("gate")
    found = [json.loads(it) for it in run("export", *words).lines]
    assert [(it["id"], it["number"]) for it in found] == [
        (name, number) for name in ("door", "gate") for number in (1, 2, 3)
    ]
    one = [json.loads(it) for it in run("export", *words, "door").lines]
    timeline = history_of(Hook, "door")
    assert one == [{"collection": "hook", "id": "door", **it.to_dict(json=True)} for it in timeline]


def test_csv_has_each_change_and_no_formula(run: Any) -> None:
    made = shelf()
    made.modify(owner="=1+1", note='a "b"; c\nd')
    rows = [
        *csv.DictReader(io.StringIO(run("export", "-m", SHELF, made.pk, "--format", "csv").out))
    ]
    assert rows[0]["id"] == str(made.pk)
    changes = {it["path"]: it for it in rows if it["number"] == "4"}
    assert json.loads(changes["owner"]["new"]) == "=1+1"
    assert json.loads(changes["note"]["new"]) == 'a "b"; c\nd'
    assert changes["owner"]["kind"] == "edited"
    record_event("=HYPERLINK()", made)
    out = run("export", "shelf", made.pk, "--format", "csv").out
    assert not [it for row in csv.reader(io.StringIO(out)) for it in row if it.startswith("=")]


def test_a_file_is_never_overwritten(run: Any, tmp_path: Path) -> None:
    hook()
    file = tmp_path / "out.jsonl"
    assert run("export", "hook", "--to", file).code == 0
    assert len(file.read_text(encoding="utf-8").splitlines()) == 3
    assert run("export", "hook", "--to", file).code == 2


def test_hidden_values_are_not_exported(run: Any) -> None:
    made = shelf()
    for form in ("jsonl", "csv"):
        out = run("export", "shelf", made.pk, "--format", form).out
        assert not any(secret in out for secret in ('"c1"', '"c2"', '"s1"', '"s2"'))
