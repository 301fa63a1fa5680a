"""A timeline for other programs: as JSON, as a table, in an API."""

from __future__ import annotations

import json
from typing import Any

import mongoengine as me
import pandas as pd
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from mongoengine import Document
from pydantic import BaseModel, ConfigDict
from support.changes import automatic

from mongoengine_history import changeset, history_of, record_event


class Seat(Document):
    meta = {"collection": "exported_seats", "auto_create_index": False}
    row = me.IntField(db_field="r")
    notes = me.ListField(me.StringField())


tracking = automatic(Seat)


@pytest.fixture
def seat(database: Any) -> Seat:
    with changeset("ada", reason="opening", ip="::1"):
        made = Seat(row=1).save()
    made.update(row=2)
    record_event("viewed", made)
    return made


def test_json_has_all_revisions_by_names_of_attributes(seat: Seat) -> None:
    told = json.loads(history_of(seat).to_json())
    assert told == [it.to_dict(json=True, names=history_of(seat).names) for it in history_of(seat)]
    assert told[1]["changes"] == [
        {"kind": "edited", "path": "row", "keys": ["row"], "old": 1, "new": 2}
    ]
    assert json.loads(history_of(Seat, "0" * 24).to_json()) == []


def test_a_table_has_a_row_for_each_change(seat: Seat) -> None:
    table = history_of(seat).to_pandas()
    assert list(table["number"]) == [1, 1, 2, 3]
    assert list(table["path"])[:3] == ["row", "notes", "row"]
    assert table[table.path == "row"]["new"].tolist() == [1, 2]
    assert isinstance(table["at"].dtype, pd.DatetimeTZDtype)


class Told(BaseModel):
    """What an API of the application says of a revision."""

    model_config = ConfigDict(from_attributes=True)
    number: int
    operation: str
    identity: str | None
    reason: str | None


def test_an_api_gives_revisions_as_models_and_as_data(seat: Seat) -> None:
    app = FastAPI()

    @app.get("/models")
    def models() -> list[Told]:
        return [Told.model_validate(it) for it in history_of(seat)]

    @app.get("/data")
    def data() -> list[dict[str, Any]]:
        return [it.to_dict(json=True) for it in history_of(seat).page(size=2)]

    with TestClient(app) as client:
        assert client.get("/models").json()[0] == {
            "number": 1, "operation": "create", "identity": "ada", "reason": "opening",
        }  # fmt: skip
        assert [it["number"] for it in client.get("/data").json()] == [3, 2]
