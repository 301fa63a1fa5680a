"""The application's classes, by their names."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from mongoengine import Document

from mongoengine_history import track_history
from mongoengine_history.documents.options import is_tracked
from mongoengine_history.state.wording import shortened

if TYPE_CHECKING:
    from types import ModuleType

LONGEST_WHY: Final = 300


def imported(name: str) -> type[Document]:
    """
    Import a class of the application, which is named as ``package.module:Class``.

    All that is written to it is recorded, also where the application only watches single documents.

    Raises:
        click.BadParameter: there is none, or it has no documents.
    """
    module, _, path = name.partition(":")
    if not module or not path:
        raise click.BadParameter(f"{name!r} does not look like package.module:Class")
    found: Any = _module(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    if not isinstance(found, type) or not issubclass(found, Document):
        raise click.BadParameter(f"{path!r} in {module} is no class of documents")
    model: Any = found
    if model._meta.get("abstract"):
        raise click.BadParameter(f"{path!r} is abstract, and has no documents")
    tracked: type[Document] = model if is_tracked(model) else track_history(model)
    return tracked


def _module(name: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:  # as `python -m` has it
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except Exception as error:  # whatever the application's own code raises
        why = shortened(f"{type(error).__name__}: {error}", LONGEST_WHY)
        raise click.BadParameter(f"the module {name!r} cannot be imported: {why}") from error
