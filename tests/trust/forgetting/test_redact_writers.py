"""`redact` while others write: nothing of theirs is lost, and nothing of what is erased is left."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest
from pymongo.database import Database
from support.changes import automatic, tracked_otherwise
from support.diaries import Diary, filled, found, marked

from mongoengine_history import erase, history_of, redact, verify
from mongoengine_history.record import head
from mongoengine_history.trust.forgetting import forget as forgetting

tracking = automatic(Diary)

WRITERS = 3


@pytest.mark.parametrize("version_every", [1, 3, 100])
def test_many_writers_lose_nothing(database: Database[Any], version_every: int) -> None:
    with tracked_otherwise(Diary, version_every=version_every):
        diary, is_over = filled().save(), Event()

        def save(number: int) -> int:
            own, count = Diary.objects.get(pk=diary.pk), 0
            while not is_over.is_set():
                count += 1
                own.facts[f"w{number}"] = count
                own.tags.append("tag")
                own.save()
            return count

        with ThreadPoolExecutor(WRITERS) as pool:
            writers = [pool.submit(save, number) for number in range(WRITERS)]
            try:
                receipts = [redact(Diary, it, pk=diary.pk) for it in ("mail", "room", "entries")]
            finally:
                is_over.set()
            counts = [it.result() for it in writers]
        assert all(it.documents for it in receipts)
        assert len(history_of(diary)) == 1 + sum(counts) + len(receipts)
        assert not found("MAIL", "DOOR", "CARD")
        assert verify(diary).ok, verify(diary).findings


def test_who_saves_between_the_last_look_and_the_receipt_is_erased_as_well(
    database: Database[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    diary = filled().save()
    found_out, late = forgetting.state_at, [diary]

    def after_another(*args: Any) -> Any:
        if late:
            own = late.pop()
            own.mail = marked("MAIL")
            own.save()
        return found_out(*args)

    monkeypatch.setattr(forgetting, "state_at", after_another)
    monkeypatch.setattr(head, "LONGEST_TURN", 0.1)
    receipt = redact(Diary, "mail", pk=diary.pk)
    assert (receipt.revisions, receipt.revision) == ("1-2", 3)
    assert not found("MAIL")
    assert verify(diary).ok


def test_an_object_in_memory_saves_after_all_is_erased(database: Database[Any]) -> None:
    with tracked_otherwise(Diary, version_every=1):
        diary = filled().save()
        stale = Diary.objects.get()
        erase(diary)
        diary.name = "b"
        diary.save()
        stale.facts["more"] = "new"
        stale.save()
        assert not found("MAIL", "TAGS", "CARD", "PIN", "DOOR")
        assert verify(diary).ok
        assert history_of(diary)[-2].patches[0][2][1] == "b"
