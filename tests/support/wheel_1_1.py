"""The published mongoengine-history 1.1, fetched by pip into a folder and run in its own process.

Run as a script this file is that process: it calls the functions that it is told to, so that 1.1
and this package can do the same things to the same database.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import bson

RELEASE = "mongoengine-history==1.1"
TESTS = str(Path(__file__).parents[1])


def fetch(folder: Path) -> Path:
    """Install 1.1 alone below *folder*, unless it lies there already, and return where."""
    target = folder / "site"
    if not target.exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-input"]
        with tempfile.TemporaryDirectory(dir=folder) as unfinished:
            fresh = Path(unfinished) / "site"
            subprocess.run([*pip, "--target", str(fresh), RELEASE], check=True)
            with suppress(OSError):  # another process of the tests was faster
                fresh.rename(target)
    return target


class Elsewhere:
    """
    Calls functions in another process. Arguments and results travel as BSON.

    Args:
        module: The module of the functions, found from the folder of the tests.
        uri: The MongoDB server that MongoEngine is connected to there.
        database: Its default database there.
        wheel: The folder that `fetch` returned; None for the package that is imported here.
        timezone: ``TZ`` of that process; None for the one of this process.
    """

    def __init__(
        self,
        module: str,
        uri: str,
        database: str,
        *,
        wheel: Path | None = None,
        timezone: str | None = None,
    ) -> None:
        path = os.pathsep.join([str(wheel), TESTS] if wheel else [TESTS])
        environment = {**os.environ, "PYTHONPATH": path}
        if timezone:
            environment["TZ"] = timezone
        self._process = subprocess.Popen(
            [sys.executable, __file__, module, uri, database, str(wheel or "")],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def call(self, function: str, *args: Any) -> Any:
        """Call a function of the module; a failure there ends that process."""
        process = self._process
        assert process.stdin
        assert process.stdout
        print(_text([function, *args]), file=process.stdin, flush=True)
        answer = process.stdout.readline()
        assert answer, f"{function} failed in the other process; see its error output"
        return _value(answer)

    def __enter__(self) -> Elsewhere:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.communicate()


Start = Callable[..., Elsewhere]


def _text(value: Any) -> str:
    return bson.encode({"": value}).hex()


def _value(text: str) -> Any:
    return bson.decode(bytes.fromhex(text.strip()))[""]


def _serve(module: str, uri: str, database: str, wheel: str) -> None:
    import mongoengine

    import mongoengine_history

    is_wheel = bool(wheel) and Path(mongoengine_history.__file__).is_relative_to(wheel)
    assert is_wheel == bool(wheel), f"the wrong package: {mongoengine_history.__file__}"
    functions = importlib.import_module(module)
    mongoengine.connect(database, host=uri, uuidRepresentation="standard")
    for line in sys.stdin:
        name, *args = _value(line)
        print(_text(getattr(functions, name)(*args)), flush=True)


if __name__ == "__main__":
    _serve(*sys.argv[1:])
