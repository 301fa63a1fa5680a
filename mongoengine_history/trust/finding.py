"""What a check of a history finds: faults, and what is only worth knowing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

MISSING: Final = "missing"
"""Revisions, or records of one, are not there."""

MALFORMED: Final = "malformed"
"""A document of the history cannot be read."""

ALTERED: Final = "altered"
"""A revision is not what its checksum was made of, or does not follow the one before."""

UNCHAINED: Final = "unchained"
"""A revision has no checksum, where those before it have one."""

REPLAY: Final = "replay"
"""A revision does not fit the state before it."""

OTHER_VERSION: Final = "version"
"""A full state is another one than the revisions lead to."""

DRIFT: Final = "drift"
"""The stored document is not as the newest revision left it."""

IN_CLEAR: Final = "in clear"
"""The history holds a value that the rules of the class hide."""

NOT_CHAINED: Final = "not chained"
"""The first revisions are older than checksums, or than the key of them: no fault."""

PRUNED: Final = "pruned"
"""What a checkpoint has seen was taken away by retention since: no fault."""

NOTES: Final = (NOT_CHAINED, PRUNED)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found out about one history."""

    #: Name of the collection of the document.
    document_type: str
    #: Its primary key, as it is stored.
    document_id: Any
    #: The revision it is about; 0 is the state before the first one.
    revision: int
    #: ``missing``, ``malformed``, ``altered``, ``unchained``, ``replay``, ``version``, ``drift``,
    #: ``in clear``; or ``not chained`` and ``pruned``, which are no faults; later releases may
    #: have more.
    kind: str
    #: What it is, in words. Names no stored value.
    what: str

    def __hash__(self) -> int:
        return hash((self.document_type, self.revision, self.kind, self.what))

    def __str__(self) -> str:
        where = f"{self.document_type} {self.document_id!r}, revision {self.revision}"
        return f"{where}: {self.kind}: {self.what}"

    @property
    def is_fault(self) -> bool:
        """Say whether something is wrong."""
        return self.kind not in NOTES
