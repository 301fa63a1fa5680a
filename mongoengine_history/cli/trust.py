"""Commands that say whether a history can be relied on, and that bring it up to date."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from mongoengine_history import (
    Checkpoint,
    Finding,
    OptionsError,
    Reconciled,
    Verification,
    checkpoint,
    proof,
    reconcile,
    verify,
    watch,
)
from mongoengine_history.cli.ask import agreed, writes, writing
from mongoengine_history.cli.look import DOCUMENT
from mongoengine_history.cli.options import NEW_FILE, command, words
from mongoengine_history.cli.target import check_unkeyed, class_of, document_of
from mongoengine_history.cli.terminal import counted
from mongoengine_history.trust.finding import ALTERED, DRIFT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mongoengine import Document

    from mongoengine_history.cli.options import Settings

FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)

CHECKSUM_KEY: Final = click.option(
    "--checksum-key", type=FILE, multiple=True, help="An earlier key of the class."
)

PERHAPS_KEYED: Final = (
    "A checksum that was made with a key is not found right without it: name the class, which has "
    "its checksum_key, by --model, or the key by --checksum-key."
)


def _bytes(file: Path | None) -> bytes | None:
    return None if file is None else file.read_bytes()


@command("verify", short_help="Is a history complete and unaltered?")
@words("[COLLECTION] [KEY]")
@click.option("--since", type=FILE, help="A checkpoint: only what was recorded since.")
@click.option("--public-key", type=FILE, help="The checkpoint has to be signed by it; 32 bytes.")
@CHECKSUM_KEY
def check(
    settings: Settings,
    words: tuple[str, ...],
    since: Path | None,
    public_key: Path | None,
    checksum_key: tuple[Path, ...],
) -> int:
    """
    Check a document, a class, or all that has a history, and name every fault.

    Exit codes: 0 clean, 1 faults, 2 it could not be checked, 3 only a part could be checked: such
    as where what is stored differs and only --model could say whether the class hides it.
    """
    known = _checkpoint(since, public_key)
    keys = [it.read_bytes() for it in checksum_key]
    findings: list[Finding] = []
    counts = {"documents": 0, "revisions": 0}
    unchecked: list[str] = []
    for target in _targets(settings, words, since):
        report = _verified(settings, target, known, keys)
        findings += report.all
        counts["documents"] += report.documents
        counts["revisions"] += report.revisions
        unchecked += report.unchecked
    if not settings.model:  # whose class may hide what is stored and not in the history
        doubtful = {it.document_type for it in findings if it.kind == DRIFT}
        unchecked += [f"{name}, against what is stored" for name in sorted(doubtful)]
    return _verdict(settings, findings, counts, unchecked)


def _checkpoint(since: Path | None, public_key: Path | None) -> Checkpoint | None:
    try:
        known = Checkpoint(since.read_text(encoding="utf-8")) if since else None
    except UnicodeDecodeError:
        raise click.BadParameter(f"{str(since)!r} is no checkpoint: it is no text") from None
    key = _bytes(public_key)
    if key is not None and known is None:
        raise click.UsageError("--public-key goes with --since")
    return known.signed_by(key) if known and key is not None else known


def _targets(settings: Settings, words: tuple[str, ...], since: Path | None) -> Iterator[Any]:
    if not words:
        models = settings.everything()
        yield from models
        if not models:
            yield None
        return
    model, rest = class_of(settings, words, may_be_gone=since is not None)
    if not rest:
        yield model
        return
    target = document_of(settings, words)
    if not len(target.timeline) and not target.timeline.legacy:
        target.timeline[1]  # which says that there is none
    yield target.model(pk=target.key)


def _verified(
    settings: Settings, target: Any, known: Checkpoint | None, keys: list[bytes]
) -> Verification:
    name = target.__name__ if isinstance(target, type) else "documents"
    with settings.terminal.progress(name, None) as bar:
        report = verify(target, since=known, keys=keys, progress=lambda it: bar(it.documents))
        found = report.all
    for finding in found if not settings.json else ():
        settings.terminal.line(str(finding), "red" if _is_fault(settings, finding) else "dim")
    return report


def _is_fault(settings: Settings, finding: Finding) -> bool:
    """Say whether something is wrong for sure: without the class nobody knows what it hides."""
    return finding.is_fault and (bool(settings.model) or finding.kind != DRIFT)


def _verdict(
    settings: Settings, findings: list[Finding], counts: dict[str, int], unchecked: list[str]
) -> int:
    faults = [it for it in findings if _is_fault(settings, it)]
    could_nothing = bool(unchecked) and not counts["documents"]
    code = 1 if faults else 2 if could_nothing else 3 if unchecked else 0
    if settings.json:
        told = [{name: getattr(it, name) for name in Finding.__slots__} for it in findings]
        settings.terminal.json(
            {"ok": code == 0, **counts, "findings": told, "unchecked": unchecked}
        )
        return code
    for name in unchecked:
        settings.terminal.note(f"Not checked: {name}")
    if not settings.model and any(it.kind == ALTERED for it in faults):
        settings.terminal.note(PERHAPS_KEYED)
    verdict = counted(len(faults), "fault") if faults else "no faults"
    looked = [counted(count, name.removesuffix("s")) for name, count in counts.items()]
    settings.terminal.line(f"{', '.join(looked)}: {verdict}")
    return code


@command("checkpoint", short_help="A head over many histories, to be kept elsewhere.")
@NEW_FILE
@click.option("--origin", metavar="NAME", help="Whose it is; else the names of the database.")
@click.option("--sign-with", type=FILE, help="A file with the private key: 32 bytes of Ed25519.")
def head(settings: Settings, to: Path | None, origin: str | None, sign_with: Path | None) -> int:
    """
    Make a checkpoint of all histories in the collection, or of those of --model.

    Its leaves are kept beside the history. Keep the text where nobody can change it who can change
    the history; `verify --since` takes it.
    """
    key = _bytes(sign_with)
    made = checkpoint(*settings.everything(), origin=origin, key=key, to=to)
    if settings.json:
        settings.terminal.json({"text": made.text, "size": made.size, "origin": made.origin})
    else:
        click.echo(made.text, nl=False)
    return 0


@command("proof", short_help="Prove one revision to somebody without the database.")
@words(f"{DOCUMENT} NUMBER")
@click.option("--checkpoint", "known", type=FILE, help="The last one that was kept elsewhere.")
@CHECKSUM_KEY
@NEW_FILE
def prove(
    settings: Settings,
    words: tuple[str, ...],
    known: Path | None,
    checksum_key: tuple[Path, ...],
    to: Path | None,
) -> int:
    """Write the proof that a revision was part of the history under a checkpoint."""
    target = document_of(settings, words, 1, 1)
    text = proof(
        target.model(pk=target.key),
        target.number(target.rest[0]),
        _checkpoint(known, None),
        keys=[it.read_bytes() for it in checksum_key],
    )
    if to is None:
        click.echo(text, nl=False)
    else:
        with to.open("x", encoding="utf-8", newline="") as file:
            file.write(text)
    return 0


@command("reconcile", short_help="Record what was written past the history.")
@words("[COLLECTION] [KEY]")
@writes
def record(settings: Settings, words: tuple[str, ...]) -> int:
    """Record what is stored of a document, or of all of a class, and is not in the history."""
    model, rest = class_of(settings, words)
    target = document_of(settings, words) if rest else None
    if not settings.model:
        settings.terminal.note("Without --model what the class hides is recorded, too.")
    subject = model if target is None else target.document()
    if not settings.model:
        check_unkeyed(subject)
    drift = [it for it in verify(subject) if it.kind == DRIFT]
    for finding in drift if not settings.json else ():
        settings.terminal.line(str(finding))
    if not settings.json:
        settings.terminal.line(f"Different from its history: {counted(len(drift), 'document')}.")
    if drift and agreed(settings, "Record that?"):
        return _recorded(settings, subject)
    if settings.json:
        differing = [{"collection": it.document_type, "id": it.document_id} for it in drift]
        settings.terminal.json({"written": False, "differing": differing})
    return 0


def _recorded(settings: Settings, subject: Document | type[Document]) -> int:
    is_class = isinstance(subject, type)
    with writing(settings), settings.terminal.progress("documents", None) as bar:
        said: dict[str, Any] = {"progress": lambda it: bar(it.looked)} if is_class else {}
        report = reconcile(subject, **said)
    told = f"Recorded: {counted(len(report.recorded), 'revision')}."
    settings.answer({"written": True, "recorded": [*map(_data, report.recorded)]}, told)
    for finding in report.findings:
        settings.terminal.note(str(finding))
    return 3 if report.findings else 0


def _data(it: Reconciled) -> dict[str, Any]:
    return {
        "collection": it.document_type,
        "id": it.document_id,
        "revision": it.revision,
        "operation": it.operation,
    }


@command("watch", short_help="Record what is written past the history while it happens.")
@words("[COLLECTION]...")
def follow(settings: Settings, words: tuple[str, ...]) -> int:
    """
    Follow what others write, and record it; a line for each revision, until Ctrl-C.

    It needs a replica set. Without --model what the classes hide is recorded, too.
    """
    if settings.model and words:
        raise click.UsageError("too many words")
    models = settings.models or [settings.classless(it) for it in words]
    if not models:
        raise OptionsError("model", None, "name what to watch: collections, or --model")
    for model in models if not settings.model else ():
        check_unkeyed(model)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    settings.terminal.note("Watching; Ctrl-C ends it.")
    try:
        with watch(*models) as watcher:
            for it in watcher:
                told = (
                    f"{it.document_type} {it.document_id}: revision {it.revision}, {it.operation}"
                )
                settings.answer(_data(it), told, indent=None)
    except KeyboardInterrupt:
        pass
    return 0


TRUSTING: Final = (check, head, prove, record, follow)
