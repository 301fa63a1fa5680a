"""All that one changeset recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mongoengine_history.read.recorded import Recorded, object_id
from mongoengine_history.record.committed import Committed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bson import ObjectId
    from mongoengine import Document


def changeset_of(
    changeset: ObjectId | str, *models: type[Document], using: str | None = None
) -> Iterator[Recorded]:
    """
    Iterate over the revisions of a changeset, in the order in which they were recorded. Reads only.

    Args:
        changeset: Its id: that of a block, or `Revision.changeset`; a text of 24 digits is one.
        *models: Of which classes; of everything in the history if none is given.
        using: The alias of another connection, where no class is given.

    Returns:
        Each revision with its document, in batches; nothing if the id is of no changeset. What
        cannot be read is left out, and logged.

    Raises:
        OptionsError: it is no id of a changeset, or another argument cannot be used.
    """
    key = object_id("changeset", changeset, "it is the id of a changeset, an ObjectId")
    return (Recorded(*it) for it in Committed(models, using).of_changeset(key))
