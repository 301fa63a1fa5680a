"""Findings as a table: Markdown, with columns that are aligned for those who read it as text."""

from __future__ import annotations

from collections.abc import Sequence

from faults.findings import COUNTED, Findings


def table(found: Sequence[Findings]) -> str:
    """Return a line for each count, with a column for each setting."""
    rows = [["", *(it.setting for it in found)]]
    rows += [[text, *(f"{it.counts[name]:,}" for it in found)] for name, text in COUNTED.items()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])])
    return "\n".join(_line(cells, widths) for cells in rows)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    padded = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
    return f"| {' | '.join(padded)} |"


def examples(found: Sequence[Findings], names: Sequence[str]) -> str:
    """Return what was found of these kinds, a line each."""
    return "\n".join(
        f"{it.setting}: {COUNTED[name]}: {example}"
        for it in found
        for name in names
        for example in it.examples.get(name, ())
    )
