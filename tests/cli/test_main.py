"""What is wrong is told in a line, with an exit code, and no password ever."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from click.shell_completion import BashComplete
from pymongo.database import Database
from support.fetching import fetched
from support.running import running
from support.shelves import HOOK, Loose, Shelf, hook, raw_collection

from mongoengine_history import __version__, changeset, history_of
from mongoengine_history.cli.main import SECTIONS, commands, main
from mongoengine_history.cli.values import moment_of, readings, zone_of

PROGRAM = [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning"]
PROGRAM += ["-m", "mongoengine_history"]

SECRET = "s3cr%40t/p:w"


@pytest.fixture
def program(mongodb_uri: str, database: Database[Any], tmp_path: Path) -> Any:
    """Run the program in a process of its own, in an empty folder."""

    def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "MONGODB_URI": mongodb_uri, "PYTHONIOENCODING": "utf-8", **environment}
        command = [*PROGRAM, "--database", database.name, *map(str, arguments)]
        return subprocess.run(
            command, cwd=tmp_path, env=env, capture_output=True, encoding="utf-8", check=False
        )

    return run


class TestErrors:
    """One line on standard error, exit code 2, nothing on standard output."""

    @staticmethod
    def told(ended: Any) -> str:
        assert (ended.code, ended.out) == (2, "")
        assert "Traceback" not in ended.err
        return str(ended.err)

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["log", "hook", "nobody"], "has no history"),
            (["log", "nothing", "1"], "has no history"),
            (["show", "hook", "door", "9"], "has no revision 9"),
            (["show", "hook", "door", "-9"], "has no revision"),
            (["show", "hook", "door", "first"], "is no revision"),
            (["show", "hook", "door"], "a word is missing"),
            (["log", "hook", "door", "x"], "too many words"),
            (["log", "hook"], "name the key"),
            (["log"], "name the collection"),
            (["state", "hook", "door", "0"], "did not exist"),
            (["blame", "hook", "door", "nothing.there"], "no revision"),
            (["log", "hook", "door", "--since", "some day"], "ISO 8601"),
            (["--zone", "Atlantis/City", "log", "hook", "door"], "no time zone"),
            (["log", "-m", "support.shelves", "door"], "package.module:Class"),
            (["log", "-m", "support.nowhere:Hook", "door"], "cannot be imported"),
            (["log", "-m", "support.shelves:Nobody", "door"], "no class of documents"),
            (["log", "-m", "support.shelves:Base", "door"], "abstract"),
            (["log", "-m", "support.shelves:Shelf", "zz"], "no ObjectIdField"),
            (["log", "-m", HOOK, "-m", HOOK, "door"], "one --model"),
            (["revert", "hook", "door", "9", "-y"], "has no revision 9"),
            (["restore", "hook", "nobody", "-y"], "has no history"),
            (["export", "hook", "door", "--format", "xml"], "xml"),
            (["nothing"], "nothing"),
            (["log", "--nothing"], "--nothing"),
            (["show", "hook", "door", "-1", "--nothing"], "too many words"),
        ],
    )
    def test_what_is_not_there_or_wrong(self, run: Any, words: list[str], said: str) -> None:
        hook()
        ended = run(*words)
        if words[0] == "blame":
            assert "No revision" in ended.err
            return
        assert said in self.told(ended)

    def test_nothing_is_found_as_json_either(self, run: Any) -> None:
        hook()
        self.told(run("log", "hook", "nobody", "--json"))
        assert run("log", "hook", "door", "--by", "nobody", "--json").data == []

    def test_no_server(self, run: Any) -> None:
        uri = f"mongodb://ann:{SECRET.replace('/', '%2F').replace(':', '%3A')}@127.0.0.1:1/shop"
        told = self.told(run("log", "hook", "door", "--uri", uri))
        assert told == "error: No MongoDB answers at 127.0.0.1:1 within 5 s.\n"

    @pytest.mark.parametrize(
        "uri",
        [
            "mongodb://ann:s3cret/3@host",
            "mongodb://ann:s3cret@",
            "http://ann:s3cret@localhost",
            "mongodb://ann:s3cret@localhost/?authSource=s3cret&nothing=s3cret",
        ],
    )
    def test_a_uri_that_is_none_is_not_repeated(self, run: Any, uri: str) -> None:
        for place in (["--uri", uri, "stats"], ["stats"]):
            ended = run(*place, MONGODB_URI=uri)
            assert ended.code == 2
            assert "s3cret" not in ended.out + ended.err

    def test_a_wrong_password(self, run: Any, mongodb_uri: str) -> None:
        host = mongodb_uri.partition("://")[2].rpartition("@")[2]
        ended = run("--uri", f"mongodb://ann:s3cr%40t@{host}", "stats")
        told = self.told(ended)
        assert "uthentication" in told
        assert "s3cr" not in told

    def test_no_server_is_named(self, run: Any) -> None:
        assert "MONGODB_URI" in self.told(run("stats", MONGODB_URI=""))

    def test_no_database_is_named(
        self, mongodb_uri: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["--uri", mongodb_uri, "stats"]) == 2
        assert "--database" in capsys.readouterr().err


def test_options_may_stand_before_and_behind_the_command(run: Any) -> None:
    hook()
    before = run("--json", "-m", HOOK, "--zone", "Asia/Tokyo", "show", "door", 1)
    behind = run("show", "door", "-m", HOOK, "--zone", "Asia/Tokyo", 1, "--json")
    assert before.data == behind.data
    assert before.data["when"].endswith("JST")


@pytest.mark.parametrize("key", [7, "7", "65e5f0a1b2c3d4e5f6a7b8c9", "a b", "x.y", 2.5])
def test_a_key_is_found_by_what_it_looks_like(run: Any, key: Any, database: Any) -> None:
    from mongoengine_history.faces.classless import classless

    document = classless("keys")
    raw_collection("keys").insert_one({"_id": key, "n": 1})
    document.objects(id=key).update(__raw__={"$set": {"n": 2}})
    assert run("state", "keys", key, 1).data == {"n": 2}
    assert run("state", "keys", json.dumps(key), 1).data == {"n": 2}


def test_the_longest_reading_of_a_text_comes_last() -> None:
    assert [*readings("7")] == [7, "7"]
    assert [*readings('"7"')] == ["7", '"7"']
    assert len([*readings("65e5f0a1b2c3d4e5f6a7b8c9")]) >= 2
    assert moment_of("2026-05-02", zone_of("UTC")).isoformat() == "2026-05-02T00:00:00+00:00"
    assert moment_of("2026-05-02T09:30Z", zone_of("Asia/Tokyo")).hour == 9


def test_what_is_written_to_a_class_that_nobody_tracks_is_recorded(run: Any) -> None:
    from mongoengine_history import untrack_history

    document = Loose(size=1).save()
    try:
        run("backfill", "-m", "support.shelves:Loose", "-y")
        document.modify(size=2)
        model = ["-m", "support.shelves:Loose"]
        assert run("revert", *model, document.pk, 0, "-y").code == 0
        assert [it.operation for it in history_of(document)] == ["update", "revert"]
    finally:
        untrack_history(Loose)


class TestTheProgram:
    def test_it_reads_a_collection_without_any_class(self, program: Any) -> None:
        hook()
        ended = program("log", "hook", "door", "-n", "1")
        assert ended.stdout.splitlines()[1] == "  ~ load: 2 → 3"
        assert (ended.returncode, ended.stderr) == (0, "Older ones: --before 3\n")

    def test_it_writes_without_any_class(self, program: Any) -> None:
        made = hook()
        assert program("undo", "hook", "door", "-1", "--yes").returncode == 0
        assert history_of(made)[4].operation == "undo"
        with changeset("ann") as block:
            made.modify(load=7)
        assert program("revert-changeset", block.id, "--yes").returncode == 0
        assert history_of(made).state(-1)["load"] == 2
        with changeset("ann") as block:
            hidden = Shelf(owner="x", secret="s7").save()
        ended = program("revert-changeset", block.id, "--yes")
        assert (ended.returncode, ended.stdout) == (1, "")
        assert "  secret\n" in ended.stderr
        assert "s7" not in ended.stderr
        assert Shelf.objects.get(id=hidden.pk).secret == "s7"

    def test_the_class_of_the_folder_is_found(self, program: Any, tmp_path: Path) -> None:
        code = "from mongoengine import *\nclass Peg(Document):\n    size = IntField()\n"
        (tmp_path / "pegs.py").write_text(code)
        ended = program("deleted", "--model", "pegs:Peg", "--json")
        assert (ended.returncode, ended.stdout) == (0, "[]\n")

    def test_an_application_that_connects_itself_is_asked(
        self, program: Any, tmp_path: Path, mongodb_uri: str, database: Any
    ) -> None:
        code = (
            "from mongoengine import *\n"
            f"connect({database.name!r}, host={mongodb_uri!r}, uuidRepresentation='standard')\n"
            "class Hook(Document):\n    name = StringField(primary_key=True)\n"
            "    load = IntField()\n    colour = StringField()\n"
        )
        (tmp_path / "shop.py").write_text(code)
        hook()
        nowhere = "mongodb://127.0.0.1:1/x"
        ended = program("state", "-m", "shop:Hook", "door", 1, MONGODB_URI=nowhere)
        assert json.loads(ended.stdout) == {"load": 1, "colour": "red"}
        given = program("state", "-m", "shop:Hook", "door", 1, "--uri", nowhere)
        assert given.returncode == 2

    def test_a_console_that_cannot_show_all_shows_the_rest(self, program: Any) -> None:
        hook()
        ended = program("log", "hook", "door", PYTHONIOENCODING="ascii")
        assert "  ~ load: 2 -> 3" in ended.stdout.splitlines()

    def test_a_pipe_has_no_colours_and_a_terminal_has(self, program: Any) -> None:
        hook()
        assert "\x1b" not in program("log", "hook", "door").stdout
        assert "\x1b" in program("log", "hook", "door", FORCE_COLOR="1").stdout
        assert "\x1b[3" not in program("log", "hook", "door", FORCE_COLOR="1", NO_COLOR="1").stdout

    def test_watch_tells_what_it_records_until_it_is_interrupted(
        self, program: Any, mongodb_uri: str, database: Any, tmp_path: Path
    ) -> None:
        made = hook()
        env = {**os.environ, "MONGODB_URI": mongodb_uri}
        command = [*PROGRAM, "--database", database.name, "watch", "hook", "--json"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with running(command, cwd=tmp_path, env=env, **pipes) as process:
            assert "Watching" in process.stderr.readline()
            time.sleep(1)
            raw_collection("hook").update_one({}, {"$set": {"load": 9}})
            told = json.loads(process.stdout.readline())
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
        assert (told["collection"], told["id"], told["operation"]) == ("hook", "door", "external")
        assert history_of(made)[4].operation == "external"

    def test_browse_shows_pages_to_this_machine(
        self, mongodb_uri: str, database: Any, tmp_path: Path
    ) -> None:
        hook()
        env = {**os.environ, "MONGODB_URI": mongodb_uri}
        command = [*PROGRAM, "--database", database.name, "browse", "--port", "0"]
        with running(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE) as process:
            address = process.stdout.readline().strip()
            assert address.startswith("http://127.0.0.1:")
            with socket.create_connection(urlsplit(address).netloc.split(":")):  # asks for nothing
                assert "door" in fetched(address)
                process.send_signal(signal.SIGINT)
                assert process.wait(20) == 0

    def test_demo_is_one_of_the_commands(self, program: Any) -> None:
        assert subprocess.run([*PROGRAM, "demo", "--help"], capture_output=True, check=False).stdout
        assert "demo" in program("--help").stdout


def without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "click", None)
    for name in [it for it in sys.modules if it.startswith("mongoengine_history.cli")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("mongoengine_history.cli")  # so that it is put back, too


def test_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mongoengine_history import __main__ as program

    without_the_extra(monkeypatch)
    monkeypatch.setattr("sys.argv", ["mongoengine-history", "stats"])
    assert program.main() == 2
    assert 'pip install "mongoengine-history[cli]"' in capsys.readouterr().err


def test_the_version_is_told_with_the_extra_and_without_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mongoengine_history import __main__ as program

    monkeypatch.setattr("sys.argv", ["mongoengine-history", "--version"])
    assert program.main() == 0
    assert capsys.readouterr().out == f"mongoengine-history {__version__}\n"
    without_the_extra(monkeypatch)
    assert program.main() == 0
    assert capsys.readouterr().out == f"mongoengine-history {__version__}\n"


def test_each_command_has_help(run: Any) -> None:
    for command in (it.name for section in SECTIONS.values() for it in section):
        if command != "demo":
            ended = run(command, "--help")
            assert ended.code == 0
            assert max(map(len, ended.lines)) <= 80


def test_a_shell_completes_commands_and_options() -> None:
    complete = BashComplete(commands, {}, "mongoengine-history", "_MONGOENGINE_HISTORY_COMPLETE")
    assert {it.value for it in complete.get_completions([], "rev")} == {
        "revert",
        "revert-changeset",
    }
    assert "--dry-run" in {it.value for it in complete.get_completions(["revert"], "--d")}
