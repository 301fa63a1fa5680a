"""Celery: each run of a task is a changeset, and who enqueued the task answers for it."""

from __future__ import annotations

from base64 import b64decode, b64encode
from contextlib import ExitStack
from contextvars import ContextVar
from typing import Any, Final

import bson
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from celery import signals

from mongoengine_history import changeset

__all__ = ["connect_celery"]

HEADER: Final = "mongoengine_history"
"""Who enqueued a message, and why. BSON, since JSON has no type for most identities."""

_CODEC: Final = CodecOptions[dict[str, Any]](uuid_representation=UuidRepresentation.STANDARD)

_runs: ContextVar[tuple[ExitStack, ...]] = ContextVar("mongoengine_history_runs", default=())


def connect_celery() -> None:
    """
    Make each run of a task a changeset, in all Celery applications of this process.

    Call it where tasks are enqueued and where they run: the module that makes the application is
    the place for both. Calling it again changes nothing.

    All that a run writes shares an id, and ``task``, the name, and ``task_id`` as metadata.
    Identity and reason are those of the changeset in which the task was enqueued. They travel in a
    header of the message, so whoever can write to the broker can say who answers. A task that was
    enqueued outside of a changeset is nobody's. One with an identity that cannot be sent is, too:
    Celery logs what goes wrong in a signal, and goes on.
    """
    signals.before_task_publish.connect(_publish)
    signals.task_prerun.connect(_begin)
    signals.task_postrun.connect(_end)


def _publish(headers: dict[str, Any], **_: Any) -> None:
    with changeset() as current:  # what it has is what the blocks around it say
        who = current.identity
        said = {"identity": getattr(who, "pk", who), "reason": current.reason}
    if any(value is not None for value in said.values()):
        headers[HEADER] = b64encode(bson.encode(said, codec_options=_CODEC)).decode()


def _begin(task: Any, task_id: str, **_: Any) -> None:
    run = ExitStack()
    _runs.set((*_runs.get(), run))  # first, so that the end finds it whatever comes
    sent = task.request.get(HEADER)
    said = bson.decode(b64decode(sent), _CODEC) if sent else {}
    run.enter_context(changeset(**said, task=task.name, task_id=task_id))


def _end(**_: Any) -> None:
    *outer, run = _runs.get()
    _runs.set(tuple(outer))
    run.close()
