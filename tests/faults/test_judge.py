"""The judge is judged: what somebody has forged is found, and counted as what it is."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import mongoengine
import pytest
from faults.documents import STYLES
from faults.findings import RULED_OUT, Findings
from faults.journal import Journal, Told
from faults.judge import Judge
from faults.marks import key, mark
from faults.oplog import OPLOG

from mongoengine_history import HistoryNotRecordedError, untracked

STYLE = STYLES["tracked"]

SAVES = 4

USUAL = {"acknowledged", "documents", "revisions"}
"""What is counted where all is as it should be."""


class Run:
    """A run of one writer that saves one document, each time with the next mark, and tells it."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._name = folder, f"w{uuid.uuid4().hex}"
        self._journal = Journal(folder / "writer.journal")
        self.key, self.marks = key(self._name, 0), list[str]()
        self.sheet = STYLE.model(pk=self.key)
        for _ in range(SAVES):
            self.save()
            self._journal.ends(self.marks[-1], True)

    def tries(self, action: str = "save") -> str:
        self.marks.append(mark(self._name, len(self.marks)))
        self._journal.tries(self.marks[-1], action, [self.key])
        return self.marks[-1]

    def save(self) -> None:
        """Save, and be killed before the journal has the outcome."""
        title = self.tries()
        with STYLE.block(self.sheet, title):
            self.sheet.title = self.sheet.facts["last"] = title
            self.sheet.save()

    def fail(self, error: Exception) -> None:
        """Store what is not recorded, and get an error."""
        with untracked():
            self.save()
        self._journal.fails(self.marks[-1], error)

    def delete(self) -> None:
        """Delete the document without a record, and be told that all is well."""
        deletion = self.tries("delete")
        with untracked():
            self.sheet.delete()
        self._journal.ends(deletion, True)

    def break_down(self) -> None:
        """Get an error that nobody expects, with nothing stored."""
        self._journal.fails(self.tries(), KeyError("a fault of the library"))

    def forget(self, mark: str) -> None:
        """Lose the line that says how a write has ended."""
        path = self._folder / "writer.journal"
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(it for it in lines if not (mark in it and "outcome" in it)))

    def take(self, **records: int) -> None:
        """Take records out of the history."""
        self.history.delete_many({"document_id": self.key, **records})

    @property
    def history(self) -> Any:
        return mongoengine.get_db()["history"]

    def judged(self, *, is_safe: bool = True) -> Findings:
        return Judge(Findings("forged", is_safe), Told.of(self._folder)).judge()


@pytest.fixture
def run(tmp_path: Path, client: Any, database: Any) -> Run:
    if OPLOG not in client.local.list_collection_names():
        pytest.skip("the judge reads the oplog of a replica set")
    return Run(tmp_path)


def unusual(found: Findings) -> dict[str, int]:
    return {name: count for name, count in found.counts.items() if count and name not in USUAL}


def test_an_honest_history_has_no_fault(run: Run) -> None:
    found = run.judged()
    assert (unusual(found), found.faults) == ({}, [])
    assert (found.counts["acknowledged"], found.counts["revisions"]) == (SAVES, SAVES)


def test_a_silent_loss_is_found(run: Run) -> None:
    """The newest revision is gone, so no gap gives it away."""
    run.take(revision=SAVES)
    found = run.judged()
    assert unusual(found) == {"losses": 1, "own_drift": 1, "reconciled": 1}
    assert run.marks[-1] in found.examples["losses"][0]
    assert found.faults == ["losses", "own_drift"]


def test_a_gap_is_found(run: Run) -> None:
    run.take(revision=2)
    found = run.judged()
    assert found.counts["gaps"] == 1
    assert {"losses", "gaps", "unreadable"} <= set(found.faults)


def test_a_revision_that_lacks_records_is_found(run: Run) -> None:
    run.take(revision=3, position=1)
    found = run.judged()
    assert (found.counts["torn"], found.counts["torn_by_failure"]) == (1, 0)
    assert found.counts["unreadable"] == 2  # its state, and the one after it
    assert {"torn", "unreadable"} <= set(found.faults)


def test_one_whose_writer_was_killed_is_no_fault(run: Run) -> None:
    run.take(revision=3, position=1)
    run.forget(run.marks[2])
    found = run.judged()
    assert (found.counts["torn_by_failure"], found.counts["unreadable_by_failure"]) == (1, 2)
    assert found.faults == []


def test_a_write_that_is_recorded_twice_is_found(run: Run) -> None:
    again = {"$set": {"identity": run.marks[2]}}
    run.history.update_many({"document_id": run.key, "revision": SAVES}, again)
    assert run.judged().faults == ["duplicates", "unverified"]


def test_a_write_of_a_killed_writer_is_drift(run: Run) -> None:
    with untracked():
        run.save()
    assert unusual(run.judged()) == {"cut": 1, "cut_drift": 1, "drift": 1, "reconciled": 1}


def test_a_write_that_raised_and_is_stored_has_to_be_recorded(run: Run) -> None:
    run.fail(mongoengine.OperationError())
    found = run.judged()
    assert unusual(found) == {"raised": 1, "doubts": 1, "drift": 1, "reconciled": 1}
    assert found.faults == ["doubts"]


def test_what_a_writer_knew_that_was_killed_later_is_drift(run: Run) -> None:
    run.fail(mongoengine.OperationError())
    with untracked():
        run.save()
    assert unusual(run.judged()) == {
        "raised": 1,
        "cut": 1,
        "cut_drift": 2,
        "drift": 1,
        "reconciled": 1,
    }


def test_unless_somebody_was_told(run: Run) -> None:
    run.fail(HistoryNotRecordedError([run.key], [], "no reason"))
    assert unusual(run.judged()) == {
        "raised": 1,
        "told_errors": 1,
        "told": 1,
        "drift": 1,
        "reconciled": 1,
    }


def test_a_deletion_without_a_revision_is_a_loss(run: Run) -> None:
    run.delete()
    assert run.judged().faults == ["losses", "own_drift"]


def test_an_error_that_no_page_names_is_found(run: Run) -> None:
    run.break_down()
    assert run.judged().faults == ["unexpected"]


def test_what_a_fail_over_may_take_is_shown_only(run: Run) -> None:
    run.take(revision=2)
    found = run.judged(is_safe=False)
    assert any(found.counts[name] for name in RULED_OUT)
    assert found.faults == []


def test_what_belongs_to_no_revision_is_found(run: Run) -> None:
    run.history.insert_one({"document_type": "faults_tracked", "document_id": run.key})
    assert run.judged().faults == ["strays"]
