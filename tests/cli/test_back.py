"""Commands that lead back: what they show is what they write, and nobody is surprised."""

from __future__ import annotations

from typing import Any

import mongoengine as me
import pytest
from support.shelves import DEED, HOOK, SHELF, Deed, Draft, Hook, Shelf, hook, raw_collection, shelf

from mongoengine_history import changeset, history_of, track_history, verify

YES = "--yes"


def stored(name: str, key: Any) -> Any:
    return raw_collection(name).find_one({"_id": key})


@pytest.mark.parametrize("words", [["hook", "door"], ["-m", HOOK, "door"]])
def test_revert_leads_back_with_who_and_why(run: Any, words: list[str]) -> None:
    made = hook()
    ended = run("revert", *words, 1, YES, "--reason", "too heavy", "--identity", "dan")
    assert ended.lines[0].endswith("reverted by dan (too heavy)")
    assert ended.lines[1:] == [
        "  ~ load: 3 → 1",
        '  ~ colour: "blue" → "red"',
        "Written as revision 4.",
    ]
    assert stored("hook", "door") == {"_id": "door", "load": 1, "colour": "red"}
    newest = history_of(made)[4]
    assert (newest.operation, newest.identity, newest.reason) == ("revert", "dan", "too heavy")
    assert verify(Hook).ok


def test_a_dry_run_writes_nothing(run: Any) -> None:
    made = hook()
    before = stored("hook", "door")
    for command in (["revert", "hook", "door", 1], ["undo", "hook", "door", 3]):
        ended = run(*command, "--dry-run")
        assert "Nothing was written" in ended.err
        assert "  ~ load: 3 →" in ended.out
        assert ended.code == 0
    assert (len(history_of(made)), stored("hook", "door")) == (3, before)


def test_it_asks_and_takes_no_for_an_answer(run: Any) -> None:
    made = hook()
    for answer in ("n\n", "\n", ""):
        ended = run("revert", "hook", "door", 1, answer=answer)
        assert ended.code == 1
        assert "Write this? [y/N]" in ended.err
        assert "Nothing was written" in ended.err
    assert len(history_of(made)) == 3
    assert run("revert", "hook", "door", 1, answer="y\n").code == 0
    assert len(history_of(made)) == 4


def test_nothing_to_change_is_no_revision(run: Any) -> None:
    made = hook()
    ended = run("revert", "hook", "door", -1, YES)
    assert (ended.code, len(history_of(made))) == (0, 3)
    assert "Nothing would change" in ended.err


def test_negative_numbers_count_from_the_end(run: Any) -> None:
    hook()
    assert run("revert", "hook", "door", -2, YES).code == 0
    assert stored("hook", "door")["load"] == 2
    assert run("undo", "hook", "door", "newest", YES).code == 0
    assert stored("hook", "door")["load"] == 3


def test_undo_keeps_what_came_later(run: Any) -> None:
    made = hook()
    made.modify(colour="green")
    assert run("undo", "hook", "door", 3, YES, "--json").data["revision"]["operation"] == "undo"
    assert stored("hook", "door") == {"_id": "door", "load": 2, "colour": "green"}


def test_conflicts_of_an_undo_are_named_and_nothing_is_written(run: Any) -> None:
    made = shelf()
    ended = run("undo", "-m", SHELF, made.pk, 2, YES)
    assert ended.code == 1
    assert "height: it left 2, found is 3" in ended.err
    told = run("undo", "-m", SHELF, made.pk, 2, YES, "--json")
    assert (told.code, told.data) == (1, {"written": False, "conflicts": ["h"]})
    assert len(history_of(made)) == 3


def test_restore_brings_a_deleted_document_back(run: Any) -> None:
    made = hook()
    before = stored("hook", "door")
    with changeset("eve", reason="sold"):
        made.delete()
    rows = run("deleted", "hook").lines
    assert rows[1].split()[:2] == ["door", "4"]
    assert rows[1].rstrip().endswith("eve  sold")
    assert [it["id"] for it in run("deleted", "-m", HOOK, "--json").data] == ["door"]
    assert run("restore", "hook", "door", YES).code == 0
    assert stored("hook", "door") == before
    assert "None is gone" in run("deleted", "hook").err
    again = run("restore", "hook", "door", YES)
    assert again.code == 2
    assert "is stored" in again.err


def test_the_rules_of_the_class_hold(run: Any) -> None:
    made = shelf()
    assert run("revert", "-m", SHELF, made.pk, 1, YES).code == 0
    now = stored("shelf", made.pk)
    assert (now["h"], now["code"], now["secret"]) == (1, "c2", "s2")
    assert verify(Shelf).ok


def test_what_the_class_hides_is_not_lost_without_it(run: Any) -> None:
    made = shelf()
    before = stored("shelf", made.pk)
    ended = run("revert", "shelf", made.pk, 1, YES)
    assert (ended.code, ended.out) == (2, "")
    assert "stored at secret is not" in ended.err
    assert "--model" in ended.err
    assert not {"c2", "s2"} & {*ended.err.replace('"', " ").split()}
    assert (stored("shelf", made.pk), len(history_of(made))) == (before, 3)


def test_no_conflict_tells_what_the_class_hides(run: Any) -> None:
    made = shelf()
    ended = run("undo", "shelf", made.pk, 2, YES)
    assert ended.code == 1
    assert "  code\n" in ended.err
    with changeset("eve"):
        made.delete()
    raw_collection("shelf").insert_one({"_id": made.pk, "secret": "s9"})
    ended = run("undo", "shelf", made.pk, 4, YES)
    assert (ended.code, ended.err.splitlines()[-1]) == (1, "  the document itself")


def test_what_is_not_hidden_goes_back_without_the_class(run: Any) -> None:
    made = shelf()
    assert run("undo", "shelf", made.pk, 3, YES).code == 0
    assert run("revert", "shelf", made.pk, 1, "--path", "h", YES).code == 0
    now = stored("shelf", made.pk)
    assert (now["h"], now["code"], now["secret"]) == (1, "c2", "s2")
    assert not {"c2", "s2"} & {*str([*raw_collection("history").find()]).replace("'", " ").split()}
    assert verify(Shelf).ok


def test_checksums_with_a_key_are_not_gone_on_with_without_it(run: Any) -> None:
    class Keyed(me.Document):
        size = me.IntField()
        meta = {"collection": "keyed"}

    track_history(Keyed, checksum_key=b"k" * 16)
    made = Keyed(size=1).save()
    made.modify(size=2)
    ended = run("revert", "keyed", made.pk, 1, YES)
    assert ended.code == 2
    assert "without a key" in ended.err
    raw_collection("keyed").update_one({}, {"$set": {"size": 3}})
    for command in (
        ["prune", "keyed", "--keep", 1],
        ["redact", "keyed", "size"],
        ["redact", "keyed", "size", made.pk],
        ["reconcile", "keyed"],
        ["reconcile", "keyed", made.pk],
        ["watch", "keyed"],
    ):
        refused = run(*command, *([] if command[0] == "watch" else [YES]))
        assert (refused.code, "without a key" in refused.err) == (2, True), command
    assert len(history_of(made)) == 2
    assert "--checksum-key" in run("verify", "keyed").err


@pytest.mark.parametrize("words", [["hook", "door"], ["-m", HOOK, "door"]])
@pytest.mark.parametrize("past", [True, False])
@pytest.mark.parametrize("command", ["revert", "undo"])
def test_somebody_who_writes_meanwhile_is_not_overwritten(
    run: Any, monkeypatch: pytest.MonkeyPatch, words: list[str], past: bool, command: str
) -> None:
    made = hook()

    def answered(*_: object, **__: object) -> None:
        place = raw_collection("hook")
        place.update_one({}, {"$set": {"load": 9}}) if past else Hook.objects.update(load=9)

    monkeypatch.setattr("click.confirm", answered)
    ended = run(command, *words, 3 if command == "undo" else 1)
    assert ended.code == 2
    assert "meanwhile" in ended.err
    assert (stored("hook", "door")["load"], len(history_of(made))) == (9, 3 if past else 4)


def test_nor_is_somebody_who_writes_before_a_changeset_goes_back(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = hook()
    with changeset("ann") as block:
        made.modify(load=7)
    monkeypatch.setattr("click.confirm", lambda *_, **__: Hook.objects.update(colour="green"))
    for words in ([], ["-m", HOOK]):
        ended = run("revert-changeset", *words, block.id)
        assert (ended.code, "meanwhile" in ended.err) == (2, True)
        made.reload().modify(colour="red")
    assert (made.load, len(history_of(made))) == (7, 8)


def test_a_changeset_goes_back_as_a_whole(run: Any) -> None:
    hook("a"), hook("b")
    with changeset("ann") as block:
        Hook.objects(name="a").update(set__load=7)
        Hook.objects(name="b").delete()
    shown = run("-m", HOOK, "revert-changeset", block.id, "--dry-run")
    assert (shown.code, len(shown.lines)) == (0, 2)
    assert stored("hook", "b") is None
    assert (
        len(run("-m", HOOK, "revert-changeset", block.id, "--dry-run", "--json").data["steps"]) == 2
    )
    ended = run(
        "-m", HOOK, "revert-changeset", block.id, YES, "--identity", "dan", "--reason", "oops"
    )
    assert ended.code == 0
    assert (stored("hook", "a")["load"], stored("hook", "b")["load"]) == (3, 3)
    newest = history_of(Hook, "b")[-1]
    assert (newest.identity, newest.reason) == ("dan", "oops")


def test_conflicts_of_a_changeset_are_named(run: Any) -> None:
    made = hook("a")
    with changeset("ann") as block:
        Hook.objects(name="a").update(set__load=7)
    made.modify(load=8)
    ended = run("-m", HOOK, "revert-changeset", block.id, YES)
    assert ended.code == 1
    assert "load: it left 7, found is 8" in ended.err
    assert stored("hook", "a")["load"] == 8


@pytest.mark.parametrize("key", ["0" * 24, "nobody"])
def test_a_changeset_that_is_not_there(run: Any, key: str) -> None:
    hook()
    assert run("-m", HOOK, "revert-changeset", key, YES).code == 2


@pytest.mark.parametrize("words", [["hook", "door"], ["-m", HOOK, "door"]])
def test_single_paths_go_back_alone(run: Any, words: list[str]) -> None:
    hook()
    ended = run("revert", *words, 1, "--path", "colour", YES)
    assert ended.lines[1:] == ['  ~ colour: "blue" → "red"', "Written as revision 4."]
    assert stored("hook", "door") == {"_id": "door", "load": 3, "colour": "red"}
    assert run("undo", *words, 2, "--path", "load", YES).code == 1
    assert run("undo", *words, 4, "--path", "colour", YES).code == 0
    assert stored("hook", "door")["colour"] == "blue"
    assert run("revert", *words, 1, "--path", "nothing.there", YES).code == 2


def test_a_value_is_restored_as_it_was_before_its_last_change(run: Any) -> None:
    made = shelf()
    made.modify(owner="Bob")
    assert run("restore", "-m", SHELF, made.pk, "--path", "owner", YES).code == 0
    assert stored("shelf", made.pk)["owner"] == "Ada"
    both = ["--path", "owner", "--path", "height"]
    assert run("restore", "-m", SHELF, made.pk, *both, YES).code == 2
    assert run("restore", "-m", SHELF, made.pk, *both, "--revision", -2, YES).code == 0
    assert (stored("shelf", made.pk)["owner"], stored("shelf", made.pk)["h"]) == ("Bob", 3)
    assert run("restore", "-m", SHELF, made.pk, "--revision", 4, YES).code == 2
    assert run("restore", "-m", SHELF, made.pk, "--path", "note", YES).code == 2


@pytest.fixture
def deed(run: Any) -> Deed:
    """A deed that was changed by a changeset."""
    made = Deed(name="mill", acres=1).save()
    with changeset("ann", reason="list 7"):
        made.modify(acres=2)
    return made


def test_a_reason_is_given_where_the_class_asks_for_one(run: Any, deed: Deed) -> None:
    whole = ["revert-changeset", history_of(deed)[-1].changeset]
    for words in (["revert", "mill", 1], ["undo", "mill", 2], whole, ["redact", "acres", "mill"]):
        assert run("-m", DEED, *words, "--dry-run").code == 0
        for said in ([YES], [YES, "--reason", " "], [YES, "--reason", "\u200b"], []):
            ended = run("-m", DEED, *words, *said, answer="y\nbecause\n")
            assert (ended.code, "--reason" in ended.err) == (2, True)
    assert len(history_of(deed)) == 2
    assert run("-m", DEED, *whole, YES, "--reason", "wrong list").code == 0
    assert history_of(deed)[-1].reason == "wrong list"


def test_at_a_terminal_it_is_asked_for(run: Any, deed: Deed) -> None:
    ended = run("-m", DEED, "undo", "mill", 2, answer=" \nwrong field\ny\n", seen=True)
    assert ended.code == 0
    assert ended.err.count("Why?") == 2
    assert history_of(deed)[-1].reason == "wrong field"
    assert run("-m", DEED, "undo", "mill", 3, YES, seen=True).code == 2


def test_a_document_of_a_class_below_is_asked_by_that(run: Any) -> None:
    made = Draft(name="barn", acres=1).save()
    made.modify(acres=2)
    assert run("-m", DEED, "undo", "barn", 2, YES).code == 0


@pytest.mark.parametrize(("typed", "who"), [("true", True), ('"7"', "7"), ('{"a":1}', {"a": 1})])
def test_who_is_typed_is_recorded_and_found(run: Any, typed: str, who: Any) -> None:
    made = hook()
    assert run("undo", "hook", "door", 3, YES, "--identity", typed).code == 0
    assert history_of(made)[-1].identity == who
    for words in (["log", "hook", "door", "--by", typed], ["search", f"by:{typed}"]):
        assert [it["number"] for it in run(*words, "--json").data] == [4]
