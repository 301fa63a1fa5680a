"""What the tests of the whole have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test
from support.changes import watch
from support.machine import KINDS, LIVES
from support.strategies import examples

from mongoengine_history.record.head import Turn


@pytest.fixture
def apart(monkeypatch: Any) -> None:
    """Objects share nothing that is known of a history, as if each had a process of its own."""
    monkeypatch.setattr("mongoengine_history.record.revisions.turn_at", lambda _: Turn())


@pytest.fixture
def live(database: Any) -> Iterator[Callable[[type[RuleBasedStateMachine]], None]]:
    """Runs a machine, of which each life begins with an empty database."""
    watch(*KINDS)

    def run(machine: type[RuleBasedStateMachine]) -> None:
        class Fresh(machine):  # type: ignore[misc, valid-type]
            def __init__(self) -> None:
                for name in ("history", "orders", "loose_orders"):
                    database[name].delete_many({})
                super().__init__()

        run_state_machine_as_test(Fresh, settings=examples(LIVES, stateful_step_count=12))

    yield run
    for kind in KINDS:
        kind._meta.pop("history", None)
