"""Commands by which one relies on a history; their exit codes are what scripts look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.shelves import HOOK, SHELF, Hook, hook, raw_collection, shelf

from mongoengine_history import history_of, verify

YES = "--yes"


def test_a_clean_history_ends_with_0(run: Any) -> None:
    hook(), shelf()
    for words in (["-m", HOOK, "-m", SHELF], ["hook"], ["hook", "door"], ["-m", HOOK, "door"]):
        ended = run("verify", *words)
        assert (ended.code, ended.err) == (0, "")
        assert ended.lines[-1].endswith("no faults")


def test_a_fault_ends_with_1_and_is_named(run: Any) -> None:
    hook()
    raw_collection("history").update_one({"revision": 2}, {"$set": {"reason": "forged"}})
    for words in (["-m", HOOK], ["hook"], ["hook", "door"], []):
        ended = run("verify", *words)
        assert ended.code == 1
        assert "revision 2: altered" in ended.out
    ended = run("verify", "-m", HOOK, "--json")
    assert (ended.code, ended.data["ok"]) == (1, False)
    assert ended.data["findings"][0]["revision"] == 2


def test_what_cannot_be_reached_ends_with_2(run: Any) -> None:
    assert run("--uri", "mongodb://127.0.0.1:1/x", "verify").code == 2
    assert run("verify", "hook", "nobody").code == 2
    assert run("verify", "-m", "support.shelves:Nothing").code == 2


def test_drift_is_only_a_fault_where_the_class_says_what_it_hides(run: Any) -> None:
    """Without it a part could not be checked, which ends with 3."""
    hook()
    raw_collection("hook").update_one({}, {"$set": {"load": 9}})
    assert run("verify", "-m", HOOK).code == 1
    ended = run("verify", "hook")
    assert ended.code == 3
    assert "Not checked: hook, against what is stored" in ended.err
    assert run("verify", "hook", "--json").data["unchecked"]


def test_a_checkpoint_shows_that_an_end_is_gone(run: Any, tmp_path: Path) -> None:
    hook()
    file = tmp_path / "checkpoint.txt"
    made = run("checkpoint", "-m", HOOK, "--to", file, "--origin", "example.org/shop")
    assert made.out == file.read_text(encoding="utf-8")
    assert made.out.startswith("example.org/shop/")
    assert run("verify", "-m", HOOK, "--since", file).code == 0
    raw_collection("history").delete_many({"revision": 3})
    ended = run("verify", "-m", HOOK, "--since", file)
    assert ended.code == 1
    assert "the end is gone" in ended.out
    assert run("checkpoint", "-m", HOOK, "--to", file).code == 2


def test_a_checkpoint_is_signed(run: Any, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    hook()
    private = Ed25519PrivateKey.generate()
    secret, public, other = (tmp_path / name for name in ("secret", "public", "other"))
    secret.write_bytes(private.private_bytes_raw())
    public.write_bytes(private.public_key().public_bytes_raw())
    other.write_bytes(Ed25519PrivateKey.generate().public_key().public_bytes_raw())
    file = tmp_path / "checkpoint.txt"
    assert run("checkpoint", "--sign-with", secret, "--to", file).code == 0
    assert run("verify", "hook", "--since", file, "--public-key", public).code == 0
    assert run("verify", "hook", "--since", file, "--public-key", other).code == 2
    assert run("verify", "hook", "--public-key", public).code == 2


def test_a_proof_is_written(run: Any, tmp_path: Path) -> None:
    hook()
    assert run("proof", "hook", "door", 2).code == 2
    assert run("checkpoint", "-m", HOOK).code == 0
    ended = run("proof", "hook", "door", 2)
    assert ended.out.startswith("c2sp.org/tlog-proof@v1\n")
    file = tmp_path / "proof.txt"
    assert run("proof", "hook", "door", -1, "--to", file).code == 0
    assert file.read_text(encoding="utf-8").startswith("c2sp.org/tlog-proof@v1\n")


@pytest.mark.parametrize("words", [["hook"], ["-m", HOOK], ["hook", "door"], ["-m", HOOK, "door"]])
def test_reconcile_records_what_was_written_past_the_history(run: Any, words: list[str]) -> None:
    made = hook()
    raw_collection("hook").update_one({}, {"$set": {"load": 9}})
    assert "1 document" in run("reconcile", *words, "--dry-run").out
    assert [it["id"] for it in run("reconcile", *words, "--dry-run", "--json").data["differing"]]
    assert len(history_of(made)) == 3
    ended = run("reconcile", *words, YES, "--reason", "by hand")
    assert (ended.code, ended.lines[-1]) == (0, "Recorded: 1 revision.")
    newest = history_of(made)[4]
    assert (newest.operation, newest.reason) == ("external", "by hand")
    assert verify(Hook).ok
    assert run("reconcile", *words, YES).lines[-1].endswith("0 documents.")


def test_reconcile_does_not_record_what_the_class_hides_without_it(run: Any) -> None:
    made = shelf()
    ended = run("reconcile", "shelf", made.pk, "--dry-run")
    assert "what the class hides" in ended.err
    assert run("reconcile", "-m", SHELF, made.pk, YES).lines[-1].endswith("0 documents.")
