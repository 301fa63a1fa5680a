"""
Looks at what writers have left, and says what is not as it should be.

Run as a module, ``python -m faults.judge '{"uri": …}'``, with a task as JSON. Prints its findings.
Three witnesses are compared: the journals of the writers, the oplog, and the history.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import mongoengine
from faults.desk import SHARED
from faults.documents import MODELS
from faults.findings import Findings
from faults.journal import ACKNOWLEDGED, CUT, RAISED, Attempt, Told
from faults.marks import DELETED
from faults.oplog import Address, written
from faults.recorded import Recorded, recorded

from mongoengine_history import (
    DocumentDidNotExistError,
    HistoryError,
    history_of,
    reconcile,
    verify,
)
from mongoengine_history.errors import IncompleteRevisionError


class Judge:
    """Compares what was told with what is there, in the default database of MongoEngine."""

    def __init__(self, findings: Findings, told: Told) -> None:
        self.findings, self._told = findings, told
        database = mongoengine.get_db()
        self._written = written(database.client, database.name)
        self._recorded = recorded(database)

    def judge(self) -> Findings:
        """Count all that there is to count."""
        self._count_attempts()
        for address in sorted(self._written.keys() | self._recorded.keys()):
            if address.key in self._told.attempts_at:  # else it is of another run
                history = self._recorded[address]
                self._judge_marks(address, history)
                self._judge_numbers(address, history)
                self._judge_states(address, history)
        for model in MODELS.values():
            self._judge_reconciled(model)
        return self.findings

    def _judge_reconciled(self, model: Any) -> None:
        """Let drift become history: then all is right, but where revisions are incomplete."""
        self.findings.add("reconciled", *reconcile(model).recorded)
        left = [*reconcile(model).recorded, *verify(model).findings]
        torn = {it.key for it, history in self._recorded.items() if history.torn}
        self.findings.add("unverified", *(it for it in left if it.document_id not in torn))

    def _count_attempts(self) -> None:
        add, attempts = self.findings.add, self._told.attempts.values()
        for name, outcome in (("acknowledged", ACKNOWLEDGED), ("raised", RAISED), ("cut", CUT)):
            add(name, *(it.mark for it in attempts if it.outcome == outcome))
        add("told_errors", *(it.mark for it in attempts if it.is_told))
        add("told_lines", *self._told.lines)
        add("unexpected", *(f"{it.error}: {it.text}" for it in attempts if it.is_unexpected))
        stored = {mark for marks in self._written.values() for mark in marks}
        saves = [it for it in attempts if it.outcome == ACKNOWLEDGED and it.action != "delete"]
        add("rolled_back", *(it.mark for it in saves if it.mark not in stored))

    def _judge_marks(self, address: Address, history: Recorded) -> None:
        for mark in sorted(self._written.get(address, set()) & history.made):
            in_vain = [it for it in self._attempts(address, mark) if it.is_told]
            self.findings.add("told_in_vain", *(f"{it} in {address}" for it in in_vain))
        for mark in sorted(self._written.get(address, set()) - history.made):
            for attempt in self._attempts(address, mark):
                name = self._verdict(address, attempt, is_known=mark in history.known)
                if name:
                    self.findings.add(name, f"{attempt} in {address}")

    def _attempts(self, address: Address, mark: str) -> list[Attempt]:
        if mark == DELETED:
            return [it for it in self._told.attempts_at[address.key] if it.action == "delete"]
        return [self._told.attempts[mark]]

    def _verdict(self, address: Address, attempt: Attempt, *, is_known: bool) -> str | None:
        """Say of a write that is stored, and that no revision has made, what that means."""
        if self._told.knows(address.key, attempt):
            return "told"
        if attempt.outcome == RAISED and not self._is_cut_later(address, attempt):
            return None if is_known else "doubts"
        if attempt.outcome == RAISED:
            return None if is_known else "cut_drift"
        return "cut_drift" if attempt.outcome == CUT else "losses"

    def _is_cut_later(self, address: Address, attempt: Attempt) -> bool:
        """Say whether a writer was killed that may have stored, or known, what raised before."""
        later = (it for it in self._told.attempts_at[address.key] if it.at > attempt.at)
        return any(it.outcome == CUT for it in later)

    def _judge_numbers(self, address: Address, history: Recorded) -> None:
        add = self.findings.add
        add("documents", address)
        add("revisions", *history.operations)
        add("external", *(it for it in history.operations if it == "external"))
        add("gaps", *(f"{number} of {address}" for number in history.gaps))
        add("strays", *(f"{stray} in {address}" for stray in history.strays))
        add("duplicates", *(f"{mark} in {address}" for mark in history.twice))
        for number, identity in history.torn.items():
            name = "torn_by_failure" if self._has_failed(address, identity) else "torn"
            add(name, f"{number} of {address} by {identity}")

    def _has_failed(self, address: Address, identity: Any) -> bool:
        """Say whether the writer of a revision was killed, or told that something went wrong."""
        attempt = self._told.attempts.get(identity)
        if attempt is None:  # somebody else has made it for a write that raised
            return any(it.outcome == CUT for it in self._told.attempts_at[address.key])
        return attempt.outcome != ACKNOWLEDGED or self._told.knows(address.key, attempt)

    def _judge_states(self, address: Address, history: Recorded) -> None:
        timeline = history_of(MODELS[address.collection], address.key)
        state: Any = None
        for number in range(history.newest + 1):
            try:
                state = timeline.state(number)
            except DocumentDidNotExistError:
                state = None
            except HistoryError as error:
                state = error
                self._judge_error(address, history, number, error)
        stored = _stored(address)
        if state != stored:
            name = "drift" if self._may_drift(address) else "own_drift"
            self.findings.add(name, f"{address}: recorded {state}, stored {stored}")

    def _may_drift(self, address: Address) -> bool:
        """Say whether writers may have overlapped there, or one of them was told of no success."""
        outcomes = {attempt.outcome for attempt in self._told.attempts_at[address.key]}
        return address.key in SHARED or outcomes != {ACKNOWLEDGED}

    def _judge_error(
        self, address: Address, history: Recorded, number: int, error: HistoryError
    ) -> None:
        is_torn = isinstance(error, IncompleteRevisionError) and error.number in history.torn
        is_excused = is_torn and self._has_failed(address, history.torn[error.number])
        name = "unreadable_by_failure" if is_excused else "unreadable"
        self.findings.add(name, f"{number} of {address}: {type(error).__name__}: {error}")


def _stored(address: Address) -> dict[str, Any] | None:
    found = mongoengine.get_db()[address.collection].find_one({"_id": address.key})
    return found and {name: value for name, value in found.items() if name != "_id"}


def main(task: dict[str, Any]) -> None:
    """Judge what the *task* names, and print the findings as JSON."""
    mongoengine.connect(task["database"], host=task["uri"], uuidRepresentation="standard")
    findings = Findings(task["setting"], task["is_safe"])
    Judge(findings, Told.of(Path(task["journals"]))).judge()
    print(json.dumps(asdict(findings)))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
