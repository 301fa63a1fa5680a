"""A changeset is taken back by the classes that have recorded it, wherever documents were put."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mongoengine as me
import pytest
from mongoengine.context_managers import switch_collection, switch_db

from mongoengine_history import (
    BaseHistory,
    OptionsError,
    changeset,
    history_of,
    revert_changeset,
    track_history,
    untrack_history,
)
from mongoengine_history.record.neighbours import _kept
from mongoengine_history.record.place import indexed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOOSE = {"auto_create_index": False}


class First(BaseHistory):
    meta = {"collection": "first_of_two", "db_alias": "kept"}


class Second(BaseHistory):
    meta = {"collection": "second_of_two", "db_alias": "kept"}


class Own(BaseHistory):
    meta = {"collection": "own_history"}


class Here(me.Document):
    meta = {"collection": "rc_goods", **LOOSE}
    count = me.IntField()


class There(me.Document):
    meta = {"collection": "rc_goods", "db_alias": "other", **LOOSE}
    count = me.IntField()
    label = me.StringField()


class Paper(me.Document):
    meta = {"collection": "rc_papers", **LOOSE}
    text = me.StringField()


class Report(me.Document):
    """Reads the same collection; nothing that it writes is recorded."""

    meta = {"collection": "rc_papers", "strict": False, **LOOSE}
    text = me.StringField(max_length=1)


@pytest.fixture(autouse=True)
def tracked(database: Any, mongodb_uri: str) -> Iterator[None]:
    for alias in ("kept", "third"):
        name = f"{database.name}_{alias}"
        me.connect(name, alias=alias, host=mongodb_uri, uuidRepresentation="standard")
    indexed.clear()
    _kept.clear()
    for model, kept in ((Here, First), (There, Second), (Paper, Own)):
        track_history(model, history=kept)
    yield
    for model in (Here, There, Paper):
        untrack_history(model)
    for alias in ("kept", "third"):
        me.get_connection(alias).drop_database(f"{database.name}_{alias}")
        me.disconnect(alias)


def both() -> None:
    """Write documents of the same key and collection in two databases."""
    key = Here(count=1).save().pk
    There(pk=key, count=2, label="a").save()


def switched() -> None:
    """Write to where a class of that collection has its documents and a history of its own."""
    with switch_db(Here, "other"):
        Here(count=1).save()


def a_third() -> None:
    Here(count=1).save()
    with switch_db(There, "third"):
        There(count=2, label="a").save()


def found() -> list[Any]:
    """Return all documents, wherever they lie."""
    aliases = ("default", "other", "third")
    return [it for alias in aliases for it in me.get_db(alias)["rc_goods"].find()]


@pytest.mark.parametrize("write", [both, switched, a_third])
def test_each_history_on_one_connection_is_taken_back_by_its_own_class(
    write: Callable[[], None],
) -> None:
    with changeset() as unit:
        write()
    written = found()
    plan = revert_changeset(unit, dry_run=True)
    assert [it.kind for it in plan.steps] == ["delete"] * len(written)
    again = revert_changeset(unit)
    assert found() == []
    revert_changeset(again)
    assert found() == written


def test_where_a_class_was_switched_to_which_one_is_never_guessed() -> None:
    for model in (Here, There):
        untrack_history(model)
        track_history(model)  # so that nothing tells them apart
    with switch_db(Here, "third"), changeset() as unit:
        document = Here(count=1).save()
    for dry_run in (True, False):
        with pytest.raises(OptionsError, match=r"rc_goods.*switch_db"):
            revert_changeset(unit, dry_run=dry_run)  # type: ignore[call-overload]
    with switch_db(Here, "third"):
        assert len(history_of(document)) == 1
        revert_changeset(unit)
    assert found() == []


class Remote(BaseHistory):
    meta = {"collection": "remote", "db_alias": "nowhere"}


@pytest.mark.parametrize(("alias", "history"), [("nowhere", Second), ("default", Remote)])
def test_a_class_to_which_nobody_is_connected_is_in_nobodys_way(alias: str, history: Any) -> None:
    class Nowhere(me.Document):
        meta = {"collection": "rc_goods", "db_alias": alias, **LOOSE}

    track_history(Nowhere, history=history)
    try:
        with changeset() as unit:
            both()
        revert_changeset(unit)
        assert found() == []
    finally:
        untrack_history(Nowhere)


def archived(collection: str) -> None:
    with switch_collection(Paper, collection):
        Paper(text=f"in {collection}").save()


def papers(*collections: str) -> list[str]:
    database = me.get_db()
    return [it["text"] for name in collections for it in database[name].find()]


@pytest.mark.parametrize("kept", [Own, None])
def test_what_was_put_into_another_collection_is_taken_back_with_the_rest(kept: Any) -> None:
    untrack_history(Paper)
    track_history(Paper, **({"history": kept} if kept else {}))
    with changeset() as unit:
        Paper(text="long").save()
        archived("rc_archive")
    with pytest.raises(OptionsError, match=r"rc_archive.*switch_collection"):
        revert_changeset(unit, dry_run=True)
    with switch_collection(Paper, "rc_archive"):
        again = revert_changeset(unit)
    assert papers("rc_papers", "rc_archive") == []
    with switch_collection(Paper, "rc_archive"):
        revert_changeset(again)
    assert papers("rc_papers", "rc_archive") == ["long", "in rc_archive"]


def test_of_further_collections_a_class_may_say_that_it_has_them() -> None:
    with changeset() as unit:
        archived("rc_archive")
        archived("rc_attic")

    class Attic(me.Document):
        meta = {"collection": "rc_attic", **LOOSE}
        text = me.StringField()

    track_history(Attic, history=Own)
    try:
        with switch_collection(Paper, "rc_archive"):
            revert_changeset(unit)
        assert papers("rc_papers", "rc_archive", "rc_attic") == []
    finally:
        untrack_history(Attic)
