"""Two twins are asked the same, and what the server says to each of them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.errors import PyMongoError
from support.twins import Act, Model, Twins, contents, recorded, settled, shown

from mongoengine_history.capture import saves

NEW = ObjectId("f" * 24)
AFTER = {"return_document": ReturnDocument.AFTER}

OF_TIME = {"$clusterTime", "operationTime", "electionId", "opTime"}
"""What an answer tells of the server, and not of what was asked."""


def filled_for(twins: Twins) -> Callable[..., None]:
    """Make a fixture of documents that the history knows or not; or that are large."""

    @pytest.fixture(params=["unknown", "known", "large"])
    def filled(request: Any, database: Any, monkeypatch: Any) -> None:
        if request.param == "large":  # these are read before they are written
            monkeypatch.setattr(saves, "LARGEST_IMAGE", -1)
        twins.fill(known=request.param != "unknown")

    return filled


def said(act: Act, model: Model) -> str:
    """Tell what an act returns, or all that its error tells."""
    try:
        return settled(shown(act(model)))
    except Exception as error:
        cause = error if isinstance(error, PyMongoError) else error.__cause__ or error.__context__
        details = getattr(cause, "details", None) or {}
        told = {name: value for name, value in details.items() if name not in OF_TIME}
        facts = [type(error), type(cause), getattr(cause, "code", None), sorted(told.items())]
        return settled(f"{error} {facts}")


def same(twins: Twins, act: Act, *, is_recorded: bool = True) -> str:
    """
    Check that both twins say the same and store the same.

    Args:
        twins: The classes.
        act: What is done to each.
        is_recorded: Whether it is one write that is recorded, as far as it changes anything.
    """
    expected = said(act, twins.plain)
    with recorded(twins.tracked) if is_recorded else nullcontext():
        found = said(act, twins.tracked)
    assert found == expected
    assert contents(twins.tracked) == contents(twins.plain)
    return found


def on(write: Callable[[Any], Any]) -> Act:
    """Let something be done to the collection of a class."""
    return lambda model: write(model._get_collection())
