"""Functions and methods in units of work keep their types. Read by mypy and pyright, never run."""

from __future__ import annotations

from collections.abc import Iterator

from mongoengine import Document
from typing_extensions import assert_type

from mongoengine_history import Changeset, changeset


class Invoice(Document):  # type: ignore[misc]  # MongoEngine has no types
    """A document of an application."""


@changeset("night job")
def work(count: int) -> str:
    return str(count)


@changeset
def bare(count: int, *, loud: bool = False) -> str:
    return str(count)


@changeset
async def awaited(count: int) -> str:
    return str(count)


@changeset("ann")
def counted(count: int) -> Iterator[int]:
    yield count


@changeset
def steps(count: int) -> Iterator[int]:
    yield count


class Service:
    """Methods in units of work, and a unit to use again."""

    job = changeset("job")

    @changeset
    def bare(self, count: int) -> str:
        return str(count)

    @changeset("ann", reason="night")
    def named(self, count: int) -> str:
        return str(count)


async def decorated(user: object) -> None:
    assert_type(work(1), str)
    assert_type(bare(1, loud=True), str)
    assert_type(await awaited(1), str)
    assert_type(counted(1), Iterator[int])
    assert_type(steps(1), Iterator[int])
    assert_type(Service().bare(1), str)
    assert_type(Service.bare(Service(), 1), str)
    assert_type(Service().named(1), str)
    work("x")  # type: ignore[arg-type]
    bare("x")  # type: ignore[call-overload]
    Service().bare("x")  # type: ignore[arg-type]
    changeset("ann")(7)  # type: ignore[call-overload]
    with changeset(user) as first, changeset(lambda: user) as second, Service().job as third:
        assert_type((first, second, third), tuple[Changeset, Changeset, Changeset])
    with changeset(Invoice().pk) as changes:
        assert_type(changes, Changeset)
    assert_type(changeset(lambda: user)(Service.named)(Service(), 1), str)
