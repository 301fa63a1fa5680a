"""Documents of a history without what is forgotten: what each becomes, in which order.

Whatever is written comes in an order in which the history can be read, and its chain is whole,
after each step: the digests of values first, then what is left of them, the salts at last. Who
rewrites the same documents meanwhile is waited for, by a transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

import bson
from pymongo import UpdateOne
from pymongo.errors import OperationFailure

from mongoengine_history.record.chain import digests, salts_of, values
from mongoengine_history.record.layout import (
    DEEPEST_VALUE,
    LARGEST_VALUE,
    joined,
    revision_of,
)
from mongoengine_history.state.patches import dictdiffer_patch, record_of
from mongoengine_history.state.values import ABSENT, WIRE, depth, same

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pymongo.collection import Collection

    from mongoengine_history.record.place import Place
    from mongoengine_history.state.redaction import Forgotten
    from mongoengine_history.state.revision import StoredRevision

    Documents = Sequence[Mapping[str, Any]]
    Redone = list[tuple[Mapping[str, Any], dict[str, Any]]]
    Left = Callable[[Documents], tuple[Redone, int]]

IS_ALONE: Final = 20
"""What a server answers to a transaction if it is no replica set."""

STATES: Final = ("state", "start")
"""The fields of a version that hold states."""


def records_left(records: Documents, forgotten: Forgotten) -> tuple[Redone, int]:
    """
    Return what the documents of a revision become, by fields, and how many values change.

    Raises:
        ValueError: a record is malformed; or another one of ``UNREADABLE``.
    """
    revision = revision_of(records)
    patches = tuple(map(forgotten.patch, revision.patches))
    left = revision._replace(context=forgotten.context(revision), patches=patches)
    pairs = zip(values(revision), values(left), strict=True)
    touched = [index for index, (was, is_now) in enumerate(pairs) if not same(was, is_now)]
    redone = _redone(records, "data", [record_of(it)["data"] for it in patches])
    for record, fields in redone:
        if "part_of" not in record:
            fields.update(_said(left))
    redone[0][1].update(_linked(revision, records[0], touched))
    if "lists" in records[0]:
        redone[0][1]["lists"] = forgotten.lists(records[0]["lists"])
    mark = _mark_left(records[0], forgotten)
    redone[0][1].update(mark)
    return redone, len(touched) + len(mark)


def _mark_left(first: Mapping[str, Any], forgotten: Forgotten) -> dict[str, Any]:
    """Return the mark of retention, if it names somebody else from now on."""
    mark = first.get("pruned")
    if not isinstance(mark, Mapping):
        return {}
    who = forgotten.name(mark.get("by"))
    return {} if same(who, mark.get("by")) else {"pruned": {**mark, "by": who}}


def _said(revision: StoredRevision) -> dict[str, Any]:
    context = revision.context
    metadata = dict(context.metadata) or ABSENT
    said = {"identity": context.identity, "reason": context.reason}
    known = {name: ABSENT if it is None else it for name, it in said.items()}
    return {**known, "metadata": metadata}


def _linked(
    revision: StoredRevision, first: Mapping[str, Any], touched: list[int]
) -> dict[str, Any]:
    """Return the fields of the chain: nobody can try out what a value was whose salt is gone."""
    known = first.get("digests", {})
    if "checksum" not in first or not (touched or known):
        return {}
    found = digests(revision, first)
    kept = {**known, **{str(index): found[index] for index in touched}}
    salts = enumerate(salts_of(first, len(found)))
    own = {str(index): salt for index, salt in salts if str(index) not in kept}
    return {"digests": kept, "salts": own, "salt": ABSENT}


def version_left(documents: Documents, forgotten: Forgotten) -> tuple[Redone, int]:
    """Return what the documents of a version become; errors as `records_left`."""
    version = joined(documents)[0]
    redone = _redone(documents, "state", [forgotten.state(version["state"])])
    first, fields = redone[0]
    if "start" in version:
        fields["start"] = forgotten.state(version["start"])
    fields.update(_who(first, forgotten))
    if first["revision"] == 0:
        fields["moment"] = ABSENT  # by which a late writer would put another state here
    changed = any(not same(version.get(it), fields.get(it, version.get(it))) for it in STATES)
    return redone, int(changed)


def legacy_left(records: Documents, forgotten: Forgotten) -> tuple[Redone, int]:
    """Return what a record of 1.1 becomes, whose path is only a text; errors as `records_left`."""
    [record] = records
    keys = [int(it) if it.isdecimal() else it for it in record["path"].split(".") if it]
    action, path, data = dictdiffer_patch({**record, "keys": keys})
    left = forgotten.data(action, tuple(path), data)
    made = {"old": left[0], "new": left[1]} if action == "change" else _items(left)
    fields = {"data": made, **_who(record, forgotten)}
    return [(record, fields)], int(not same(record["data"], made))


def _who(document: Mapping[str, Any], forgotten: Forgotten) -> dict[str, Any]:
    """Return the identity of a version or of a record of 1.1, if it has one."""
    if "identity" not in document:
        return {}
    name = None if forgotten.said else forgotten.name(document["identity"])
    return {"identity": ABSENT if name is None else name}


def _items(pairs: Iterable[tuple[Any, Any]]) -> dict[str, Any]:
    return {"items": [{"key": key, "value": value} for key, value in pairs]}


def _redone(documents: Documents, field: str, contents: Sequence[Any]) -> Redone:
    """Give documents their new *contents*; those of large ones stay in as many parts as before."""
    wholes = joined(documents)
    redone: Redone = []
    pieces: dict[int, list[bytes]] = {}
    for index, (document, content) in enumerate(zip(documents, contents, strict=False)):
        fields: dict[str, Any] = {}
        if not same(wholes[index][field], content):
            count = document.get("parts", 0)
            pieces[index] = _pieces({field: content}, count) if count else []
            if not any(pieces[index]):
                fields = {field: content, "parts": ABSENT}
        redone.append((document, fields))
    for part in documents[len(contents) :]:
        index = part["part_of"]
        is_left_over = "parts" not in documents[index]
        own = [b""] if is_left_over else pieces.get(index, [part["bytes"]])
        redone.append((part, {"bytes": own.pop(0)}))
    return redone


def _pieces(content: dict[str, Any], count: int) -> list[bytes]:
    """Split what is too large for one document; it is all empty where it is not any more."""
    raw = bson.encode(content, codec_options=WIRE)
    if len(raw) <= LARGEST_VALUE and depth(content) <= DEEPEST_VALUE:
        return [b""] * count
    size = -(-len(raw) // count)
    return [raw[start * size : (start + 1) * size] for start in range(count)]


def documents_left(documents: Documents, forgotten: Forgotten) -> tuple[list[dict[str, Any]], int]:
    """Return what all documents of a write become, and how many values of them change."""
    made, count = [], 0
    for (_, is_version), group in groupby(documents, _kind):
        redone, some = (version_left if is_version else records_left)([*group], forgotten)
        both = [{**document, **fields} for document, fields in redone]
        made += [{name: it for name, it in each.items() if it is not ABSENT} for each in both]
        count += some
    return made, count


def _kind(document: Mapping[str, Any]) -> tuple[int, bool]:
    return document["revision"], document["position"] < 0


def write_left(place: Place, documents: Documents, left: Left) -> int:
    """
    Write what documents become that were read; return how many values change.

    Where others forget something of the same documents meanwhile it is done with what they leave.
    Documents that are pruned meanwhile need nothing.
    """
    redone, count = left(documents)
    if not any(_update(*it) for it in redone):
        return count
    history, names = place.history, [it["_id"] for it in documents]

    def again(session: Any) -> int:
        found = {it["_id"]: it for it in history.find({"_id": {"$in": names}}, session=session)}
        if len(found) < len(names):
            return 0
        redone, count = left([found[name] for name in names])
        requests = _requests(redone)
        if requests:
            history.bulk_write(requests, session=session)
        return count

    return _at_once(history, again)


def _requests(redone: Redone) -> list[UpdateOne]:
    """Return the updates; documents that stay as they are, are left alone."""
    updates = [(document, _update(document, fields)) for document, fields in redone]
    requests = [UpdateOne({"_id": it["_id"]}, update) for it, update in updates if update]
    first, fields = redone[0]
    if "digests" in fields and requests:
        before = UpdateOne({"_id": first["_id"]}, {"$set": {"digests": fields["digests"]}})
        own = requests[:1] if updates[0][1] else []
        requests = [before, *requests[len(own) :], *own]
    return requests


def _update(document: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: document.get(name, ABSENT) for name in fields}
    changed = {name: it for name, it in fields.items() if not same(found[name], it)}
    wanted = {
        "$set": {name: it for name, it in changed.items() if it is not ABSENT},
        "$unset": {name: 1 for name, it in changed.items() if it is ABSENT},
    }
    return {operator: names for operator, names in wanted.items() if names}


def _at_once(history: Collection[Any], write: Callable[[Any], int]) -> int:
    """Read and write in a transaction; only a server that is alone does it one by one."""
    try:
        with history.database.client.start_session() as session:
            count: int = session.with_transaction(write)
            return count
    except OperationFailure as error:
        if error.code != IS_ALONE:
            raise
        return write(None)
