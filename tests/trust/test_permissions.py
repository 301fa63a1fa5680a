"""The roles of the page, on a server that asks for passwords: what each of them may do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mongoengine as me
import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure
from support.changes import automatic
from support.passwords import asking_for_passwords

from mongoengine_history import (
    History,
    HistoryError,
    HistoryNotRecordedError,
    backfill,
    changed_since,
    changeset,
    checkpoint,
    erase,
    history_of,
    hold,
    proof,
    prune,
    redact,
    release,
    revert,
    undo,
    verify,
)
from mongoengine_history.record.place import indexed

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "permissions.md"
DATABASE = "permissions"


class Lease(me.Document):
    meta = {"collection": "leases", "auto_create_index": False, "db_alias": DATABASE}
    rent = me.IntField()
    tenant = me.StringField()


tracking = automatic(Lease)


def roles() -> dict[str, Any]:
    """Take the first block of the page, without the connection that it makes."""
    [code, *_] = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    lines = [it for it in code.splitlines() if not it.startswith(("connect(", "create_roles("))]
    names: dict[str, Any] = {}
    exec("\n".join(lines), names)  # what the page says is what is tested
    return names


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with asking_for_passwords(tmp_path_factory.mktemp("permissions")) as port:
        with connected(port, "root", "admin"):
            names = roles()
            names["create_roles"](me.get_db(DATABASE))
            History.ensure_indexes(DATABASE)
            own = {"db": DATABASE, "collection": "leases"}
            writing = [{"resource": own, "actions": names["CHANGES"]}]
            reading = [{"resource": own, "actions": names["READS"]}]
            for name, privileges in {"documents": writing, "their_reader": reading}.items():
                me.get_db(DATABASE).command("createRole", name, privileges=privileges, roles=[])
            for role in names["ROLES"]:
                other = "their_reader" if role == "history_reader" else "documents"
                given = [role, other]
                me.get_db(DATABASE).command("createUser", role, pwd="x", roles=given)
        yield port


class connected:  # noqa: N801  # used as a function is
    """Connect as somebody, inside the block."""

    def __init__(self, port: int, user: str, source: str = DATABASE) -> None:
        self.uri = f"mongodb://{user}:x@127.0.0.1:{port}/?directConnection=true&authSource={source}"

    def __enter__(self) -> None:
        indexed.clear()
        me.connect(DATABASE, alias=DATABASE, host=self.uri, uuidRepresentation="standard")
        Lease._collection = None

    def __exit__(self, *_: object) -> None:
        me.disconnect(DATABASE)
        Lease._collection = None


def test_the_application_records_and_cannot_change_what_it_recorded(port: int) -> None:
    with connected(port, "history_writer"):
        lease = Lease(rent=1, tenant="ada").save()
        lease.rent = 2
        lease.save()
        Lease.objects(pk=lease.pk).update(inc__rent=1)
        revert(lease, revision=1).save()
        undo(lease, 4).save()
        assert [it.number for it in history_of(lease)] == [1, 2, 3, 4, 5]
        assert verify(Lease).ok
        for change in (
            lambda: History.objects.using(DATABASE).delete(),
            lambda: History.objects.using(DATABASE).update(set__reason="x"),
            lambda: redact(Lease, "tenant"),
        ):
            with pytest.raises((OperationFailure, me.OperationError, HistoryError)):
                change()
        assert verify(Lease).ok


def test_a_backfill_is_no_reason_for_more(port: int) -> None:
    with connected(port, "history_writer"):
        Lease._get_collection().database["leases"].insert_one({"rent": 1})
        assert backfill(Lease)
        lease = Lease.objects.order_by("-id").first()
        lease.rent = 5
        lease.save()
        assert history_of(lease).state(0) == {"rent": 1}


def written() -> Lease:
    """Write as the application does."""
    with changeset("ann"):
        lease = Lease(rent=1, tenant="ada").save()
        lease.update(rent=2)
    return lease


def test_an_auditor_reads_and_writes_nothing(port: int) -> None:
    with connected(port, "history_writer"):
        lease = written()
    with connected(port, "history_keeper"):
        point = checkpoint(Lease)
    with connected(port, "history_reader"):
        assert verify(Lease).ok
        assert list(changed_since(point, Lease)) == []
        assert proof(lease, 1)
        for write in (Lease(rent=1).save, lambda: checkpoint(Lease), lambda: redact(Lease, "rent")):
            with pytest.raises((OperationFailure, me.OperationError, HistoryError)):
                write()


def test_a_keeper_does_what_the_page_says(port: int) -> None:
    with connected(port, "history_writer"):
        lease = written()
    with connected(port, "history_keeper"):
        point = checkpoint(Lease)
        assert verify(Lease, since=point).ok
        hold(lease, "case 4711")
        assert prune(Lease, keep=1).held == 1
        assert release(lease)
        assert redact(Lease, "tenant").values
        assert erase(lease).values
        assert prune(Lease, keep=1).revisions
        assert verify(Lease).ok


def test_a_keeper_mends_what_the_application_may_not_clear_away(port: int) -> None:
    """The newest revision is gone, as after a fail-over, and the process remembers it."""
    root = f"mongodb://root:x@127.0.0.1:{port}/?directConnection=true"
    with connected(port, "history_writer"):
        lease = Lease(rent=1).save()
        lease.rent = 2
        lease.save()
        with MongoClient(root) as client:
            client[DATABASE]["history"].delete_one({"document_id": lease.pk, "revision": 2})
        lease.rent = 3
        with pytest.raises(HistoryNotRecordedError) as caught:
            lease.save()
    with connected(port, "history_keeper"):
        caught.value.record()
        assert history_of(lease).state(2)["rent"] == 3
        assert verify(lease).ok
