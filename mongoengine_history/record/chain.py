"""Checksums: each revision carries one over itself and the one of the revision before.

The checksum is the SHA-256 (FIPS 180-4) of a manifest in BSON, or its HMAC (RFC 2104) where the
class has a ``checksum_key``. In the place of values a manifest has salted digests, so that a value
can be erased and the chain still be proven. The page "prove the history" states each byte.
"""

from __future__ import annotations

import hmac
import secrets
from hashlib import sha256, shake_128
from typing import TYPE_CHECKING, Any, Final

import bson
from bson import Int64

from mongoengine_history.errors import OptionsError
from mongoengine_history.state.patches import CHANGE, Patch
from mongoengine_history.state.values import WIRE, encode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mongoengine_history.state.revision import StoredRevision

MANIFEST_FORMAT: Final = 1
"""The number of the format, which each manifest begins with."""

SALT: Final = 16
"""Bytes of a salt, and of what is derived from it for each value."""

NO_DIGEST: Final = bytes(32)
"""Stands for an identity, a reason or metadata where none was said."""

SAID_VALUES: Final = 3
"""How many values of a revision stand before those of its patches."""


def link(
    revision: StoredRevision, owner: Mapping[str, Any], before: bytes, key: bytes | None = None
) -> dict[str, bytes]:
    """Return what the first record of a new revision carries, *before* being the last checksum."""
    salt = secrets.token_bytes(SALT)
    found = b"".join(digests(revision, {"salt": salt}))
    return {"salt": salt, "checksum": checksum(manifest(revision, owner, before, found), key)}


def is_intact(
    revision: StoredRevision,
    first: Mapping[str, Any],
    before: bytes,
    key: bytes | None = None,
) -> bool:
    """Say whether a revision and the *first* record of it are what its checksum was made of."""
    found = b"".join(digests(revision, first))
    made = checksum(manifest(revision, first, before, found), key)
    return hmac.compare_digest(made, first["checksum"])


def checksum(manifest: bytes, key: bytes | None = None) -> bytes:
    """Return the checksum of a manifest, 32 bytes."""
    return hmac.digest(key, manifest, "sha256") if key else sha256(manifest).digest()


def manifest(
    revision: StoredRevision, owner: Mapping[str, Any], before: bytes, digests: bytes
) -> bytes:
    """Return what is summed up: all of a revision, of its values only the *digests*."""
    said = {
        "format": MANIFEST_FORMAT,
        "document_type": owner["document_type"],
        "document_id": owner["document_id"],
        "revision": Int64(revision.number),
        "operation": revision.operation,
        "stamp": Int64(revision.stamp),
        "changeset": revision.context.changeset,
        "patches": [_outline(patch) for patch in revision.patches],
        "digests": digests,
        "before": before,
    }
    return bson.encode(said, codec_options=WIRE)


def _outline(patch: Patch) -> list[Any]:
    """Return what a patch says besides its values."""
    keys = None if patch.action == CHANGE else [key for key, _ in patch.data]
    places = patch.places
    return [patch.action, list(patch.path), keys, None if places is None else list(places)]


def values(revision: StoredRevision) -> list[object]:
    """Return the values that can be erased, in the order in which a chain counts them."""
    context = revision.context
    found: list[object] = [context.identity, context.reason, dict(context.metadata) or None]
    for patch in revision.patches:
        found += patch.data if patch.action == CHANGE else [value for _, value in patch.data]
    return found


def earlier_keys(given: object) -> tuple[bytes, ...]:
    """
    Take the keys that a class had before; no message tells one.

    Raises:
        OptionsError: it is no list of bytes.
    """
    keys = given if isinstance(given, list | tuple) else [None]
    if not all(isinstance(it, bytes) for it in keys):
        raise OptionsError("keys", "…", "it must be a list of keys, each some bytes")
    return tuple(keys)


def digests(revision: StoredRevision, first: Mapping[str, Any]) -> list[bytes]:
    """Return the digests of values; of those that are erased they were kept."""
    found, kept = values(revision), first.get("digests", {})
    pairs = zip(found, salts_of(first, len(found)), strict=True)
    made = [
        NO_DIGEST if value is None and number < SAID_VALUES else digest(value, salt)
        for number, (value, salt) in enumerate(pairs)
    ]
    return [kept.get(str(number), it) for number, it in enumerate(made)] if kept else made


def digest(value: object, salt: bytes) -> bytes:
    """Return the digest of one value, of which nobody without the salt can try out guesses."""
    return sha256(salt + encode(value)).digest()


def salts_of(first: Mapping[str, Any], count: int) -> list[bytes]:
    """Return the salts of values: by SHAKE128 (FIPS 202) of one, or each that is left."""
    if "salts" in first:
        return [first["salts"].get(str(number), b"") for number in range(count)]
    drawn = shake_128(first["salt"]).digest(SALT * count)
    return [drawn[start : start + SALT] for start in range(0, len(drawn), SALT)]
