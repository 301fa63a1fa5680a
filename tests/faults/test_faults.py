"""A short run under faults. A longer one: ``PYTHONPATH=tests python -m faults 600``."""

from __future__ import annotations

import pytest
from faults.__main__ import main
from faults.tables import examples

from mongoengine_history.embedded import NoServerError, find_mongod

ENOUGH = 50
"""Writes of a setting; a run with fewer of them proves nothing."""


def test_under_faults_nothing_is_lost_silently_and_all_can_be_read() -> None:
    try:
        find_mongod()
    except NoServerError:
        pytest.skip("only a server of somebody else is there, which must not fail")
    found = main(60)
    assert not examples(found, found[0].faults + found[1].faults)
    assert not any(it.faults for it in found)
    assert all(it.counts["acknowledged"] > ENOUGH for it in found)
