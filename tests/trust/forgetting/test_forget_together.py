"""Several forget something of the same history at once: nothing comes back, all is proven."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pymongo.database import Database
from support.changes import automatic, tracked_otherwise
from support.diaries import Diary, filled, found

from mongoengine_history import anonymise, changeset, history_of, redact, verify
from mongoengine_history.record import rewriting

tracking = automatic(Diary)

ACTS: dict[str, Callable[[], object]] = {
    "MAIL": lambda: redact(Diary, "mail"),
    "DOOR": lambda: redact(Diary, "room"),
    "ann": lambda: anonymise("ann", "user 7"),
}


def written() -> Diary:
    with changeset("ann"):
        diary = filled().save()
        for number in range(9):
            diary.facts["n"] = number
            diary.save()
    return diary


@pytest.mark.parametrize("version_every", [1, 100])
def test_all_at_once(database: Database[Any], version_every: int) -> None:
    with tracked_otherwise(Diary, version_every=version_every):
        diary = written()
        with ThreadPoolExecutor(len(ACTS)) as pool:
            for each in [pool.submit(act) for act in ACTS.values()]:
                each.result()
        assert not found(*ACTS)
        assert list(verify(diary)) == []
        assert [it.operation for it in history_of(diary)].count("redact") == len(ACTS)


@pytest.mark.parametrize("other", ["DOOR", "ann"])
def test_one_between_reading_and_writing_of_another(
    database: Database[Any], other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    diary, waiting = written(), [ACTS[other]]
    at_once = rewriting._at_once

    def after_another(*args: Any) -> Any:
        while waiting:
            waiting.pop()()
        return at_once(*args)

    monkeypatch.setattr(rewriting, "_at_once", after_another)
    redact(Diary, "mail")
    assert not found("MAIL", other)
    assert list(verify(diary)) == []
