"""Each command, where what it is asked about is not there: its exit code, and that it says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.shelves import Hook, hook

from mongoengine_history import prune
from mongoengine_history.cli.main import SECTIONS

COMMANDS = {it.name for section in SECTIONS.values() for it in section}

#: Without a key, of a class.
OF_CLASSES = {
    "backfill": ["-y"],
    "deleted": [],
    "export": [],
    "prune": ["--keep", 1, "-y"],
    "reconcile": ["-y"],
    "redact": ["load", "-y"],
    "verify": [],
}
#: And with one, of a document; ``#`` is a revision.
OF_DOCUMENTS = {
    "as-of": ["0s"],
    "blame": [],
    "diff": ["#", "now"],
    "export": [],
    "log": [],
    "proof": ["#"],
    "reconcile": ["-y"],
    "restore": ["-y"],
    "revert": ["#", "-y"],
    "show": ["#"],
    "state": ["#"],
    "undo": ["#", "-y"],
    "verify": [],
}
#: Of neither.
OTHERS: dict[str, list[Any]] = {
    "browse": ["--port", 0],
    "changeset": ["0" * 24],
    "checkpoint": [],
    "demo": [],
    "indexes": [],
    "revert-changeset": ["0" * 24, "-y"],
    "search": [],
    "stats": [],
    "upgrade": [],
    "watch": ["hook"],
}


def failed(ended: Any, said: str) -> None:
    assert (ended.code, ended.out, said in ended.err) == (2, "", True), ended
    assert "Traceback" not in ended.err


def of_hook(command: str, key: str, number: int) -> list[Any]:
    said = [number if it == "#" else it for it in OF_DOCUMENTS[command]]
    return [command, "hook", key, *said]


def words_of(command: str) -> list[Any]:
    """Write a whole command, about what is there."""
    if command in OF_DOCUMENTS:
        return of_hook(command, "door", 1)
    said = {**OTHERS, **{name: ["hook", *it] for name, it in OF_CLASSES.items()}}
    return [command, *said[command]]


def test_all_commands_are_told_of() -> None:
    assert {*OF_CLASSES, *OF_DOCUMENTS, *OTHERS} == COMMANDS


def test_a_collection(run: Any) -> None:
    hook()
    for command, said in OF_CLASSES.items():
        failed(run(command, "hok", *said), "no such collection")
    failed(run("as-of", "hok", "0s"), "no such collection")
    failed(run("search", "model:hok"), "has no history")


def test_a_document(run: Any) -> None:
    hook()
    for command in OF_DOCUMENTS:
        failed(run(*of_hook(command, "nobody", 1)), "has no history")
    failed(run("redact", "hook", "load", "nobody", "-y"), "has no history")


@pytest.mark.parametrize("command", sorted(COMMANDS - {"demo"}))
def test_a_collection_of_records(run: Any, command: str) -> None:
    hook()
    failed(run(*words_of(command), "--history", "hstory"), "history='hstory' cannot be used")


def test_a_changeset(run: Any) -> None:
    for command in ("changeset", "revert-changeset"):
        failed(run(command, *OTHERS[command]), "changeset")


def test_a_revision_that_was_pruned(run: Any) -> None:
    hook()
    prune(Hook, keep=1)
    for command in ("diff", "revert", "show", "state", "undo"):
        failed(run(*of_hook(command, "door", 1)), "was pruned")
    failed(run("as-of", "hook", "door", "2020-01-01"), "was pruned")
    failed(run("restore", "hook", "door", "--path", "load", "--revision", 1, "-y"), "was pruned")


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_a_server(run: Any, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.setattr("mongoengine_history.cli.connection.PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr("mongoengine_history.demo.program.SECONDS", 0.05)
    failed(
        run(*words_of(command), MONGODB_URI="mongodb://ann:s3cret@127.0.0.1:1/x"),
        "No MongoDB answers at",
    )


def test_what_a_checkpoint_knows_may_all_be_gone(run: Any, tmp_path: Path, database: Any) -> None:
    hook()
    last = tmp_path / "last.txt"
    assert run("checkpoint", "--to", last).code == 0
    database.drop_collection("hook")
    database.drop_collection("history")
    assert run("verify", "hook", "--since", last).code == 1
