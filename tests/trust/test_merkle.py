"""Merkle trees: RFC 6962's definition, its known vectors, and the path of every leaf."""

from __future__ import annotations

from hashlib import sha256

import pytest

from mongoengine_history.trust.merkle import EMPTY_ROOT, leaf_hash, path_to, root_of

#: The leaves and roots that implementations of RFC 6962 are tried with.
LEAVES = [bytes.fromhex(it) for it in ("", "00", "10", "2021", "3031", "40414243")] + [
    bytes.fromhex("5051525354555657"),
    bytes.fromhex("606162636465666768696a6b6c6d6e6f"),
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def naive(hashes: list[bytes]) -> bytes:
    """The root as RFC 6962, section 2.1, defines it: by the largest power of two below."""
    if len(hashes) < 2:
        return hashes[0] if hashes else EMPTY_ROOT
    split = 1 << (len(hashes) - 1).bit_length() - 1
    return sha256(b"\1" + naive(hashes[:split]) + naive(hashes[split:])).digest()


def led_to(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """The root that an audit path leads to, as RFC 9162, section 2.1.3.2, works it out."""
    first, last, root = index, size - 1, leaf
    for neighbour in path:
        assert last
        if first & 1 or first == last:
            root = sha256(b"\1" + neighbour + root).digest()
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            root = sha256(b"\1" + root + neighbour).digest()
        first, last = first >> 1, last >> 1
    assert last == 0
    return root


@pytest.mark.parametrize("size", range(9))
def test_roots_are_the_known_ones(size: int) -> None:
    assert root_of([leaf_hash(it) for it in LEAVES[:size]]).hex() == ROOTS[size]


@pytest.mark.parametrize("size", range(1, 71))
def test_every_leaf_has_a_path_to_the_root(size: int) -> None:
    hashes = [leaf_hash(bytes([number])) for number in range(size)]
    root = root_of(hashes)
    assert root == naive(hashes)
    for index, leaf in enumerate(hashes):
        assert led_to(leaf, index, size, path_to(hashes, index)) == root


@pytest.mark.parametrize("size", range(1, 71))
def test_a_tree_may_be_made_of_trees(size: int) -> None:
    """As long as all but the last one are whole, and of one size."""
    hashes = [leaf_hash(bytes([number])) for number in range(size)]
    for width in (1, 2, 4, 8):
        parts = [hashes[start : start + width] for start in range(0, size, width)]
        assert root_of([root_of(it) for it in parts]) == naive(hashes)
