"""
Measure this package against the published 1.1 and against plain MongoEngine, and print tables.

    PYTHONPATH=tests python -m benchmarks all --revisions FOLDER --docs docs
    PYTHONPATH=tests python -m benchmarks page --docs docs
    PYTHONPATH=tests python -m benchmarks reading 0.01

"all" measures what ``docs/speed.md`` shows. With ``--docs`` it writes ``speed.json``, and from that
the plots and the table of the page; "page" makes these again. Else one part is measured, and its
module tells what that is. A number behind makes more or fewer turns.

The server is that of ``MONGODB_URI``, else an embedded one. 1.1 is fetched by pip and runs in a
process and a database of its own, and each part in a process of its own. Operations take turns
(plain, tracked, plain, tracked by 1.1), so that a busy moment of the machine meets all of them;
ratios are medians of the ratios within a turn.

``--revisions`` names a folder of files as the demo replays them; without it nothing is told of what
real revisions take on the disk.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from pathlib import Path
from typing import Final

from benchmarks import page
from benchmarks.run import Run, measure
from support.wheel_1_1 import fetch

from mongoengine_history.embedded import server_uri

#: What the page is made of, and what else can be measured.
SHOWN: Final = (
    *("saves", "atomic", "writers", "reading", "bulk"),
    *("loading", "trust", "browsing", "storage"),
)
OTHERS: Final = ("images", "watching")


def measured(options: argparse.Namespace) -> Run:
    """Measure one part, or all of them one after another."""
    parts = SHOWN if options.part == "all" else [options.part]
    with server_uri() as uri, tempfile.TemporaryDirectory() as folder:
        wheel = fetch((options.wheel or Path(folder)).resolve())
        run = Run(uri, wheel, options.factor, options.revisions)
        for part in parts:
            start = time.monotonic()
            run = measure(part, run)
            print(f"\n{part}: {time.monotonic() - start:.0f} s", flush=True)
        run.look_around()
    return run


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks")
    parts = ["all", "page", *SHOWN, *OTHERS]
    parser.add_argument("part", nargs="?", default="saves", choices=parts)
    parser.add_argument("factor", nargs="?", default=1.0, type=positive)
    parser.add_argument("--revisions", type=folder, help="folder of real revisions")
    parser.add_argument("--docs", type=folder, help="folder of speed.md, which is written")
    parser.add_argument("--wheel", type=Path, help="folder in which 1.1 lies, or is put")
    options = parser.parse_args()
    if options.docs and not (options.docs / page.PAGE).exists():
        parser.error(f"there is no {page.PAGE} in {options.docs}")
    if options.part == "page" and not options.docs:
        parser.error("the page is made anew in a folder: --docs")
    return options


def folder(text: str) -> Path:
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"{text} is no folder")
    return Path(text)


def positive(text: str) -> float:
    if not 0 < float(text) < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is no number above 0")
    return float(text)


def main() -> None:
    options = parsed()
    if options.part != "page":
        run = measured(options)
        page.show(run)
        if options.docs:
            page.keep(run, options.docs)
    if options.docs:
        page.publish(options.docs)


if __name__ == "__main__":
    main()
