"""The embedded server: a real replica set, silent, and gone afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pymongo import MongoClient

from mongoengine_history import embedded
from mongoengine_history.embedded import NoServerError, embedded_server, find_mongod, server_uri

needs_mongod = pytest.mark.skipif(
    "MONGODB_URI" in os.environ, reason="with a server given, no mongod need be installed"
)


@needs_mongod
def test_it_takes_transactions_and_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    started = time.monotonic()
    with embedded_server() as uri, MongoClient(uri) as client:
        assert time.monotonic() - started < 10
        with client.start_session() as session, session.start_transaction():
            client.test.things.insert_one({"a": 1}, session=session)
        assert client.test.things.count_documents({}) == 1
        folder = Path(client.admin.command("getCmdLineOpts")["parsed"]["storage"]["dbPath"])
        assert folder.is_dir()
    assert not folder.exists()
    assert capfd.readouterr() == ("", "")


@needs_mongod
def test_it_is_gone_even_when_its_user_is_killed() -> None:
    code = "import time\nfrom mongoengine_history.embedded import embedded_server\n"
    code += "with embedded_server() as uri: print(uri, flush=True); time.sleep(60)"
    user = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert user.stdout
    uri = user.stdout.readline().strip()
    with MongoClient(uri) as client:
        parsed = client.admin.command("getCmdLineOpts")["parsed"]
    folder = Path(parsed["storage"]["dbPath"])
    user.send_signal(signal.SIGKILL)
    user.communicate()
    deadline = time.monotonic() + 10
    while folder.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not folder.exists()


def test_a_given_server_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONGODB_URI", "mongodb://db.example.com")
    with server_uri() as uri:
        assert uri == "mongodb://db.example.com"


def test_without_any_server_the_three_ways_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MONGODB_URI", raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(embedded, "WHEELS", ("no-such-wheel",))
    with pytest.raises(NoServerError) as caught, server_uri():
        pass
    for way in ("MONGODB_URI", "PATH", "mongoengine-history[embedded]"):
        assert way in str(caught.value)


def test_a_mongod_that_does_not_start_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "mongod"
    program.write_text("#!/bin/sh\necho 'a library is missing' >&2\nexit 127\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert find_mongod() == program
    with pytest.raises(NoServerError, match="a library is missing"), embedded_server():
        pass
