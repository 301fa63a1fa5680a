"""Plots as SVG, which can be read on white and on black."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import matplotlib as mpl
from benchmarks.run import Point
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

GREY: Final = "#808080"
COLOURS: Final = ("#3b8fd9", "#e08a1e", "#2fa36b", "#c45c9c", "#9a7b4f", "#7a6fd0")

STYLE: Final[dict[str, Any]] = {
    **{f"{it}.color": GREY for it in ("text", "xtick", "ytick", "grid")},
    **{f"axes.{it}": GREY for it in ("edgecolor", "labelcolor")},
    **{f"axes.spines.{it}": False for it in ("top", "right")},
    "axes.grid": True,
    "axes.prop_cycle": mpl.cycler(color=COLOURS),
    "font.family": "sans-serif",
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "savefig.transparent": True,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "the same each time",
}


class Plot(NamedTuple):
    """What stands at the axes."""

    x: str
    y: str


PLOTS: Final = {
    "size": Plot("bytes of the document", "a save of one change, x plain"),
    "changes": Plot("fields changed in one save", "a save, x plain"),
    "length": Plot("revisions of the document", "ms"),
    "storage": Plot("", "kB on the disk"),
}


def draw(points: Sequence[Point], folder: Path) -> None:
    """Make a file of each plot that has points."""
    folder.mkdir(exist_ok=True)
    for name in PLOTS:
        own = [point for point in points if point.plot == name]
        if own:
            with mpl.rc_context(STYLE):
                _save(_drawn(PLOTS[name], own), told(own), folder / f"{name}.svg")


def told(points: Sequence[Point]) -> str:
    """Say what a plot shows, for those who do not see it; this stands in the file."""
    return "; ".join(f"{it.line}, {it.x}: {it.y:.4g}" for it in points)


def _save(figure: Figure, text: str, file: Path) -> None:
    figure.savefig(file, metadata={"Date": None, "Creator": None, "Description": text})


def _drawn(plot: Plot, points: Sequence[Point]) -> Figure:
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.add_subplot(xlabel=plot.x, ylabel=plot.y, yscale="log")
    lines = {point.line: [it for it in points if it.line == point.line] for point in points}
    for place, (name, own) in enumerate(lines.items()):
        xs, ys = [it.x for it in own], [it.y for it in own]
        if isinstance(xs[0], str):  # one bar of each line stands at each of the texts
            width = 0.8 / len(lines)
            left = (place + 0.5) * width - 0.4
            axes.bar([at + left for at in range(len(xs))], ys, width, label=name)
            axes.set_xticks(range(len(xs)), xs)
            axes.grid(visible=False, axis="x")
        else:
            axes.plot(xs, ys, label=name, marker="o")
            axes.set(xscale="log")
            _plain_numbers(axes.xaxis)
    _plain_numbers(axes.yaxis)
    figure.legend(loc="outside upper left", ncols=3)
    return figure


def _plain_numbers(axis: Any) -> None:
    """Let numbers stand at an axis, not powers of ten."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(StrMethodFormatter("{x:,g}"))
