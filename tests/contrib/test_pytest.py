"""The plugin of pytest: what it asserts holds, and what it says helps."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import mongoengine as me
import pytest
from mongoengine import Document

from mongoengine_history import changeset, history_of
from mongoengine_history.contrib.pytest import no_revision, one_revision


class Request(Document):
    meta = {"collection": "asserted_requests", "auto_create_index": False}
    status = me.StringField(db_field="s")
    note = me.StringField()


@pytest.fixture
def request_(database: Any, history_on: Callable[..., None]) -> Request:
    history_on(Request, exclude=("note",))
    return Request(status="draft").save()


def approve(it: Request) -> None:
    it.status = "approved"
    with changeset("ada", reason="fine"):
        it.save()


def test_one_revision_is_what_was_said(request_: Request) -> None:
    changes = {"status": ("draft", "approved")}
    with one_revision(request_, changes, identity="ada", operation="update") as left:
        approve(request_)
    assert left == [history_of(request_)[2]]


def test_a_creation_is_one(request_: Request) -> None:
    other = Request(status="new")
    with one_revision(other, {"status": (None, "new")}, operation="create"):
        other.save()


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"identity": "bob"}, "identity is 'ada', not 'bob'"),
        ({"changes": {"status": ("draft", "refused")}}, "it changed .*approved"),
        ({"changes": {}}, "it changed"),
    ],
)
def test_what_was_not_so_is_said(request_: Request, said: Any, problem: str) -> None:
    with pytest.raises(AssertionError, match=problem), one_revision(request_, **said):
        approve(request_)


def test_none_and_several_are_not_one(request_: Request) -> None:
    with pytest.raises(AssertionError, match="0 revisions were"), one_revision(request_):
        pass
    with pytest.raises(AssertionError, match=r"(?s)2 revisions.*approved.*drawn"):
        with one_revision(request_):
            approve(request_)
            request_.update(status="drawn back")


def test_no_revision_is_none(request_: Request) -> None:
    with no_revision(request_):
        request_.update(note="secret")
    with pytest.raises(AssertionError, match="in the place of none"), no_revision(request_):
        approve(request_)
    with no_revision(Request()):
        pass


def test_tracking_is_turned_off(request_: Request, history_off: None) -> None:
    with no_revision(request_):
        approve(request_)


def test_it_ends_with_the_test(database: Any) -> None:
    assert len(history_of(Request(status="a").save())) == 0


def test_an_error_inside_is_the_one_that_is_told(request_: Request) -> None:
    with pytest.raises(ZeroDivisionError), one_revision(request_):
        raise ZeroDivisionError


def test_it_is_loaded_wherever_the_package_is_installed() -> None:
    text = Path(__file__).parents[2].joinpath("pyproject.toml").read_text("utf-8")
    [module] = re.findall(r'pytest11\]\nmongoengine_history = "(.+)"', text)
    assert import_module(module).one_revision is one_revision
