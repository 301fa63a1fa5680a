"""
Measure this package against the published 1.1 and against plain MongoEngine, and print tables.

    PYTHONPATH=tests python -m benchmarks [saves] [factor]
    PYTHONPATH=tests python -m benchmarks images [factor]
    PYTHONPATH=tests python -m benchmarks reading [factor]
    PYTHONPATH=tests python -m benchmarks writers [factor]
    PYTHONPATH=tests python -m benchmarks queries [factor]
    PYTHONPATH=tests python -m benchmarks bulk [factor]
    PYTHONPATH=tests python -m benchmarks trust [factor]
    PYTHONPATH=tests python -m benchmarks watching [factor]
    PYTHONPATH=tests python -m benchmarks browsing [factor]

The module of each part tells what it measures.

The server is that of ``MONGODB_URI``, else an embedded one. 1.1 is fetched by pip and runs in a
process and a database of its own. Operations take turns (plain, tracked, plain, tracked by 1.1),
so that a busy moment of the machine meets all of them; ratios are medians of the ratios within a
turn. A *factor* makes more or fewer turns.
"""

from __future__ import annotations

import sys

from benchmarks import browsing, bulk, images, queries, reading, saves, trust, watching, writers

PARTS = {
    part.__name__.rpartition(".")[2]: part.main
    for part in (saves, images, reading, writers, queries, bulk, trust, watching, browsing)
}


def run(arguments: list[str]) -> None:
    """Run the part that is named first, else the measurements of saves."""
    name, *others = arguments if arguments[:1] and arguments[0] in PARTS else ["saves", *arguments]
    PARTS[name](*map(float, others))


if __name__ == "__main__":
    run(sys.argv[1:])
