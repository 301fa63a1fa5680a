"""The command `python -m mongoengine_history demo`, as a newcomer runs it."""

from __future__ import annotations

import json
import lzma
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import bson
import pytest
from pymongo import MongoClient
from support.fetching import fetched
from support.running import running

from mongoengine_history.demo import program
from mongoengine_history.demo.order import Order
from mongoengine_history.embedded import NO_SERVER, NoServerError, find_mongod

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Write = Callable[[Sequence[Any]], Path]

# What the oldest dependencies deprecate on the newest Python is none of the demo's business.
STRICT = ["-W", "error", "-W", "ignore::DeprecationWarning"]
COMMAND = [sys.executable, *STRICT, "-m", "mongoengine_history", "demo"]
UNREACHABLE = "mongodb://ann:s3cret@127.0.0.1:1/"

ROW = re.compile(r" *(\d+)  (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3})  (\S+) +(.*?)  +([+~-] .*)")

TRICKY = [
    {"name": "a", "dependencies": {"left.pad": "^1.0", "@types/node": "1", "": "root"}},
    {"name": "a", "dependencies": {"@types/node": "1", "left.pad": "^1.0", "": "root"}},
    {"name": "a", "dependencies": {"@types/node": "1", "left.pad": "^1.0", "": "root"}},
    {"$schema": "x", "name": {"$set": {"a.b": None}, "0": ["null"]}, "_id": 7, "_cls": "Nobody"},
    {"hooks": [{"id": "one", "v": 1}, {"id": "two", "v": 2}, {"id": "three", "v": 3}, [], {}]},
    {"hooks": [{"id": "three", "v": 3}, {"id": "zero"}, {"id": "one", "v": 1.0}, {"id": "two"}]},
    {"hooks": [{"id": "three", "v": True}, {"v": 2, "id": "two"}], "none": None, "": ""},
    {},
    {"hooks": [], "big": 2**53, "text": "äöü \u2028 €", "deep": {"er": {"a": {"b": [[1], [[2]]]}}}},
    {"deep": {"er": {"a": {"b": [[[2]], [1]]}}}, "hooks": [], "text": "äöü \u2028 €", "big": 2**53},
    {"name": "a", "dependencies": {"left.pad": "^1.0", "@types/node": "1", "": "root"}},
]
FALLING = [f"2024-03-{20 - day:02}T12:00:00.500+02:00" for day in range(len(TRICKY))]


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Let it forget its connection; MongoEngine may know another class of its name by now."""
    yield
    Order._disconnect()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run the command apart from the working folder; give what it returned and wrote."""

    def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [*COMMAND, *map(str, arguments)]
        # A variable that is set to nothing counts as unset.
        env = {**os.environ, "MONGODB_URI": "", "PYTHONIOENCODING": "utf-8", **environment}
        return subprocess.run(
            command, cwd=tmp_path, env=env, capture_output=True, encoding="utf-8", check=False
        )

    return run


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write states as a file of revisions."""

    def write(states: Sequence[Any], name: str = "life.jsonl.xz") -> Path:
        file = tmp_path / name
        pack = lzma.compress if name.endswith(".xz") else bytes
        file.write_bytes(pack("\n".join(map(line_of, states, FALLING)).encode()))
        return file

    return write


def line_of(state: Any, at: str = "2024-02-29T10:00:00Z") -> str:
    entry = {"at": at, "author": "ann", "message": "why\nand how", "state": state}
    return json.dumps(entry, ensure_ascii=False)


def rows(output: str) -> list[tuple[str, ...]]:
    """Find the first lines of the revisions in all tables of *output*."""
    found = map(ROW.fullmatch, output.splitlines())
    return [match.groups() for match in found if match]


def last_line(output: str) -> str:
    return output.splitlines()[-1]


def databases(uri: str) -> set[str]:
    """All but those of the tests, which may run in another process, too."""
    with MongoClient[Any](uri) as client:
        names = client.list_database_names()
    return {name for name in names if not name.startswith("history_test_")}


class TestTheExample:
    def test_ends_with_the_exact_bson(self, run: Run, mongodb_uri: str) -> None:
        ended = run("--uri", mongodb_uri)
        verdict = r"The stored BSON is the old one: 8 of 8 fields, \d{3} bytes"
        assert re.fullmatch(verdict, ended.stdout.splitlines()[-3])
        assert last_line(ended.stdout).endswith("python -m mongoengine_history demo --browse")
        assert (ended.returncode, ended.stderr) == (0, "")

    def test_begins_with_the_one_line_that_it_takes(self, run: Run, mongodb_uri: str) -> None:
        output = run("--uri", mongodb_uri).stdout
        assert "    @track_history\n    class Order(Document):\n" in output
        assert output.index("@track_history") < output.index('with changeset("ben"')

    def test_shows_who_changed_what_when_and_why(self, run: Run, mongodb_uri: str) -> None:
        earliest = datetime.now(timezone.utc).replace(tzinfo=None, microsecond=0)
        output = run("--uri", mongodb_uri).stdout
        found = rows(output)
        assert [row[0] for row in found] == ["1", "2", "3", "4", "5", "6"]
        assert [row[2] for row in found] == ["anna", "ben", "chloe", "dev", "eve", "anna"]
        assert found[2][3:] == ("Frida has moved", '~ address.street: "Elm Way 7" -> "Quay 12"')
        times = [datetime.fromisoformat(row[1]) for row in found]
        assert earliest <= times[0]
        assert times == sorted(times)
        for change in ("+ lines[0]: {", "- lines[2]: {", '+ notes["paid.by"]: "card"'):
            assert change in output

    def test_fits_on_a_page(self, run: Run, mongodb_uri: str) -> None:
        lines = run("--uri", mongodb_uri).stdout.splitlines()
        assert len(lines) < 60
        assert max(map(len, lines)) <= 100
        assert all(line.isascii() for line in lines)

    def test_leaves_nothing_behind(self, run: Run, mongodb_uri: str) -> None:
        before = databases(mongodb_uri)
        assert run("--uri", mongodb_uri).returncode == 0
        assert databases(mongodb_uri) == before

    def test_shows_the_history_in_a_browser(self, mongodb_uri: str) -> None:
        before = databases(mongodb_uri)
        command = [*COMMAND, "--uri", mongodb_uri, "--browse"]
        with running(command, stdout=subprocess.PIPE) as process:
            address = next(line.split()[1] for line in process.stdout if line.startswith("Open "))
            assert "Frida has moved" in fetched(address)
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
        assert databases(mongodb_uri) == before

    def test_the_browser_names_its_extra_before_anything_is_done(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setitem(sys.modules, "a2wsgi", None)
        monkeypatch.delitem(sys.modules, "mongoengine_history.web.browser", raising=False)
        assert program.main(["--uri", UNREACHABLE, "--browse"]) == 2
        assert 'pip install "mongoengine-history[web]"' in capsys.readouterr().err

    def test_never_uses_the_database_that_the_uri_names(self, run: Run, mongodb_uri: str) -> None:
        with MongoClient[Any](mongodb_uri) as client:
            client.history_test_precious.order.insert_one({"_id": 1})
            try:
                named = urlsplit(mongodb_uri)._replace(path="/history_test_precious").geturl()
                assert run("--uri", named).returncode == 0
                assert client.history_test_precious.list_collection_names() == ["order"]
                assert client.history_test_precious.order.count_documents({}) == 1
            finally:
                client.drop_database("history_test_precious")

    def test_says_which_server_it_uses(self, run: Run, mongodb_uri: str) -> None:
        ended = run(MONGODB_URI=mongodb_uri)
        assert ended.returncode == 0
        assert ended.stdout.startswith("MongoDB at ")

    def test_prefers_the_server_that_is_given(self, run: Run, mongodb_uri: str) -> None:
        assert run("--uri", mongodb_uri, MONGODB_URI=UNREACHABLE).returncode == 0

    def test_brings_its_own_server(self, run: Run) -> None:
        try:
            find_mongod()
        except NoServerError:
            pytest.skip("there is no mongod to start")
        ended = run()
        assert ended.stdout.startswith("An embedded MongoDB")
        assert (ended.returncode, ended.stderr) == (0, "")

    def test_fails_if_something_else_came_back(
        self, mongodb_uri: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr("mongoengine_history.demo.order.revert", lambda order: order)
        assert program.main(["--uri", mongodb_uri]) == 1
        verdict = "The stored BSON is another one: status, paid, lines, address, tags, notes"
        assert capsys.readouterr().out.splitlines()[-3] == verdict

    def test_stops_quietly_when_nobody_reads_on(self, mongodb_uri: str, tmp_path: Path) -> None:
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen([*COMMAND, "--uri", mongodb_uri], cwd=tmp_path, **pipes) as process:
            process.stdout.close()
            assert process.stderr.read() == b""
        assert process.returncode == 1


class TestTheReplay:
    @pytest.mark.parametrize("name", ["life.jsonl.xz", "life.jsonl"])
    def test_takes_every_state_back(
        self, run: Run, write: Write, mongodb_uri: str, name: str
    ) -> None:
        ended = run("--uri", mongodb_uri, "--replay", write(TRICKY, name))
        assert last_line(ended.stdout) == "11 of 11 states came back exactly"
        # The third state is the second one, and so no revision.
        assert "11 states are 10 revisions in " in ended.stdout
        assert (ended.returncode, ended.stderr) == (0, "")

    def test_shows_the_last_revisions_at_the_times_of_their_authors(
        self, run: Run, write: Write, mongodb_uri: str
    ) -> None:
        output = run("--uri", mongodb_uri, "--replay", write([{"n": n} for n in range(11)])).stdout
        found = rows(output)
        assert [row[0] for row in found] == [str(number) for number in range(2, 12)]
        newest = ("11", "2024-03-10 10:00:00.500", "ann", "why and how", "~ state.n: 9 -> 10")
        assert found[-1] == newest
        assert found[0][1] > found[-1][1]

    def test_tells_how_much_is_stored(self, run: Run, write: Write, mongodb_uri: str) -> None:
        output = run("--uri", mongodb_uri, "--replay", write([{"n": 1}, {"n": 1}, {"n": 2}])).stdout
        assert "3 states are 2 revisions in 2 records." in output
        # An object with one int is 4 + 1 + 2 + 4 + 1 bytes of BSON.
        assert re.search(r"The history has 0\.\d KB, all states in full have 0\.0 KB\.", output)

    def test_counts_the_states_that_do_not_come_back(
        self,
        write: Write,
        mongodb_uri: str,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setattr(
            "mongoengine_history.demo.replay.revert", lambda document, **_: document
        )
        file = str(write([{"n": 1}, {"n": True}, {"n": True}]))
        assert program.main(["--uri", mongodb_uri, "--replay", file]) == 1
        assert capsys.readouterr().out.splitlines()[-2:] == [
            "State 1 (revision 1) is another one.",
            "2 of 3 states came back exactly",
        ]

    def test_draws_a_bar_on_a_terminal(
        self,
        write: Write,
        mongodb_uri: str,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
        file = str(write([{"n": 1}, {"n": 2}]))
        assert program.main(["--uri", mongodb_uri, "--replay", file]) == 0
        drawn = capsys.readouterr().err.split("\r")
        assert f"recording [{'#' * 20}{'.' * 20}] 1/2" in drawn
        assert f"taking back [{'#' * 20}{'.' * 20}] 1/2" in drawn
        assert drawn[-2].isspace()
        assert drawn[-1] == ""


# PyMongo says it otherwise where it has no C.
TOO_LARGE = f"{'MongoDB' if bson.has_c() else 'BSON'} can only handle up to 8-byte ints"


class TestErrors:
    """One clear line on standard error, exit code 2."""

    @staticmethod
    def told(ended: subprocess.CompletedProcess[str]) -> str:
        assert ended.returncode == 2
        assert ended.stdout == ""
        assert re.fullmatch(r"error: .+\n", ended.stderr)
        return ended.stderr

    def test_a_server_that_does_not_answer(self, run: Run) -> None:
        message = self.told(run("--uri", UNREACHABLE))
        assert "No MongoDB answers at 127.0.0.1:1 within 5 s." in message

    def test_an_address_that_is_none(self, run: Run) -> None:
        message = self.told(run("--uri", "mongodb://ann:12s3cret/3@host"))
        assert "mongodb://localhost:27017" in message
        assert "s3cret" not in message

    def test_no_server_at_all(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def nothing() -> None:
            raise NoServerError(NO_SERVER)

        monkeypatch.delenv("MONGODB_URI", raising=False)
        monkeypatch.setattr(program, "embedded_server", nothing)
        assert program.main([]) == 2
        message = capsys.readouterr().err
        assert message.count("\n") == 1
        assert 'pip install "mongoengine-history[embedded]"' in message

    def test_an_interruption(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupted() -> None:
            raise KeyboardInterrupt

        monkeypatch.delenv("MONGODB_URI", raising=False)
        monkeypatch.setattr(program, "embedded_server", interrupted)
        assert program.main([]) == 130

    def test_a_file_that_is_not_there(self, run: Run) -> None:
        assert self.told(run("--replay", "nothing.jsonl.xz")).endswith(
            "nothing.jsonl.xz cannot be read: No such file or directory\n"
        )

    @pytest.mark.parametrize(
        ("content", "problem"),
        [
            (b"", " has no revisions"),
            (lzma.compress(line_of({}).encode())[:-20], " cannot be read: Compressed data ended"),
            (b"{]", ", line 2: no JSON at column 2"),
            (b"\xff\xfe\xfd", ", line 2: "),
            (b"[1]", ', line 2: "author" must be there and be a text'),
            (line_of({}, "yesterday").encode(), ", line 2: Invalid isoformat string: 'yesterday'"),
            (line_of({}, "2024-02-29T10:00:00").encode(), ', line 2: "at" must have an offset'),
            (
                line_of({}, "0001-01-01T00:00:00+09:00").encode(),
                ", line 2: date value out of range",
            ),
            (line_of([]).encode(), ', line 2: "state" must be there and be an object'),
            (line_of({"n": 2**63}).encode(), f", line 2: {TOO_LARGE}"),
            (line_of({"a\0": 1}).encode(), ", line 2: "),
            (b"[" * 100_000, ", line 2: "),
        ],
    )
    def test_a_file_with_something_else(
        self, run: Run, tmp_path: Path, content: bytes, problem: str
    ) -> None:
        file = tmp_path / "broken.jsonl"
        good = line_of({}).encode() + b"\n" if "line 2" in problem else b""
        file.write_bytes(good + content)
        assert self.told(run("--replay", file)).startswith(f"error: {file}{problem}")

    def test_help_describes_the_file(self, run: Run) -> None:
        ended = run("--help")
        assert ended.returncode == 0
        assert ended.stdout.startswith("usage: python -m mongoengine_history demo")
        assert '{"at": "2024-05-02T09:30:00+02:00", "author": "ann"' in ended.stdout
