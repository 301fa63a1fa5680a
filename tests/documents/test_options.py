"""What a class asks of its history, and what cannot be asked."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import mongoengine as me
import pytest

from mongoengine_history import HistoryError, OptionsError
from mongoengine_history.documents.options import HistoryOptions, options_of


def asking(options: Any) -> type[me.Document]:
    """Make a class with some options."""
    return type("Asking", (me.Document,), {"meta": {"history": options}})


def test_a_class_that_asks_for_nothing_has_the_defaults() -> None:
    class Silent(me.Document):
        pass

    assert options_of(Silent) == options_of(Silent()) == HistoryOptions()
    assert options_of(asking({})) == HistoryOptions()
    assert HistoryOptions().version_every == 100


@pytest.mark.parametrize("every", [0, 1, 2, 100, 10**9])
def test_a_version_may_be_kept_with_every_so_many_revisions(every: int) -> None:
    assert options_of(asking({"version_every": every})).version_every == every
    assert options_of(asking({"version_every": every})()).version_every == every


@pytest.mark.parametrize(
    "every", [-1, -100, 1.0, 0.5, float("nan"), "1", "", None, True, False, [1], {}, object()]
)
def test_any_other_number_is_refused(every: Any) -> None:
    with pytest.raises(OptionsError) as caught:
        options_of(asking({"version_every": every}))
    assert caught.value.name == "version_every"
    assert caught.value.value is every
    assert isinstance(caught.value, HistoryError)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    "options",
    [
        {"versions": 1},
        {"version_every": 1, "exclude": ["a"], "nothing": 1},
        {1: 2},
        {None: 1},
        [],
        ["version_every"],
        "version_every",
        5,
        0,
        False,
        True,
    ],
)
def test_what_is_no_option_is_refused(options: Any) -> None:
    with pytest.raises(OptionsError, match="version_every"):
        options_of(asking(options))


def test_none_is_as_good_as_nothing() -> None:
    assert options_of(asking(None)) == HistoryOptions()


def test_options_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        HistoryOptions().version_every = 5  # type: ignore[misc]


def test_subclasses_inherit_them_and_may_have_their_own() -> None:
    class Base(me.Document):
        meta = {"allow_inheritance": True, "history": {"version_every": 5}}

    class Inheriting(Base):
        pass

    class Own(Base):
        meta = {"history": {"version_every": 7}}

    class Grandchild(Own):
        meta = {"ordering": ["pk"]}

    assert [options_of(it).version_every for it in (Base, Inheriting, Own, Grandchild)] == [
        *(5, 5, 7, 7)
    ]


def test_an_abstract_base_may_have_them() -> None:
    class Abstract(me.Document):
        meta = {"abstract": True, "history": {"version_every": 3}}

    class Concrete(Abstract):
        pass

    assert options_of(Concrete).version_every == 3


def test_one_path_may_stand_alone_and_any_collection_of_them_will_do() -> None:
    assert HistoryOptions(exclude="a.b").exclude == ("a.b",)
    assert HistoryOptions(mask=(path for path in ["a", "b.*"])).mask == ("a", "b.*")


@pytest.mark.parametrize("name", ["exclude", "mask"])
@pytest.mark.parametrize("paths", ["", "a..b", ".a", "a.", [""], [5], [None], 5, None, True])
def test_what_is_no_path_is_refused(name: str, paths: Any) -> None:
    with pytest.raises(OptionsError) as caught:
        HistoryOptions(**{name: paths})
    assert caught.value.name == name


@pytest.mark.parametrize(
    ("exclude", "mask"), [("a", "a"), ("a", "a.b"), ("a.b", "a"), (["b", "a.b"], ["c", "a.b.c"])]
)
def test_a_path_cannot_be_excluded_and_masked(exclude: Any, mask: Any) -> None:
    with pytest.raises(OptionsError) as caught:
        HistoryOptions(exclude=exclude, mask=mask)
    assert caught.value.name == "mask"
    HistoryOptions(exclude="ab", mask="a")


@pytest.mark.parametrize("key", ["a text of more than sixteen", b"short", b"", 5, bytearray(16)])
def test_a_key_that_could_be_guessed_is_refused_and_not_told(key: Any) -> None:
    with pytest.raises(OptionsError) as caught:
        HistoryOptions(mask="a", fingerprint_key=key)
    assert caught.value.name == "fingerprint_key"
    assert caught.value.value != key
    with pytest.raises(OptionsError, match="no mask"):
        HistoryOptions(exclude="a", fingerprint_key=b"sixteen bytes or more")


def test_no_message_tells_the_key_of_fingerprints() -> None:
    options = {"mask": ["a"], "fingerprint_key": b"sixteen bytes or more"}
    assert "sixteen" not in repr(HistoryOptions(**options))
    with pytest.raises(OptionsError) as caught:
        options_of(asking({**options, "masks": ["b"]}))
    assert "sixteen" not in str(caught.value) + repr(vars(caught.value))


def test_a_strict_history_has_to_raise() -> None:
    with pytest.raises(OptionsError) as caught:
        HistoryOptions(strict=True, on_error="log")
    assert caught.value.name == "on_error"


@pytest.mark.parametrize(
    ("name", "value"), [("strict", 1), ("on_error", "ignore"), ("on_error", None), ("identity", 5)]
)
def test_what_an_option_does_not_know_is_refused(name: str, value: Any) -> None:
    with pytest.raises(OptionsError) as caught:
        HistoryOptions(**{name: value})
    assert (caught.value.name, caught.value.value) == (name, value)
