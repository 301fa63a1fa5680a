"""Commands that keep a history: what goes is shown before, and goes for good."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from support.shelves import HOOK, SHELF, Hook, Loose, hook, raw_collection, shelf

from mongoengine_history import History, RevisionPrunedError, history_of, hold, verify

YES = "--yes"


@pytest.mark.parametrize("words", [["hook"], ["-m", HOOK]])
def test_prune_says_what_goes_and_lets_it_go(run: Any, words: list[str]) -> None:
    made = hook()
    shown = run("prune", *words, "--keep", 1, "--dry-run")
    assert shown.lines[0].startswith("2 revisions of 1 document would go for good")
    assert len([*history_of(made)]) == 3
    assert run("prune", *words, "--keep", 1, answer="n\n").code == 1
    ended = run("prune", *words, "--keep", 1, YES, "--identity", "dan", "--reason", "old")
    assert (ended.code, ended.lines[-1]) == (0, "Gone: 2 revisions.")
    with pytest.raises(RevisionPrunedError):
        history_of(made)[1]
    assert verify(Hook).ok
    told = run("show", "hook", "door", 1)
    assert (told.code, told.out) == (2, "")
    assert "was pruned" in told.err
    assert run("log", "hook", "door").code == 0


def test_prune_takes_ages_and_moments(run: Any) -> None:
    made = hook()
    for when in ("30d", "2001-01-01", "1y"):
        assert run("prune", "hook", "--older-than", when, YES).lines[0].startswith("0 revisions")
    ended = run("prune", "hook", "--older-than", "0s", YES, "--json")
    assert (ended.data["written"], ended.data["revisions"]) == (True, 2)
    assert len([*history_of(made)]) == 1


def test_what_is_held_stays(run: Any) -> None:
    made = hook()
    hold(made, reason="court")
    assert run("prune", "hook", "--keep", 1, YES, "--json").data["held"] == 1


def test_prune_wants_to_know_what_stays(run: Any) -> None:
    hook()
    assert run("prune", "hook", YES).code == 2
    assert run("prune", "hook", "--older-than", "yesterday", YES).code == 2
    assert run("prune", "hook", "--keep", 0, YES).code == 2


@pytest.mark.parametrize("words", [["hook"], ["-m", HOOK]])
def test_redact_erases_values_of_one_document(run: Any, words: list[str]) -> None:
    made, other = hook(), hook("gate")
    shown = run("redact", *words, "colour", "door", "--dry-run")
    assert "history of document door" in shown.out
    ended = run("redact", *words, "colour", "door", YES, "--reason", "asked for")
    assert ended.code == 0
    assert "red" not in [it.get("colour") for it in (history_of(made).state(1),)]
    assert history_of(other).state(1)["colour"] == "red"
    assert history_of(made)[-1].reason == "asked for"
    assert verify(Hook).ok


def test_redact_erases_values_of_all(run: Any) -> None:
    hook(), hook("gate")
    assert "all documents of Hook" in run("redact", "-m", HOOK, "colour", "--dry-run").out
    assert run("redact", "hook", "colour", YES, "--json").data["documents"] == 2
    assert "blue" not in run("export", "hook").out


def test_indexes_are_created_once(run: Any) -> None:
    hook()
    raw_collection("history").drop_indexes()
    shown = run("indexes", "-m", HOOK, "--dry-run")
    assert "missing: history_revision" in shown.out
    ended = run("indexes", "-m", HOOK, YES)
    assert ended.code == 0
    History.ensure_indexes()
    assert "all there" in run("indexes", "-m", HOOK, YES).out


def test_backfill_gives_a_past_to_what_has_none(run: Any) -> None:
    raw_collection("loose").insert_many([{"_id": 1, "size": 1}, {"_id": 2, "size": 2}])
    assert "2 documents" in run("backfill", "loose", "--dry-run").out
    assert run("backfill", "loose", YES).lines[-1] == "Gone through: 2 documents."
    assert history_of(Loose, "0" * 24) is not None
    assert run("state", "loose", 1, 0).data == {"size": 1}


def test_upgrade_counts_records_of_1_1(run: Any) -> None:
    made = shelf()
    assert "no records of 1.1" in run("upgrade", "-m", SHELF, YES).out
    record = {
        "identity": None,
        "document_id": made.pk,
        "document_type": "shelf",
        "action": "change",
        "path": "owner",
        "data": {"old": "a", "new": "Ada"},
        "created_at": datetime(2020, 1, 1),
    }
    raw_collection("history").insert_one(record)
    ended = run("upgrade", YES)
    assert ended.lines[1].split() == ["shelf", "1"]
    assert "They stay as they are" in ended.out
    assert run("upgrade", YES, "--json").data["records"] == {"shelf": 1}
