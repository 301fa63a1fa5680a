"""What stands in a history for a value that it must not hold. Knows no database.

A mask is BSON binary data that begins with a sign, so that no value of an application is taken for
one. A fingerprint may follow: the first 16 bytes of the HMAC-SHA256 (RFC 2104) of the value's BSON.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bson.binary import Binary

from mongoengine_history.state.values import State, encode, same

if TYPE_CHECKING:
    from typing import TypeGuard

SUBTYPE: Final = 0x9D
"""The subtype of masks, one of those that BSON leaves to applications (from 128 on)."""

SIGN: Final = bytes.fromhex("095426f70c5ac1a4f909c7ae94254b4e")
"""What each mask begins with: 16 bytes that were drawn once, and that no value holds by chance."""

SIZES: Final = (len(SIGN), len(SIGN) + 16)
"""Bytes of a mask: without a fingerprint and with one."""

BLANK: Final[Binary] = Binary(SIGN, SUBTYPE)
"""The mask that tells nothing."""


def is_mask(value: object, sizes: tuple[int, ...] = SIZES) -> TypeGuard[Binary]:
    """Say whether a value is a mask, of one of some *sizes*."""
    if not isinstance(value, Binary) or value.subtype != SUBTYPE:
        return False
    return len(value) in sizes and value.startswith(SIGN)


def is_blank(value: object) -> bool:
    """Say whether a value is the mask that tells nothing."""
    return isinstance(value, Binary) and value == BLANK


def fingerprint_of(mask: Binary) -> bytes:
    """Return the fingerprint that a mask holds; empty if it holds none."""
    return mask[len(SIGN) :]


def has_masks(state: State) -> bool:
    """Say whether a state may hold masks: never wrongly that it does not."""
    return SIGN in encode(state)


def may_be(found: object, value: object) -> bool:
    """Say whether two values may be the same, where `BLANK` stands for any value."""
    if is_blank(found) or is_blank(value):
        return True
    if isinstance(found, dict) and isinstance(value, dict):
        return [*found] == [*value] and all(may_be(it, value[key]) for key, it in found.items())
    if isinstance(found, list) and isinstance(value, list):
        return len(found) == len(value) and all(map(may_be, found, value))
    return same(found, value)
