"""What cannot be recorded waits in a file: any change is in the history once, and can be read."""

from __future__ import annotations

import base64
import multiprocessing
import os
import pickle
import stat
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from threading import Thread
from typing import Any

import mongoengine as me
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.binding import binds
from support.changes import tracked
from support.unanswered import unanswered

from mongoengine_history import (
    Flushed,
    HistoryNotRecordedError,
    OptionsError,
    changeset,
    flush_spool,
    history_of,
    spool,
)


class Packet(me.Document):
    meta = {"collection": "spool_packets", "auto_create_index": False}
    weight = me.IntField()
    note = me.StringField()
    stops = me.ListField(me.StringField())
    sizes = me.DictField()
    secret = me.StringField()
    draft = me.StringField()


@pytest.fixture
def file(database: Any, tmp_path: Path) -> Iterator[Path]:
    file = tmp_path / "history.spool"
    hidden = {"mask": ["secret"], "exclude": ["draft"]}
    with tracked(Packet, on_error=spool(file), **hidden):
        yield file


def refusing() -> Any:
    """Let no record be written inside the block."""
    return unanswered("insert_many", among="history", done=False)


def weighed(packet: Packet, weight: int) -> Packet:
    with changeset("ada"):
        packet.weight = weight
        return packet.save()


def told(packet: Packet, *, has_versions: bool = True) -> list[tuple[str, Any]]:
    """Check that each state can be read and the newest is what is stored; return who did what."""
    timeline = history_of(packet)
    numbers = [it.number for it in timeline if it.operation != "delete"]
    numbers = numbers if has_versions else numbers[-1:]
    states = {number: timeline.state(number) for number in numbers}
    assert [it.number for it in timeline] == [*range(1, len(timeline) + 1)]
    stored = me.get_db().spool_packets.find_one({"_id": packet.pk}, {"_id": 0})
    assert states.get(len(timeline)) == stored
    return [(revision.operation, revision.identity) for revision in timeline]


def test_what_cannot_be_recorded_is_on_the_disk_and_is_recorded_later(file: Path) -> None:
    packet = Packet(weight=1).save()
    with refusing():
        weighed(packet, 2)
    assert told_of(packet) == ["create"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert flush_spool(file) == Flushed(recorded=1, left=0, torn=0)
    assert told(packet) == [("create", None), ("update", "ada")]
    assert file.read_bytes() == b""
    assert flush_spool(file) == Flushed(0, 0, 0)


def told_of(packet: Packet) -> list[str]:
    return [revision.operation for revision in history_of(packet)]


def test_it_is_written_and_synced_before_the_write_returns(file: Path, monkeypatch: Any) -> None:
    synced, ever = [], os.fsync

    def noted(number: int) -> None:
        synced.append(os.fstat(number).st_size)
        ever(number)

    monkeypatch.setattr(os, "fsync", noted)
    with refusing():
        Packet(weight=1).save()
    assert synced[0] == file.stat().st_size
    assert len(synced) == 2  # and the folder that has the new name


def test_several_lost_writes_of_one_document_keep_their_order(file: Path) -> None:
    packet = Packet(stops=["a"]).save()
    with refusing():
        for number in range(4):
            packet.stops.insert(0, str(number))
            weighed(packet, number)
    assert flush_spool(file).recorded == 4
    assert told(packet) == [("create", None), *[("update", "ada")] * 4]
    assert [history_of(packet).state(it)["weight"] for it in range(2, 6)] == [0, 1, 2, 3]


def test_a_whole_life_may_be_in_it(file: Path) -> None:
    with refusing():
        packet = weighed(Packet(), 1)
        weighed(packet, 2)
        packet.delete()
    assert flush_spool(file) == Flushed(3, 0, 0)
    assert told(packet) == [("create", "ada"), ("update", "ada"), ("delete", None)]


def test_many_documents_of_one_write_are_many_entries(file: Path) -> None:
    packets = [Packet(weight=number) for number in range(3)]
    with refusing():
        Packet.objects.insert(packets)
        Packet.objects.update(inc__weight=1)
    assert len(file.read_bytes().splitlines()) == 6
    assert flush_spool(file) == Flushed(6, 0, 0)
    for packet in Packet.objects:
        assert told(packet) == [("create", None), ("update", None)]


def test_masks_and_excludes_hold_in_it(file: Path) -> None:
    with refusing():
        Packet(weight=1, secret="geheim", draft="entwurf").save()
    plain = base64.b64decode(file.read_bytes().split()[1])
    assert b"weight" in plain
    assert b"geheim" not in plain
    assert b"entwurf" not in plain


def test_what_still_fails_stays_with_all_that_followed_it(file: Path) -> None:
    packet, other = Packet(weight=1).save(), Packet(weight=1).save()
    with refusing():
        weighed(packet, 2)
        weighed(packet, 3)
        assert flush_spool(file) == Flushed(0, 2, 0)
    other.weight = 5
    other.save()
    assert flush_spool(file) == Flushed(2, 0, 0)
    assert told(packet) == [("create", None), ("update", "ada"), ("update", "ada")]


def test_a_class_that_this_process_does_not_know_waits_for_one_that_does(file: Path) -> None:
    with refusing():
        Packet(weight=1).save()
    known = Packet._class_name
    try:
        Packet._class_name = "Elsewhere"
        assert flush_spool(file) == Flushed(0, 1, 0)
    finally:
        Packet._class_name = known
    assert flush_spool(file) == Flushed(1, 0, 0)


def test_a_flush_that_dies_records_nothing_twice(file: Path, monkeypatch: Any) -> None:
    packet = Packet(weight=1).save()
    with refusing():
        for weight in (2, 3, 4):
            weighed(packet, weight)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "replace", dying)
        flush_spool(file)
    assert told(packet) == [("create", None), *[("update", "ada")] * 3]
    assert flush_spool(file) == Flushed(3, 0, 0)
    assert told(packet) == [("create", None), *[("update", "ada")] * 3]


def dying(*args: Any, **kwargs: Any) -> None:
    raise KeyboardInterrupt


def test_what_comes_while_it_is_flushed_stays(file: Path, monkeypatch: Any) -> None:
    packet, other = Packet(weight=1).save(), Packet(weight=1).save()
    with refusing():
        weighed(packet, 2)
    ever = Path.replace

    def meanwhile(*args: Any) -> Any:
        monkeypatch.setattr(Path, "replace", ever)
        late.start()
        late.join(0.2)  # it waits for the file that takes the place of this one
        return ever(*args)

    def lose() -> None:
        with refusing():
            weighed(other, 3)

    late = Thread(target=lose)
    monkeypatch.setattr(Path, "replace", meanwhile)
    assert flush_spool(file) == Flushed(1, 0, 0)
    late.join()
    assert flush_spool(file) == Flushed(1, 0, 0)
    assert told(other) == [("create", None), ("update", "ada")]


@binds
def test_in_a_transaction_it_stays_as_it_is(file: Path, database: Any) -> None:
    packet = Packet(weight=1).save()
    with refusing():
        weighed(packet, 2)
    with changeset(atomic=True):
        assert flush_spool(file) == Flushed(0, 1, 0)
    assert flush_spool(file) == Flushed(1, 0, 0)


@pytest.mark.parametrize("cut", [1, 10, 70, 200])
def test_a_torn_line_is_no_harm_to_those_around_it(file: Path, cut: int, caplog: Any) -> None:
    packet = Packet(weight=1).save()
    with refusing():
        weighed(packet, 2)
        whole = file.read_bytes()
        with file.open("ab") as torn:  # whose writer was killed
            torn.write(whole[:cut])
        weighed(packet, 3)
    assert flush_spool(file) == Flushed(2, 0, 1)
    assert "torn" in caplog.text
    assert told(packet) == [("create", None), ("update", "ada"), ("update", "ada")]


def test_a_file_that_cannot_be_written_raises_the_error_with_its_records(file: Path) -> None:
    packet = Packet(weight=1).save()
    file.mkdir()
    with refusing(), pytest.raises(HistoryNotRecordedError) as caught:
        weighed(packet, 2)
    caught.value.record()
    assert told(packet) == [("create", None), ("update", "ada")]


def test_a_full_disk_leaves_no_part_of_an_entry(file: Path, monkeypatch: Any) -> None:
    with refusing():
        weighed(Packet(), 1)
        before = file.read_bytes()

        def full(number: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(HistoryNotRecordedError):
            weighed(Packet(), 2)
    assert file.read_bytes() == before


def append_in_a_process(path: Path, number: int) -> None:
    error = HistoryNotRecordedError([number], [], None)
    for _ in range(20):
        error.document_id = number
        spool(path)(error)


def test_processes_share_it(tmp_path: Path) -> None:
    file, context = tmp_path / "shared", multiprocessing.get_context("fork")
    crew = [context.Process(target=append_in_a_process, args=(file, it)) for it in range(4)]
    for each in crew:
        each.start()
    for each in crew:
        each.join()
    lines = file.read_bytes().splitlines()
    assert len(lines) == 80
    assert len({*lines}) == 4


def test_it_can_be_pickled_and_compared(tmp_path: Path, monkeypatch: Any) -> None:
    kept = spool(tmp_path / "a")
    assert pickle.loads(pickle.dumps(kept)) == kept == spool(str(tmp_path / "a"))
    assert hash(kept) != hash(spool(tmp_path / "b"))
    monkeypatch.chdir(tmp_path)
    assert spool("a") == kept


@pytest.mark.parametrize("path", [5, None, "/no/such/folder/file", "/"])
def test_what_is_no_file_is_refused(path: Any) -> None:
    with pytest.raises(OptionsError):
        spool(path)
    with pytest.raises(OptionsError):
        flush_spool(path)


ACTS = st.one_of(
    st.tuples(st.just("save"), st.integers(0, 1), st.integers(0, 5)),
    st.tuples(st.just("many"), st.just(0), st.integers(0, 5)),
    st.sampled_from(
        [("fail", 0, 0), ("work", 0, 0), ("flush", 0, 0), ("die", 0, 0), ("tear", 0, 0)]
    ),
)


def act(packets: list[Packet], which: int, how: int, number: int) -> None:
    """Make one change, which its *number* tells from all others."""
    packet = packets[which]
    if how == 0:
        packet.stops.insert(0, str(number))
    elif how == 1:
        packet.stops = [*packet.stops[1:], str(number)]
    elif how == 2:
        packet.note = None if packet.note else str(number)
    elif how == 3:
        packet.sizes = {str(number): number}
    elif how == 4:
        packet.sizes[str(number % 3)] = number
    packet.weight = 1000 * (number + 1)
    packet.save()


@example(  # what is missing was written before and after what is there
    acts=[("fail", 0, 0), ("save", 0, 0), ("work", 0, 0), ("save", 0, 0), ("fail", 0, 0)],
    every=0,
    is_new=False,
)
@given(
    acts=st.lists(ACTS, max_size=14), every=st.sampled_from([0, 1, 2, 100]), is_new=st.booleans()
)
def test_each_change_is_in_the_history_once(
    database: Any, tmp_path: Path, acts: list[Any], every: int, is_new: bool
) -> None:
    """Whatever fails, is flushed, dies in between or is torn."""
    file = tmp_path / "law.spool"
    file.unlink(missing_ok=True)
    for name in ("spool_packets", "history"):
        database[name].delete_many({})
    packets, told_numbers = [Packet(stops=["x"]), Packet(stops=["y"])], []
    if not is_new:
        packets = [packet.save() for packet in packets]
    with tracked(Packet, on_error=spool(file), version_every=every):
        failing = False
        for number, step in enumerate([*acts, ("save", 0, 0), ("save", 1, 0)]):
            failing = step[0] == "fail" or (failing and step[0] != "work")
            with changeset(str(number)), refusing() if failing else nullcontext():
                done(packets, step, number, file)
            if step[0] == "save":
                told_numbers.append((step[1], str(number)))
        flush_spool(file)
        left = flush_spool(file)
    assert left[:2] == (0, 0)
    for which, packet in enumerate(packets):
        who = [identity for _, identity in told(packet, has_versions=every > 0)]
        own = [number for each, number in told_numbers if each == which]
        assert [who.count(number) for number in own] == [1] * len(own)


def done(packets: list[Packet], step: Any, number: int, file: Path) -> None:
    kind, which, how = step
    if kind == "save":
        act(packets, which, how, number)
    elif kind == "many":
        Packet.objects.update(inc__weight=1)
    elif kind == "flush":
        flush_spool(file)
    elif kind == "die":
        with pytest.MonkeyPatch.context() as patch, suppress(KeyboardInterrupt):
            patch.setattr(Path, "replace", dying)
            flush_spool(file)
    elif kind == "tear":
        with file.open("ab") as torn:
            torn.write(b"0123")
