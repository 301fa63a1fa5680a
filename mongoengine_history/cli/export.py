"""Commands that give a history to others: what it holds, and all of it."""

from __future__ import annotations

import csv
import json
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

import click

from mongoengine_history import history_of
from mongoengine_history.cli.connection import OWN_ALIAS
from mongoengine_history.cli.options import NEW_FILE, command, words
from mongoengine_history.cli.target import class_of, document_of
from mongoengine_history.faces.classless import history_named
from mongoengine_history.record.history import kept_by
from mongoengine_history.record.overview import keys_behind
from mongoengine_history.record.place import Place
from mongoengine_history.state.telling import json_ready

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from mongoengine_history import Holding
    from mongoengine_history.cli.options import Settings

COLUMNS: Final = (
    "collection",
    "id",
    "number",
    "at",
    "identity",
    "operation",
    "reason",
    "changeset",
    "kind",
    "path",
    "old",
    "new",
)

FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What a text begins with that a spreadsheet takes for a formula."""


@command("stats", short_help="What the history holds, with bars.")
def stats(settings: Settings) -> int:
    """Tell how many documents and revisions the history has, how large it is, and since when."""
    found = holdings_of(settings)
    terminal = settings.terminal
    if settings.json:
        terminal.json([_data(it) for it in found])
        return 0
    most = max((it.revisions for it in found), default=0) or 1
    told = terminal.words(None)
    rows = [
        (
            it.document_type or "(events)",
            it.documents,
            it.revisions,
            terminal.bar(it.revisions / most),
            _size(it.bytes),
            *(told.moment(moment)[:10] if moment else "" for moment in (it.oldest, it.newest)),
        )
        for it in found
    ]
    if rows:
        headings = ["collection", "documents", "revisions", "", "size", "from", "to"]
        terminal.table(headings, rows)
    else:
        terminal.note("The history is empty.")
    return 0


def holdings_of(settings: Settings) -> list[Holding]:
    """Return what the histories hold that are meant."""
    if not settings.model:
        settings.reach_own()
        return history_named(settings.kept_in).report(OWN_ALIAS)
    kept = {
        (kept_by(it), None if kept_by(it).kept_at else it._meta.get("db_alias"))
        for it in settings.models
    }
    return [it for history, alias in kept for it in history.report(alias)]


def _data(it: Holding) -> dict[str, Any]:
    moments = {name: getattr(it, name) for name in ("oldest", "newest")}
    return {
        "collection": it.document_type,
        "documents": it.documents,
        "revisions": it.revisions,
        "bytes": it.bytes,
        "legacy": it.legacy,
        **{name: moment and moment.isoformat() for name, moment in moments.items()},
    }


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


@command("export", short_help="All revisions, as JSON Lines or CSV.")
@words("[COLLECTION] [KEY]")
@click.option("--format", "form", type=click.Choice(["jsonl", "csv"]), default="jsonl")
@NEW_FILE
def export(settings: Settings, words: tuple[str, ...], form: str, to: Path | None) -> int:
    """
    Write all revisions of a document, or of all of a class, the oldest first.

    JSON Lines have a revision a line. CSV has a change a line, with values as JSON.
    """
    model, rest = class_of(settings, words)
    keys = [document_of(settings, words).key] if rest else None
    terminal = settings.terminal
    opened: Any = nullcontext(sys.stdout)
    if to is not None:
        opened = to.open("x", encoding="utf-8", newline="")
    bar = terminal.progress("documents", None) if to else nullcontext(lambda _: None)
    with opened as file, bar as progress:
        write = _writer(form, file)
        for count, key in enumerate(keys or keys_behind(Place(model)), 1):
            timeline = history_of(model, key)
            for revision in timeline:
                data = revision.to_dict(json=True, names=timeline.names)
                write({"collection": model._get_collection_name(), "id": json_ready(key), **data})
            progress(count)
    return 0


def _writer(form: str, file: Any) -> Any:
    if form == "jsonl":
        return lambda data: file.write(json.dumps(data) + "\n")
    table = csv.writer(file)
    table.writerow(COLUMNS)
    return lambda data: table.writerows(_rows(data))


def _rows(data: Mapping[str, Any]) -> Iterable[list[str]]:
    """Return a row for each change, one without a path where nothing was changed."""
    for change in data["changes"] or [{}]:
        values = {**data, **change}
        yield [_cell(name, values) for name in COLUMNS]


def _cell(name: str, values: Mapping[str, Any]) -> str:
    value = values.get(name)
    if name in {"old", "new"}:
        return json.dumps(value, ensure_ascii=False) if name in values else ""
    if isinstance(value, dict) and value.keys() == {"$oid"}:
        value = value["$oid"]
    text = value if isinstance(value, str) else "" if value is None else json.dumps(value)
    return f"'{text}" if text.startswith(FORMULA) else text


EXPORTING: Final = (stats, export)
