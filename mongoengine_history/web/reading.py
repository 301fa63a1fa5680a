"""The pages to look at: what changed, one document's history, revisions side by side, states."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from bson import ObjectId

from mongoengine_history import (
    DocumentDidNotExistError,
    OptionsError,
    changeset_of,
    history_of,
    recent,
)
from mongoengine_history.faces.question import Question
from mongoengine_history.record.overview import heads
from mongoengine_history.record.place import Place
from mongoengine_history.state.merge import path_text
from mongoengine_history.state.revision import DELETE, EVENT
from mongoengine_history.state.values import identifier, wire
from mongoengine_history.web.failures import MESSAGES, Failure
from mongoengine_history.web.rows import Row, page_of, side_by_side, sides_of
from mongoengine_history.web.tree import tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mongoengine import Document
    from starlette.responses import Response

    from mongoengine_history import Recorded
    from mongoengine_history.web.look import Look

    #: A revision, and the classes of one of which its document is.
    Found = tuple[Recorded, list[type[Document]]]

SIZE: Final = 25
"""Revisions of a page."""

PART_SIZE: Final = 5
"""Revisions in a part of another page."""

MOST_LISTED: Final = 200
"""Revisions of a changeset that are listed."""

DEEPEST_BLAME: Final = 200
"""Revisions that are looked through for who set a state's values: a long history costs no more."""


def latest(look: Look) -> Response:
    """Show what changed last, of all documents that may be seen."""
    question, problem = _question(look)
    models = [it for it in look.seen_models if look.site.is_named(it, question.model)]
    rows, more = list[Row](), None
    try:
        groups = [[it] for it in models] if question.path else look.histories(models)
        rows, more = _newest(look, groups, question)
    except OptionsError as error:
        problem = look.say_wrong(error)
    if not models:
        problem = problem or look.gettext(MESSAGES["model"])
    return look.page("latest.html", rows=rows, more=more, problem=problem)


def _newest(
    look: Look, groups: list[list[type[Document]]], question: Question
) -> tuple[list[Row], Any]:
    """Tell a page of all groups of classes, and the record behind which the next one begins."""
    before = look.query.get("before")
    last = ObjectId(before) if before and ObjectId.is_valid(before) else None
    found: dict[Any, Found] = {}
    problems = []
    for group in groups:
        try:
            chosen = recent(*group).filter(**question.conditions)
        except OptionsError as error:  # it has no such path
            problems.append(error)
            continue
        found.update({it.record: (it, group) for it in chosen.page(before=last, size=SIZE + 1)})
    if problems and len(problems) == len(groups):
        raise problems[0]
    records = sorted(found, reverse=True)
    rows = [*_seen(look, map(found.__getitem__, records[:SIZE]))]
    return rows, records[SIZE - 1] if len(records) > SIZE else None


def document(look: Look) -> Response:
    """Show the history of a document, the newest first."""
    rights = look.rights
    question, problem = _question(look)
    before = look.number("before")
    try:
        found = page_of(rights, look.words, question, before, SIZE + 1)
    except OptionsError as error:  # there is no such path
        found, problem = [], look.say_wrong(error)
    if not found and before is None and question == Question() and not problem:
        raise Failure(404, "unknown")
    if not look.site.is_named(rights.model, question.model):
        found = []
    shown = found[:SIZE]
    more = shown[-1].number if len(found) > SIZE else None
    return look.page(
        "document.html",
        rights=rights,
        rows=shown,
        more=more,
        problem=problem,
        is_stored=rights.stored is not None,
        is_whole=before is None and question == Question(),
        # What is older than the last one of the last page is not kept.
        first=shown[-1].number if shown and more is None and question == Question() else 1,
    )


def newest(look: Look) -> Response:
    """Show the newest revisions of a document, as a part of a page of the application."""
    rights = look.rights
    size = min(look.number("size") or PART_SIZE, SIZE)
    shown = page_of(rights, look.words, Question(), None, size)
    return look.page("newest.html", rights=rights, rows=shown)


def _question(look: Look) -> tuple[Question, str]:
    """Read what is asked for; a question that cannot be read asks for all, and why is said."""
    try:
        return Question.of(look.query.get("q", ""), look.site.zone), ""
    except OptionsError as error:
        return Question(), look.say_wrong(error)


def revision(look: Look) -> Response:
    """Show one revision, beside the one before."""
    rights = look.rights
    timeline = rights.timeline
    row = Row.of(rights, look.words, timeline[int(look.part["number"])])
    return look.page(
        "revision.html",
        rights=rights,
        row=row,
        changed=[*side_by_side(row.lines)] if row.operation != EVENT else [],
        newest=len(timeline),
    )


def compare(look: Look) -> Response:
    """Show any two points side by side; without a number what is stored now."""
    rights = look.rights
    timeline = rights.timeline
    newest = len(timeline)
    first, second = look.number("from"), look.number("to")
    first = max(newest - 1, 0) if first is None and second is None else first
    return look.page(
        "compare.html",
        rights=rights,
        changed=sides_of(timeline.compare(first, second), rights, look.words),
        ends=(first, second),
        newest=newest,
    )


def state(look: Look) -> Response:
    """Show the whole state after a revision, with who set each value last."""
    rights, number = look.rights, int(look.part["number"])
    timeline = rights.timeline
    is_asked = look.query.get("blame") != "0"
    setters = timeline.blame(revision=number, most=DEEPEST_BLAME) if is_asked else {}
    try:
        found = rights.veil.value((), timeline.state(number))
    except DocumentDidNotExistError:
        found, setters = None, {}
    return look.page(
        "state.html",
        rights=rights,
        number=number,
        newest=len(timeline),
        is_there=found is not None,
        nodes=tree(found, look.words, lambda path: setters.get(path_text(path))),
        is_asked=is_asked,
        depth=DEEPEST_BLAME,
    )


def changeset(look: Look) -> Response:
    """Show all that was written in one unit of work."""
    found = of_changeset(look, MOST_LISTED + 1)
    return look.page(
        "changeset.html",
        rows=found[:MOST_LISTED],
        is_cut=len(found) > MOST_LISTED,
        id=look.part["id"],
        may_revert=all(look.rights_to(it.model, it.pk).restores for it in found),
    )


def of_changeset(look: Look, most: int) -> list[Row]:
    """Tell revisions of a changeset, as far as they may be seen; without one it is not there."""
    try:
        groups = look.histories(look.seen_models)
        told = ((it, group) for group in groups for it in changeset_of(look.part["id"], *group))
        found = [*islice(_seen(look, told), most)]
    except OptionsError as error:
        raise Failure(404, "unknown") from error
    if not found:
        raise Failure(404, "unknown")
    return found


def gone(look: Look) -> Response:
    """List the deletions that were recorded last, of documents that are still gone."""
    asked = look.query.get("model")
    models = [it for it in look.seen_models if look.site.is_named(it, asked)]
    rows, more = _newest(look, look.histories(models), Question(operation=DELETE))
    problem = None if models else look.gettext(MESSAGES["model"])
    return look.page("deleted.html", rows=_gone(rows), more=more, asked=asked, problem=problem)


def _gone(rows: list[Row]) -> list[Row]:
    """Leave out documents that are there again; of one that went twice, the last one is enough."""
    stored, newest = set[object](), dict[object, int]()
    keyed = [(it, _key(it)) for it in rows]
    for model in {it.model for it in rows}:
        place, keys = Place(model), [key for it, key in keyed if it.model is model]
        found = place.documents.find({"_id": {"$in": keys}}, {"_id": 1})
        stored.update((model, identifier(it["_id"])) for it in found)
        newest.update({(model, key): head.number for key, head in heads(place, keys).items()})
    known = [((it.model, identifier(key)), it) for it, key in keyed]
    gone = [(key, it) for key, it in known if key not in stored]
    return [it for key, it in gone if newest.get(key) == it.number or _is_last_deletion(it)]


def _is_last_deletion(row: Row) -> bool:
    deletions = history_of(row.model, row.pk).filter(operation=DELETE)
    return [it.number for it in deletions.page(size=1)] == [row.number]


def _key(row: Row) -> Any:
    """Return the primary key of a document as it is stored."""
    return wire({"": row.pk}, Place(row.model).codec)[""]


def _seen(look: Look, found: Iterable[Found]) -> Iterator[Row]:
    """Tell revisions of several documents, those that may be seen."""
    for it, models in found:
        model = look.model_of(it, models)
        if model is None:
            continue
        rights = look.rights_to(model, it.document_id)
        if rights.sees:
            yield Row.of(rights, look.site.words(model), it.revision)


def help(look: Look) -> Response:  # noqa: A001  # it is a page
    """Say which keys and words there are."""
    return look.page("help.html")
