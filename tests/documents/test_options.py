"""What a class asks of its history, and what cannot be asked."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from types import MappingProxyType
from typing import Any

import mongoengine as me
import pytest

from mongoengine_history import HistoryError, OptionsError, track_history, untrack_history
from mongoengine_history.documents.options import HistoryOptions, is_tracked, options_of


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


@pytest.mark.parametrize("name", ["exclude", "mask", "volatile", "formerly"])
@pytest.mark.parametrize("given", [{"a": 1}, {}, MappingProxyType({"a": 1}), 5, b"a"])
def test_names_are_no_mapping(name: str, given: Any) -> None:
    with pytest.raises(OptionsError) as caught:
        HistoryOptions(**{name: given})
    assert caught.value.name == name


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
    ("name", "value"),
    [
        ("strict", 1),
        ("reason_required", "yes"),
        ("on_error", "ignore"),
        ("on_error", None),
        ("identity", 5),
    ],
)
def test_what_an_option_does_not_know_is_refused(name: str, value: Any) -> None:
    with pytest.raises(OptionsError) as caught:
        HistoryOptions(**{name: value})
    assert (caught.value.name, caught.value.value) == (name, value)


def abstract(**history: Any) -> Any:
    meta = {"abstract": True, "history": history} if history else {"abstract": True}
    return type("Abstract", (me.Document,), {"meta": meta, "a": me.StringField()})


def below(base: Any, **history: Any) -> Any:
    fields = {"b": me.StringField(), "c": me.StringField()}
    meta = {"auto_create_index": False, **({"history": history} if history else {})}
    return type("Asked", (base,), {"meta": meta, **fields})


def asked_by(model: Any, tracked: Any, **options: Any) -> HistoryOptions:
    """Give the options of a class while it, or a base of it, is tracked with some."""
    track_history(tracked, **options)
    try:
        return options_of(model)
    finally:
        untrack_history(tracked)


def test_paths_of_a_class_and_its_bases_add_up_however_they_are_given() -> None:
    base = abstract(exclude=["a"])
    model = below(base, exclude=["b", "a"], mask=["c"])
    assert options_of(model) == HistoryOptions(exclude=["a", "b"], mask=["c"])
    model = below(abstract(exclude=["a"]), mask="c")
    assert asked_by(model, model, exclude="b") == HistoryOptions(exclude=["a", "b"], mask=["c"])
    base = abstract(mask="a")
    model = below(base, mask="c")
    assert asked_by(model, base, exclude=["b"]) == HistoryOptions(exclude=["b"], mask=["a", "c"])
    assert options_of(model) == HistoryOptions(mask=["a", "c"])


def test_of_single_values_the_nearest_class_counts_also_where_it_says_what_is_the_default() -> None:
    base = abstract(version_every=5)
    model = below(base, version_every=100)
    found = asked_by(model, base, strict=True, identity=len)
    assert (found.version_every, found.strict, found.identity) == (100, True, len)
    model = below(base, strict=False)
    assert asked_by(model, base, strict=True) == HistoryOptions(version_every=5, strict=False)
    model = below(base)
    assert asked_by(model, model, version_every=100) == HistoryOptions(version_every=100)


def test_nothing_is_taken_away_by_none_nor_lost_by_what_is_mixed_in() -> None:
    base = abstract(exclude=["a"])
    silent = type("Silent", (base,), {"meta": {"history": None}})
    assert options_of(silent) == HistoryOptions(exclude=["a"])
    mixin = type("Mixin", (), {"meta": {"history": {"mask": ["b"]}}})
    mixed = type("Mixed", (mixin, base), {"meta": {"history": {"exclude": ["c"]}}})
    assert options_of(mixed) == HistoryOptions(exclude=["a", "c"], mask=["b"])


def test_paths_that_come_only_once_are_not_lost() -> None:
    model = below(abstract(), mask=(path for path in ["b"]), exclude=iter(["c"]))
    for _ in range(2):
        assert asked_by(model, model) == HistoryOptions(mask=["b"], exclude=["c"])


@pytest.mark.parametrize(
    ("meta", "given", "name"),
    [
        ({"version_every": 1}, {"version_every": 2}, "version_every"),
        ({"version_every": 1}, {"version_every": 100}, "version_every"),
        ({"strict": True}, {"strict": False}, "strict"),
        ({"on_error": "log"}, {"on_error": "raise"}, "on_error"),
        ({"identity": len}, {"identity": repr}, "identity"),
        ({"fingerprint_key": b"k" * 16, "mask": "b"}, {"fingerprint_key": b"l" * 16}, None),
        ({"exclude": "b"}, {"mask": "b"}, "mask"),
        ({"mask": "b"}, {"exclude": "b"}, "mask"),
        ({"on_error": "log"}, {"strict": True}, "on_error"),
        ({"excluded": "b"}, {}, "meta['history']"),
        ({"version_every": "1"}, {}, "version_every"),
        ({"mask": 5}, {}, "mask"),
        ({"exclude": "d"}, {}, "exclude"),
        ({"fingerprint_key": b"k" * 16}, {}, "fingerprint_key"),
    ],
)
def test_what_contradicts_itself_or_cannot_be_used_is_refused_when_tracking_starts(
    meta: Any, given: Any, name: str | None
) -> None:
    model = below(abstract(), **meta)
    for _ in range(2):
        with pytest.raises(OptionsError) as caught:
            track_history(model, **given)
        assert caught.value.name == (name or "fingerprint_key")
        assert "kkk" not in str(caught.value) + repr(caught.value.value)
        assert not is_tracked(model)


@pytest.mark.parametrize("meta", [{"mask": "a"}, {"excluded": "b"}, {"version_every": "1"}])
def test_what_a_subclass_asks_for_is_checked_with_its_base(meta: Any) -> None:
    base = abstract()
    below(base, **meta)
    with pytest.raises(OptionsError):
        track_history(base, exclude="a")
    assert not is_tracked(base)


def test_a_subclass_that_comes_later_is_checked_before_anything_is_written(database: Any) -> None:
    base = abstract()
    track_history(base, exclude="a")
    try:
        model = below(base, mask="a")
        with pytest.raises(OptionsError, match="one of both"):
            model(a="secret").save()
        assert database["asked"].count_documents({}) == 0
    finally:
        untrack_history(base)


def test_a_key_of_fingerprints_may_serve_subclasses_and_fields() -> None:
    key = b"sixteen bytes or more"
    base = abstract()
    model = below(base, mask="b")
    assert asked_by(model, base, fingerprint_key=key).fingerprint_key == key
    fields = {"a": me.StringField(history="mask"), "meta": {"auto_create_index": False}}
    model = type("Marked", (me.Document,), fields)
    assert asked_by(model, model, fingerprint_key=key).fingerprint_key == key


def test_the_same_said_twice_is_no_contradiction() -> None:
    model = below(abstract(), version_every=7, exclude=["b"])
    found = asked_by(model, model, version_every=7, exclude=["b"])
    assert found == HistoryOptions(version_every=7, exclude=["b"])


@pytest.mark.parametrize(
    "formerly",
    [5, None, "", [1], ["a", ""], "a..b", "a$b", ["a", "$b"], "a\0", "\ud800", "é" * 128],
)
def test_what_a_collection_was_called_is_a_name(formerly: Any) -> None:
    with pytest.raises(OptionsError) as caught:
        track_history(formerly=formerly)
    assert caught.value.name == "formerly"


@pytest.mark.parametrize("formerly", ["then", ["then"], ("then",), iter(["then"])])
def test_a_collection_may_have_had_another_name(formerly: Any) -> None:
    model = asking({"formerly": formerly})
    assert options_of(model).formerly == options_of(model).formerly == ("then",)


def test_a_collection_had_no_name_that_it_has() -> None:
    class Today(me.Document):
        meta = {"collection": "today"}

    with pytest.raises(OptionsError, match="today"):
        track_history(formerly=("then", "today"))(Today)
    assert not is_tracked(Today)


def test_the_class_with_which_a_collection_begins_says_what_it_was_called() -> None:
    class Common(me.Document):
        meta = {"abstract": True, "history": {"formerly": "then"}}

    class Whole(me.Document):
        meta = {"allow_inheritance": True}

    class Part(Whole):
        meta = {"history": {"formerly": "then"}}

    for model in (type("Concrete", (Common,), {}), Part, type("Below", (Part,), {})):
        with pytest.raises(OptionsError, match="begins"):
            options_of(model)
    with pytest.raises(OptionsError, match="begins"):
        track_history(Common)


def test_what_a_collection_was_called_holds_for_subclasses() -> None:
    class Whole(me.Document):
        meta = {"allow_inheritance": True, "history": {"formerly": "then"}}

    assert options_of(type("Piece", (Whole,), {})).formerly == ("then",)


@pytest.mark.parametrize(
    ("theirs", "ours"), [("ours", "before"), ("before", "theirs"), ("then", "then")]
)
def test_no_other_class_records_under_a_name_of_before(
    database: Any, theirs: str, ours: str
) -> None:
    class Theirs(me.Document):
        meta = {"collection": "theirs", "history": {"formerly": theirs}}

    class Ours(me.Document):
        meta = {"collection": "ours", "history": {"formerly": ours}}

    track_history(Theirs)
    with pytest.raises(OptionsError, match="Theirs"):
        track_history(Ours)
    assert not is_tracked(Ours)
    untrack_history(Theirs)
    track_history(Ours)
    untrack_history(Ours)
