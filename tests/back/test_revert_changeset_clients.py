"""A changeset is taken back where several clients lead to one database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mongoengine as me
import pytest
from support.binding import binds

from mongoengine_history import (
    History,
    OptionsError,
    changeset,
    history_of,
    revert_changeset,
    track_history,
    untrack_history,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

AGAIN = "rc_again"


class Plate(me.Document):
    meta = {"collection": "rc_plates", "auto_create_index": False}
    cents = me.IntField()


class Twin(me.Document):
    """Lies in the same database, reached by another client."""

    meta = {"collection": "rc_twins", "db_alias": AGAIN, "auto_create_index": False}
    cents = me.IntField()


@pytest.fixture
def options() -> dict[str, Any]:
    """What makes the second client another one."""
    return {"appname": "another"}


@pytest.fixture(autouse=True)
def tracked(database: Any, mongodb_uri: str, options: dict[str, Any]) -> Iterator[None]:
    me.connect(database.name, AGAIN, host=mongodb_uri, uuidRepresentation="standard", **options)
    for model in (Plate, Twin):
        track_history(model)
        model(cents=0).save()  # so that the collections and the indexes are there
    yield
    for model in (Plate, Twin):
        untrack_history(model)
    me.disconnect(AGAIN)


def counts() -> tuple[int, int]:
    return Plate.objects.count(), Twin.objects.count()


def test_two_clients_have_no_common_transaction() -> None:
    with changeset() as done:
        Plate(cents=1).save()
        Twin(cents=1).save()
    assert counts() == (2, 2)
    assert not revert_changeset(done, dry_run=True).is_atomic
    revert_changeset(done)
    assert counts() == (1, 1)
    assert History.objects(changeset=done.id).count() == 2


@binds
@pytest.mark.parametrize("model", [Plate, Twin])
def test_what_one_of_them_wrote_is_taken_back_in_a_transaction_of_it(model: Any) -> None:
    with changeset() as done:
        made = model(cents=1).save()
    assert revert_changeset(done, dry_run=True).is_atomic
    revert_changeset(done)
    assert counts() == (1, 1)
    assert history_of(model, made.pk)[-1].operation == "delete"


@binds
@pytest.mark.parametrize("model", [Plate, Twin])
def test_inside_a_transaction_it_is_a_part_of_it(model: Any) -> None:
    with changeset(atomic=model._meta.get("db_alias", True)):
        with changeset() as done:
            model(cents=1).save()
        model.objects(cents=0).update(cents=5)
        assert sorted(model.objects.scalar("cents")) == [1, 5]
        revert_changeset(done)
        assert [*model.objects.scalar("cents")] == [0]  # all of the block is one changeset
    assert model.objects.get().cents == 0


@binds
@pytest.mark.parametrize("model", [Plate, Twin])
def test_what_another_client_than_that_of_the_session_wrote_is_refused(model: Any) -> None:
    with changeset() as done:
        model(cents=1).save()
    other = Twin if model is Plate else Plate
    with (
        pytest.raises(OptionsError, match="another connection, which cannot join in"),
        changeset(atomic=other._meta.get("db_alias", True)),
    ):
        revert_changeset(done)
    assert counts() == ((2, 1) if model is Plate else (1, 2))


@binds
class TestWriteConcern:
    """PyMongo sends that of a client in a session that is only bound, too; no server takes it."""

    @pytest.fixture
    def options(self) -> dict[str, Any]:
        return {"w": "majority"}

    def test_it_is_told_before_anything_is_written(self) -> None:
        with (
            pytest.raises(OptionsError, match=r"write concern of its own, \{'w': 'majority'\}"),
            changeset(atomic=AGAIN),
        ):
            Twin(cents=1).save()
        assert counts() == (1, 1)

    def test_a_changeset_is_taken_back_without_a_transaction(self) -> None:
        with changeset() as done:
            Twin(cents=1).save()
        assert not revert_changeset(done, dry_run=True).is_atomic
        revert_changeset(done)
        assert counts() == (1, 1)
