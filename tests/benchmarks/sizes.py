"""How many bytes things have, in BSON and on the disk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import bson
from bson.raw_bson import RawBSONDocument
from pymongo.database import Database

COMPRESSORS: Final = ("snappy", "zstd")

EMPTY: Final = len(bson.encode({"": None}))


def overhead(record: dict[str, Any]) -> int:
    """Count the bytes of a record of the history without the values that it holds."""
    data = record["data"]
    values = [item["value"] for item in data.get("items", [])] or [data["old"], data["new"]]
    held = sum(len(bson.encode({"": value})) - EMPTY for value in values)
    return len(bson.encode(record)) - held


def on_disk(database: Database, found: Sequence[bytes], compressor: str) -> int:
    """Store documents in a collection of their own, and return what it takes on the disk."""
    engine = {"wiredTiger": {"configString": f"block_compressor={compressor}"}}
    collection = database.create_collection("measured", storageEngine=engine)
    collection.insert_many([RawBSONDocument(it) for it in found])
    database.client.admin.command("fsync")  # what is not yet on the disk has no size
    size: int = database.command("collStats", "measured")["storageSize"]
    collection.drop()
    return size
