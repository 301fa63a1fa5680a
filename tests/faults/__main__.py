"""
Let writers write to a replica set of three members while things fail, and look at what is left.

    PYTHONPATH=tests python -m faults [seconds] [seed]

It takes about so many *seconds*, 60 by default. In most of them the primary steps down, stands
still or is killed, writers are killed, and commands fail, in an order that the *seed* gives.
Processes and threads write documents of tracked classes and in blocks, in four settings: w=majority
and w=1, retryWrites on and off. Then each writer that is left saves each document that it has once
more, and looks at its history.

The judge compares the journals of the writers, the oplog, and the history; it replays each state.
It prints a table, and examples of what the guarantees rule out. With w=majority any of that makes
the exit code 1. With w=1 a fail-over may take back what was acknowledged: that is shown only.

Needs a ``mongod`` (PATH, or the extra ``embedded``) of its own; ``MONGODB_URI`` is not used.
"""

from __future__ import annotations

import random
import sys
from typing import Final

from faults.findings import RULED_OUT, Findings
from faults.tables import examples, table
from faults.trial import run

SHOWN: Final = RULED_OUT
"""Of what examples are printed."""


def main(seconds: float = 60, seed: float | None = None) -> list[Findings]:
    """Run, and print the table."""
    seed = random.randrange(10**6) if seed is None else int(seed)
    print(f"{seconds:.0f} seconds, seed {seed}", flush=True)
    found = run(seconds, seed)
    print(f"\n{table(found)}\n\n{examples(found, SHOWN)}", flush=True)
    return found


if __name__ == "__main__":
    sys.exit(any(it.faults for it in main(*map(float, sys.argv[1:]))))
