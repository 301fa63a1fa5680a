"""Proofs: what the script of the page says to them, without this package and without a database."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from base64 import b64decode, b64encode
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import mongoengine as me
import pytest
from bson import Decimal128, Int64, ObjectId
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from mongoengine import DynamicDocument
from pymongo.database import Database
from support.changes import automatic, tracked_otherwise

from mongoengine_history import (
    Checkpoint,
    HistoryError,
    IncompleteRevisionError,
    MalformedRecordError,
    OptionsError,
    changed_since,
    changeset,
    checkpoint,
    proof,
    redact,
)
from mongoengine_history.trust import leaves as keeping

SCRIPT = Path(__file__).parents[2] / "docs" / "howto" / "verify_proof.py"
SECRET, CHECKSUM_KEY = bytes(range(32)), b"a key of checksums"
PUBLIC = Ed25519PrivateKey.from_private_bytes(SECRET).public_key().public_bytes_raw()


class Contract(DynamicDocument):
    meta = {"collection": "contracts", "auto_create_index": False}
    text = me.StringField()
    secret = me.StringField()


tracking = automatic(Contract)


@pytest.fixture(autouse=True)
def small_pages(database: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(keeping, "PAGE", 4)


def contract(count: int = 3, **values: Any) -> Contract:
    with changeset("ada", reason="why", ip="::1"):
        made = Contract(text="text 1", secret="hush", **values).save()
        for number in range(2, count + 1):
            made.text = f"text {number}"
            made.save()
    return made


def said(folder: Path, text: str, *keys: str) -> str:
    """What the script says to a proof, its output first."""
    path = folder / "proof"
    path.write_text(text, "utf-8")
    command = [sys.executable, "-I", "-W", "error", str(SCRIPT), str(path), *keys]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == (not done.stderr)
    return done.stdout + done.stderr


def extra_of(text: str) -> Any:
    return json.loads(b64decode(text.split("\n")[1][6:]))


def with_extra(text: str, extra: Any) -> str:
    first, _, rest = text.split("\n", 2)
    return f"{first}\nextra {b64encode(json.dumps(extra).encode()).decode()}\n{rest}"


def test_the_script_is_short_and_needs_nothing() -> None:
    code = SCRIPT.read_text("utf-8")
    assert len(code.splitlines()) <= 100
    roots = set(re.findall(r"^ *(?:import|from) (\w+)", code, re.MULTILINE))
    assert roots - {"cryptography"} <= set(sys.stdlib_module_names)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_revision_is_proven(database: Database[Any], tmp_path: Path, number: int) -> None:
    it = contract()
    made = checkpoint(key=SECRET, origin="example.com/contracts")
    it.update(text="later")
    answer = said(tmp_path, proof(it, number, made), PUBLIC.hex())
    assert f"PROVEN under the checkpoint {made.origin}, signed by example.com/contracts" in answer
    assert "identity = 'ada'\nreason = 'why'\nmetadata = {'ip': '::1'}\n" in answer
    assert f"'revision': Int64({number})" in answer
    assert f"ObjectId({it.pk})" in answer
    assert f"'text {number}'" in answer
    assert f"'text {number + 1}'" not in answer
    assert "nobody verified" in said(tmp_path, proof(it, number, made.text))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 16, 17, 21])
def test_every_document_is_proven(database: Database[Any], tmp_path: Path, count: int) -> None:
    for _ in range(count):
        Contract(text="x").save()
    checkpoint()
    for it in list(Contract.objects)[:: max(count // 4, 1)]:
        assert "PROVEN under" in said(tmp_path, proof(it, 1))


VALUES = {
    "number": 5, "large": Int64(5), "float": 5.0, "yes": True, "nothing": None,
    "date": datetime(2026, 1, 2), "key": ObjectId("650000000000000000000001"),
    "decimal": Decimal128(Decimal("1.50")), "bytes": b"\1\2", "inner": {"a": [1, {"b": "ü"}]},
    "pattern": re.compile("a.b", re.IGNORECASE),
}  # fmt: skip


def test_values_of_all_types_are_shown(database: Database[Any], tmp_path: Path) -> None:
    it = contract(1, **VALUES)
    checkpoint()
    answer = said(tmp_path, proof(it, 1))
    for shown in [
        "number = 5\n", "large = Int64(5)\n", "float = 5.0\n", "yes = True\n", "nothing = None\n",
        "date = Date(1767312000000)\n", "key = ObjectId(650000000000000000000001)\n",
        "bytes = b'\\x01\\x02'\n", "inner = {'a': [1, {'b': 'ü'}]}\n", "decimal = Decimal128(",
        "pattern = BSON of type 11(",
    ]:  # fmt: skip
        assert f"add [] {shown}" in answer


def test_a_document_that_is_gone_is_named_by_its_key(
    database: Database[Any], tmp_path: Path
) -> None:
    it = contract(2)
    it.delete()
    checkpoint()
    assert "PROVEN under" in said(tmp_path, proof(Contract(pk=it.pk), 3))


def flipped(text: str, place: int) -> str:
    raw = bytearray(b64decode(text))
    raw[place] ^= 1
    return b64encode(bytes(raw)).decode()


@pytest.mark.parametrize("part", ["leaf", "manifest", "later manifest", "salt", "value", "less"])
def test_nothing_in_it_can_be_altered(database: Database[Any], tmp_path: Path, part: str) -> None:
    it = contract()
    checkpoint()
    text = proof(it, 2)
    extra = extra_of(text)
    assert "PROVEN under" in said(tmp_path, with_extra(text, extra))
    shown = next(pair for pair in reversed(extra["values"]) if pair)
    if part == "leaf":
        extra["leaf"] = flipped(extra["leaf"], -3)
    elif part == "less":
        del extra["manifests"][0]
    elif "manifest" in part:
        index = int(part != "manifest")
        extra["manifests"][index] = flipped(extra["manifests"][index], -40)
    else:
        index = int(part == "value")
        shown[index] = flipped(shown[index], -2 - index)
    assert "NOT PROVEN" in said(tmp_path, with_extra(text, extra))


@pytest.mark.parametrize("line", [0, 2, 3, 4, -2])
def test_nor_can_a_line(database: Database[Any], tmp_path: Path, line: int) -> None:
    documents = [contract(1) for _ in range(5)]
    checkpoint()
    lines = proof(documents[1], 1).split("\n")
    assert "PROVEN under" in said(tmp_path, "\n".join(lines))
    if line == 2:
        lines[2] = "index 0"
    else:
        lines[line] = flipped(lines[line], 0) if line else "another@v1"
    assert "NOT PROVEN" in said(tmp_path, "\n".join(lines))


def test_the_signature_counts(database: Database[Any], tmp_path: Path) -> None:
    it = contract()
    text = proof(it, 1, checkpoint(key=SECRET))
    assert "NOT PROVEN" in said(tmp_path, text, bytes(32).hex())
    origin = text.split("\n\n")[1].split("\n")[0]
    assert "NOT PROVEN" in said(tmp_path, text.replace(origin, f"x{origin}"), PUBLIC.hex())
    assert "NOT PROVEN" in said(tmp_path, proof(it, 1, checkpoint()), PUBLIC.hex())


def test_a_value_that_was_erased_is_not_shown(database: Database[Any], tmp_path: Path) -> None:
    it = contract(2)
    made = checkpoint()
    redact(Contract, "secret", it.pk)
    assert list(changed_since(made)) == []
    answer = said(tmp_path, proof(it, 1))
    assert "add [] secret = (erased)" in answer
    assert "text 1" in answer
    assert "PROVEN under" in answer
    assert "hush" not in answer


def test_a_chain_with_a_key_needs_it(database: Database[Any], tmp_path: Path) -> None:
    with tracked_otherwise(Contract, checksum_key=CHECKSUM_KEY):
        it = contract()
        checkpoint(key=SECRET)
        text = proof(it, 1)
    (tmp_path / "key").write_bytes(CHECKSUM_KEY)
    (tmp_path / "other").write_bytes(b"another key of them")
    keyed = (PUBLIC.hex(), str(tmp_path / "key"))
    assert "PROVEN under" in said(tmp_path, text, *keyed)
    assert "NOT PROVEN" in said(tmp_path, text, PUBLIC.hex())
    assert "NOT PROVEN" in said(tmp_path, text, PUBLIC.hex(), str(tmp_path / "other"))
    with pytest.raises(MalformedRecordError, match="checksum"):
        proof(it, 1)
    assert proof(it, 1, keys=[b"a new key of them", CHECKSUM_KEY]) == text


def test_what_was_pruned_before_it_is_not_needed(database: Database[Any], tmp_path: Path) -> None:
    it = contract()
    checkpoint()
    known: Any = database["history"].find_one({"revision": 1, "position": 0})
    mark = {"pruned": {"before": known["checksum"]}}
    database["history"].update_one({"revision": 2, "position": 0}, {"$set": mark})
    database["history"].delete_many({"revision": 1})
    assert "PROVEN under" in said(tmp_path, proof(it, 2))
    with pytest.raises(IncompleteRevisionError):
        proof(it, 1)


def test_what_cannot_be_proven_is_told(database: Database[Any]) -> None:
    it = contract()
    with pytest.raises(OptionsError, match="make one"):
        proof(it, 1)
    made = checkpoint()
    it.update(text="later")
    with pytest.raises(OptionsError, match="Make another one"):
        proof(it, 4)
    with pytest.raises(OptionsError, match="no leaf"):
        proof(contract(1), 1)
    with pytest.raises(OptionsError, match="no leaf"):
        proof(it, 1, Checkpoint(made.text, database["nowhere"]))
    for number in (0, -1, "1", None):
        with pytest.raises(OptionsError, match="number"):
            proof(it, number)  # type: ignore[arg-type]
    with pytest.raises(OptionsError, match="no primary key"):
        proof(Contract(), 1)
    with pytest.raises(OptionsError, match="class"):
        proof(Contract, 1)  # type: ignore[arg-type]


ALTERED = [{"stamp": Int64(5)}, {"data.new": "x"}, {"checksum": bytes(32)}, {"salt": 5}]


@pytest.mark.parametrize("altered", ALTERED)
@pytest.mark.parametrize("number", [2, 3])
def test_what_was_altered_is_told(database: Database[Any], altered: Any, number: int) -> None:
    it = contract()
    checkpoint()
    database["history"].update_one({"revision": number}, {"$set": altered})
    with pytest.raises(MalformedRecordError):
        proof(it, 2)


def test_before_there_were_checksums_nothing_is_proven(database: Database[Any]) -> None:
    it = contract(2)
    checkpoint()
    database["history"].update_many({"revision": 1}, {"$unset": {"checksum": 1, "salt": 1}})
    with pytest.raises(HistoryError, match="before there were checksums"):
        proof(it, 1)
