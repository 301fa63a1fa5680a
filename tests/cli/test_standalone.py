"""A server that is no replica set: all goes that needs no transaction and no change stream."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient

from mongoengine_history.cli.main import main
from mongoengine_history.embedded import NoServerError, find_mongod


@pytest.fixture(scope="module")
def standalone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    try:
        mongod = find_mongod()
    except NoServerError:
        pytest.skip("there is no mongod to start")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("standalone")
    command = [str(mongod), "--port", str(port), "--bind_ip", "127.0.0.1", "--dbpath", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        uri = f"mongodb://127.0.0.1:{port}/alone?directConnection=true"
        with MongoClient[Any](uri, serverSelectionTimeoutMS=60_000) as client:
            client.admin.command("ping")
            client.alone.bag.insert_one({"_id": 1, "size": 1})
        yield uri
        server.terminate()
        server.wait(60)


@pytest.fixture
def run(standalone: str, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> Any:
    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setenv("MONGODB_URI", standalone)
        capsys.readouterr()
        code = main([str(it) for it in words])
        return (code, *capsys.readouterr())

    return run


def test_watching_is_refused_with_the_remedy(run: Any) -> None:
    code, out, err = run("watch", "bag")
    assert (code, out) == (2, "")
    assert "replica set" in err


def test_histories_are_read_and_written(run: Any, standalone: str) -> None:
    assert run("backfill", "bag", "--yes")[0] == 0
    with MongoClient[Any](standalone) as client:
        client.alone.bag.update_one({"_id": 1}, {"$set": {"size": 2}})
    assert run("reconcile", "bag", "--yes")[0] == 0
    assert "  ~ size: 1 → 2" in run("log", "bag", 1)[1]
    assert run("revert", "bag", 1, 0, "--yes")[0] == 0
    code, _out, err = run("verify")
    assert (code, err) == (0, "")
    assert run("state", "bag", 1, -1)[1] == '{\n  "size": 1\n}\n'
