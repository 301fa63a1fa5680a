"""The command line, called in this process as a shell would."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from pymongo.database import Database

from mongoengine_history.cli.main import main


class Ended(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


Run = Callable[..., Ended]


@pytest.fixture
def run(
    database: Database[Any],
    mongodb_uri: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Run a command on the database of the tests; what is typed is a terminal if that is *seen*."""

    def run(*arguments: object, answer: str = "", seen: bool = False, **environment: str) -> Ended:
        monkeypatch.setenv("COLUMNS", "80")
        monkeypatch.setenv("MONGODB_URI", mongodb_uri)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        typed = io.StringIO(answer)
        monkeypatch.setattr(typed, "isatty", lambda: seen, raising=False)
        monkeypatch.setattr("sys.stdin", typed)
        capsys.readouterr()
        code = main(["--database", database.name, *map(str, arguments)])
        return Ended(code, *capsys.readouterr())

    return run
