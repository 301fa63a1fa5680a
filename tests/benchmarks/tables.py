"""Tables as Markdown, a line at a time."""

from __future__ import annotations

from collections.abc import Sequence


def show(cells: Sequence[str]) -> None:
    """Print one line."""
    print("|", " | ".join(cells), "|", flush=True)


def show_head(title: str, cells: Sequence[str]) -> None:
    """Print what stands above a table, and its first two lines."""
    print(f"\n{title}\n")
    show(cells)
    show(["---"] * len(cells))
