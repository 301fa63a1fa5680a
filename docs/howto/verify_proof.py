"""python verify_proof.py PROOF [PUBLIC [KEY]]: was that revision part of a history?

PUBLIC: the checkpoint's public key, in hex (needs cryptography). KEY: a file, the checksum_key.
"""

import hmac
import json
import struct
import sys
from base64 import b64decode
from datetime import datetime, timezone
from hashlib import sha256
from pathlib import Path

PLAIN = {1: "<d", 8: "?", 9: "<q Date", 16: "<i", 17: "<Q Timestamp", 18: "<q Int64"}
PLAIN |= {7: "12s ObjectId", 10: "0s", 19: "16s Decimal128"}


class Shown(str):  # without quotes, unlike a text
    __repr__ = str.__str__


def require(is_right, problem):
    return is_right or sys.exit(f"NOT PROVEN: {problem}")


def decode(raw, at=0):  # BSON; the few types that are left out are shown as bytes
    found, end, at = {}, at + struct.unpack_from("<i", raw, at)[0] - 1, at + 4
    while at < end:
        kind, stop = raw[at], raw.index(0, at + 1)
        name, at = raw[at + 1 : stop].decode(), stop + 1
        size = int.from_bytes(raw[at : at + 4], "little")
        if kind in PLAIN:
            form, _, label = PLAIN[kind].partition(" ")
            it, size = struct.unpack_from(form, raw, at)[0], struct.calcsize(form)
            it = it.hex() if label and isinstance(it, bytes) else None if it == b"" else it
            it = Shown(f"{label}({it})") if label else it
        elif kind in {3, 4}:
            it = decode(raw, at) if kind == 3 else list(decode(raw, at).values())
        elif kind == 5:
            it, size = raw[at + 5 : at + 5 + size], size + 5
            it = Shown(f"Binary({raw[at + 4]}, {it.hex()})") if raw[at + 4] else it
        elif kind == 2:
            it, size = raw[at + 4 : at + 3 + size].decode("utf-8", "backslashreplace"), size + 4
        else:
            it, size = Shown(f"BSON of type {kind}({raw[at:end].hex()})"), end - at
        found[name], at = it, at + size
    return found


def root_over(leaf, index, size, way):  # of a Merkle tree, as RFC 6962 has it
    root, last = sha256(b"\0" + leaf).digest(), size - 1
    while last:
        if index % 2 or index < last:
            root = sha256(b"\1" + (way.pop(0) + root if index % 2 else root + way.pop(0))).digest()
        index, last = index // 2, last // 2
    return root


def signer_of(note, public):
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    text, _, lines = note.rpartition("\n\n")
    for _, name, line in map(str.split, lines.splitlines()):
        if (made := b64decode(line))[:4] == sha256(f"{name}\n\1".encode() + public).digest()[:4]:
            Ed25519PublicKey.from_public_bytes(public).verify(made[4:], f"{text}\n".encode())
            return f"signed by {name}"
    return sys.exit("NOT PROVEN: the checkpoint is not signed by that key")


def main(proof, public="", key=""):
    head, _, note = Path(proof).read_bytes().decode().partition("\n\n")
    form, extra, index, *path = head.split("\n")
    given, secret = json.loads(b64decode(extra[6:])), Path(key).read_bytes() if key else b""
    require((form, given["format"]) == ("c2sp.org/tlog-proof@v1", 1), "it is no such proof")
    leaf, raws = b64decode(given["leaf"]), list(map(b64decode, given["manifests"]))
    tip, chain = decode(leaf), list(map(decode, raws))
    following = [it["before"] for it in chain[1:]] + [tip["checksum"]]
    for raw, known in zip(raws, following, strict=True):
        sums = {sha256(raw).digest(), secret and hmac.digest(secret, raw, "sha256")}
        require(known in sums, "a checksum is another one; if the class has a key, it is needed")
    require(all(chain[-1][it] == tip[it] for it in list(tip)[:3]), "the leaf is another's")
    said, names = chain[0], ["identity", "reason", "metadata"]
    for action, where, keys, _ in said.pop("patches"):
        names += [f"{action} {where} {it}" for it in (["old", "new"] if keys is None else keys)]
    parts, moment = said.pop("digests"), int(said["stamp"][6:-1]) // 10**6
    print(said, datetime.fromtimestamp(moment, timezone.utc), sep="\n")
    for place, (name, shown) in enumerate(zip(names, given["values"], strict=True)):
        salt, raw, part = *map(b64decode, shown or ("", "")), parts[32 * place :][:32]
        require(not shown or sha256(salt + raw).digest() == part, f"{name} is another value")
        print(name, "=", repr(decode(raw)[""]) if shown else "(erased)" if any(part) else "(none)")
    origin, size, root = note.split("\n")[:3]
    found = root_over(leaf, int(index[6:]), int(size), list(map(b64decode, path)))
    require(b64decode(root) == found, "the tree has another root")
    signer = signer_of(note, bytes.fromhex(public)) if public else "whose signature nobody verified"
    print(f"PROVEN under the checkpoint {origin}, {signer}")


sys.excepthook = lambda _, error, __: print(f"NOT PROVEN: {error!r}", file=sys.stderr)
main(*sys.argv[1:])
