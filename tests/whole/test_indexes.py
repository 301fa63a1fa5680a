"""Every query that the library sends is served by an index of the history, and sorts nothing."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import mongoengine as me
import pytest
from mongoengine import signals
from support.rooms import Car

from mongoengine_history import (
    DocumentTrack,
    History,
    Timeline,
    Version,
    changed_since,
    changeset,
    changeset_of,
    checkpoint,
    deleted,
    history_of,
    load_history,
    proof,
    prune,
    recent,
    reconcile,
    record_event,
    redact,
    restore,
    revert,
    revert_changeset,
    subscribe,
    track_changes,
    track_history,
    undo,
    untrack_history,
    verify,
)
from mongoengine_history.record import states
from mongoengine_history.record.revisions import Revisions

SERVING = {
    *("history_revision", "history_stamp", "history_identity", "history_changeset", "_id_"),
    *("history_on_behalf_of", "history_deletion"),
}

UNWANTED = {"COLLSCAN", "SORT"}


class Memo(me.Document):
    meta = {
        "collection": "memos",
        "auto_create_index": False,
        "history": {"version_every": 3},
    }
    text = me.StringField()
    tags = me.ListField(me.StringField())
    facts = me.DictField()


@pytest.fixture(scope="module", autouse=True)
def fresh(client: Any) -> None:
    """New indexes: one that had to hold an array, as other tests store them, sorts no more."""
    History.drop_collection()
    History.ensure_indexes()


@pytest.fixture
def note(database: Any) -> Any:
    """A document of ten revisions, among others that have more."""
    signals.post_save.connect(track_changes, sender=Memo)
    signals.post_delete.connect(track_changes, sender=Memo)
    notes = [Memo(text="0", tags=["a"], facts={"x": {"y": 0}}) for _ in range(3)]
    for note in notes:
        for number in range(10):
            with DocumentTrack(note, "ann"):
                note.text, note.facts["x"]["y"] = str(number), number
                note.save()
    return notes[1]


@pytest.fixture
def renamed(database: Any, note: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The same, of which a part was recorded before the collection was renamed."""
    monkeypatch.setitem(Memo._meta, "history", {"version_every": 3, "formerly": ["memos_before"]})
    early = {"document_type": "memos", "revision": {"$lt": 8}}
    database.history.update_many(early, {"$set": {"document_type": "memos_before"}})
    return note


def stages(plan: Any) -> Iterator[Mapping[str, Any]]:
    """Find all stages of the plan that was chosen for a command, those of pipelines included."""
    if isinstance(plan, Mapping):
        if "stage" in plan:
            yield plan
        for key, inner in plan.items():
            if key not in {"rejectedPlans", "allPlansExecution"}:
                yield from stages(inner)
    elif isinstance(plan, list):
        for inner in plan:
            yield from stages(inner)


def reads(commands: Any) -> list[dict[str, Any]]:
    """List the commands that read the history, ready to be explained."""
    found = []
    for sent in commands.sent:
        name = next(iter(sent))
        is_stream = "$changeStream" in next(iter(sent.get("pipeline", ())), {})
        if name in {"find", "aggregate"} and sent[name] == "history" and not is_stream:
            command = {
                key: value for key, value in sent.items() if key[0] not in "$l" or key == "let"
            }
            command |= {"limit": sent["limit"]} if "limit" in sent else {}
            found.append({key: it for key, it in command.items() if key != "txnNumber"})
    return found


@contextmanager
def automatic() -> Iterator[None]:
    track_history(Memo, version_every=3)
    try:
        yield
    finally:
        untrack_history(Memo)


def changed(document: Any) -> Any:
    """Return the id of a changeset."""
    with automatic(), changeset("ben") as changes:
        Memo.objects(pk=document.pk).update(set__text="newest")
    return changes.id


def uses(document: Any) -> list[Callable[[], Any]]:
    """What a user does with a history, each kind of reading once."""
    timeline = history_of(document)
    moment = datetime.now() - timedelta(milliseconds=5)
    records = History.objects.of(document)

    def edit() -> None:
        with DocumentTrack(Memo.objects.get(pk=document.pk)) as track:
            track._document.text += "x"
            track._document.save()

    def bring_back() -> None:
        with DocumentTrack(document):
            document.delete()
        restore(Memo, document.pk).save()

    def write_by_queries() -> None:
        with automatic():
            Memo.objects.update(set__text="new", set__facts__x__y=1)
            Memo.objects.update(set__text="newer")
            Memo.objects.insert([Memo(pk=document.pk.from_datetime(moment), text="old")])
            Memo.objects(pk__ne=document.pk).delete()

    def save_automatically() -> None:
        with automatic():
            fresh = Memo.objects.get(pk=document.pk)
            fresh.text += "y"
            fresh.save()

    def revert_all() -> None:
        with automatic(), changeset("ben") as changes:
            Memo.objects.update(set__text="newest")
        with automatic():
            revert_changeset(changes)

    def see_what_is_gone() -> None:
        made, query = checkpoint(type(document)), {"document_id": document.pk, "revision": 10}
        History._get_collection().delete_many(query)
        assert [it.revision for it in changed_since(made)] == [10]

    def follow() -> None:
        for consumer, models in (("all", ()), ("some", (Memo,))):
            for _ in range(2):
                feed: Any = subscribe(consumer, *models, from_beginning=True, wait=0)
                list(islice(feed, 3))
                feed.close()
            list(subscribe(consumer, *models, from_beginning=True, wait=0))

    return [
        edit,
        bring_back,
        write_by_queries,
        save_automatically,
        revert_all,
        lambda: load_history(document),
        lambda: load_history(document, moment, datetime.now()),
        lambda: load_history(document, until=moment),
        lambda: (len(timeline), list(timeline), list(reversed(timeline))),
        lambda: (timeline[3], timeline[-1], timeline[2:5], timeline.legacy),
        lambda: [timeline.state(number) for number in range(1, 11)],
        lambda: (timeline.at(4), timeline.as_of(moment), timeline.as_of(datetime.now())),
        lambda: (timeline.at(4, references=True), timeline.to_json(), timeline.to_pandas()),
        lambda: (timeline.page(), list(timeline.filter(by="ann", touching="facts.x"))),
        lambda: list(timeline.filter(between=(moment, None), operation="update")),
        lambda: (recent().page(), recent(Memo).filter(by="ann", touching="text").page()),
        lambda: list(changeset_of(changed(document))),
        lambda: (list(deleted(Memo)), list(deleted(Car))),
        lambda: (timeline.compare(1, 4), timeline.compare(4)),
        lambda: (timeline.blame(), timeline.blame("facts.x.y"), timeline.blame(["text"])),
        lambda: (revert(document), revert(document, datetime.now()), revert(document, revision=4)),
        lambda: undo(document, len(timeline)),
        lambda: list(records.by("ann").touching("facts.x").between(moment, datetime.now())),
        lambda: list(records.order_by("-stamp").limit(3)),
        lambda: list(History.objects.by("ann").order_by("-created_at").limit(3)),
        lambda: len(history_of(Car, document.pk)),  # of which class was it?
        lambda: list(History.objects.of(Car, document.pk)),
        lambda: list(History.objects.on_behalf_of("bob").order_by("-created_at").limit(3)),
        lambda: (record_event("read", document), list(records.filter(operation="event"))),
        follow,
        lambda: list(verify(document)),
        lambda: list(changed_since(checkpoint())),
        see_what_is_gone,
        lambda: (checkpoint(), proof(document, 9)),
        lambda: (list(verify(type(document))), list(verify(type(document), resume=document.pk))),
        lambda: reconcile(document),
        lambda: (reconcile(type(document)), reconcile(type(document), resume=document.pk)),
        lambda: prune(type(document), keep=3, older_than=moment),
        lambda: redact(type(document), ["text"], pk=document.pk),
        lambda: (redact(type(document), ["facts"]), redact(type(document), ["*"], resume=0)),
    ]


def is_of_one_number(command: Mapping[str, Any]) -> bool:
    """Say whether records of one revision are read, of two, or of 1.1, which have none."""
    bounds = command.get("filter", {}).get("revision", {})
    if isinstance(bounds, int):
        return True
    return (
        bounds is None
        or "$in" in bounds
        or ("$lte" in bounds and bounds["$lte"] == bounds.get("$gte"))
    )


@pytest.mark.parametrize("kind", ["note", "renamed"])
@pytest.mark.parametrize("place", range(40))
def test_each_query_is_served_by_an_index_and_sorts_nothing(
    database: Any, commands: Any, request: pytest.FixtureRequest, kind: str, place: int
) -> None:
    use = uses(request.getfixturevalue(kind))[place]
    commands.clear()
    use()
    found = reads(commands)
    assert found
    for command in found:
        explained = list(stages(database.command("explain", command)))
        names = {stage["stage"] for stage in explained}
        bad = {"COLLSCAN"} if kind == "renamed" and is_of_one_number(command) else UNWANTED
        assert not names & bad, (command, names)
        assert SERVING & {stage.get("indexName") for stage in explained}, command


def test_all_ways_to_read_are_among_them() -> None:
    """A new method of a timeline, or a new way to read the history, must be added above."""
    code = inspect.getsource(uses)
    methods = [name for name in vars(Timeline) if not name.startswith("_") and name != "names"]
    assert [name for name in methods if f".{name}" not in code] == []
    is_own = [
        it for it in vars(states).values() if getattr(it, "__module__", "") == states.__name__
    ]
    reading = {*vars(Revisions), *(it.__name__ for it in is_own)}
    assert {name for name in reading if not name.startswith("_")} == {
        "of", "named", "owner", "mine", "address", "turn", "seen_by",
        "stored", "recordable", "head", "opening", "looked", "revision", "between", "records",
        "made", "reading", "malformed",
        "changes", "number_at", "number_in", "last_touching", "legacy",
        "state_at", "state_before", "as_recorded", "replayed", "creation_of", "folded",
        "state_as_of", "may_have_existed",
    }  # fmt: skip


def test_versions_are_found_by_their_document(database: Any, note: Any) -> None:
    assert Version.objects(document_id=note.pk).order_by("revision").distinct("revision") == [
        3,
        6,
        9,
    ]
