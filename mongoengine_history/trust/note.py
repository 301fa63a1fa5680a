"""Signed notes, as C2SP states them: a text, and below it a line for each signature by Ed25519."""

from __future__ import annotations

from base64 import b64decode, b64encode
from hashlib import sha256
from typing import Any, Final

from mongoengine_history.errors import OptionsError

ED25519: Final = b"\x01"
"""The type of these signatures in the identifiers of keys."""

KEY: Final = 32
"""Bytes of a key, be it the private or the public one."""

INSTALL: Final = "it needs cryptography: pip install 'mongoengine-history[proof]'"
"""What to do where signatures cannot be made or verified."""


def signed(text: str, name: str, private_key: bytes) -> str:
    """Return *text*, which ends a line, with a signature below it by the key called *name*."""
    key = _ed25519("key", private_key).Ed25519PrivateKey.from_private_bytes(private_key)
    line = key_id(name, key.public_key().public_bytes_raw()) + key.sign(text.encode())
    return f"{text}\n— {name} {b64encode(line).decode()}\n"


def key_id(name: str, public_key: bytes) -> bytes:
    """Return the four bytes that a signature names its key by."""
    return sha256(name.encode() + b"\n" + ED25519 + public_key).digest()[:4]


def is_signed(note: str, public_key: bytes) -> bool:
    """Say whether a note has a signature by a key, and all that it has by that key are right."""
    ed25519 = _ed25519("public_key", public_key)
    from cryptography.exceptions import InvalidSignature

    text, _, lines = note.rpartition("\n\n")
    own = [it for it in map(_parted, lines.splitlines()) if it[1][:4] == key_id(it[0], public_key)]
    try:
        key = ed25519.Ed25519PublicKey.from_public_bytes(public_key)
        for _, signature in own:
            key.verify(signature[4:], f"{text}\n".encode())
    except InvalidSignature:
        return False
    return bool(own)


def _parted(line: str) -> tuple[str, bytes]:
    """Return the name and the bytes of a line of a signature; no bytes where it is none."""
    try:
        dash, name, signature = line.split(" ")
        return name, b64decode(signature, validate=True) if dash == "—" else b""
    except ValueError:
        return "", b""


def _ed25519(option: str, key: object) -> Any:
    """Import what is needed only here, and check a key, which no message shows."""
    if not isinstance(key, bytes) or len(key) != KEY:
        raise OptionsError(option, "…", f"it must be {KEY} bytes, a key of Ed25519 (RFC 8032)")
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        raise OptionsError(option, "…", INSTALL) from error
    return ed25519
