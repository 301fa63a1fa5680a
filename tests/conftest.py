"""A real MongoDB for all tests: ``MONGODB_URI``, else an embedded server. One database a run."""

from __future__ import annotations

import logging
import os
import uuid
from collections import deque
from collections.abc import Iterator, Mapping
from signal import SIGINT, default_int_handler
from signal import signal as interrupt
from typing import Any

import mongoengine
import pytest
from blinker import ANY, Signal
from hypothesis import HealthCheck, settings
from mongoengine import signals
from pymongo import MongoClient, monitoring
from pymongo.database import Database
from pymongo.uri_parser import parse_uri

from mongoengine_history import History
from mongoengine_history.embedded import server_uri
from mongoengine_history.record import doubt

pytest.register_assert_rewrite("support")

pytest_plugins = ["mongoengine_history.contrib.pytest"]

from support.wheel_1_1 import Elsewhere, Start, fetch  # noqa: E402  # its asserts are rewritten

# A shared fixture holds for all examples of a law, a busy machine is no failure, and some laws are
# about states that meet. In CI the examples are the same in each run, as Hypothesis itself has it.
settings.register_profile(
    "laws",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.filter_too_much,
    ],
)
LAWS = settings.get_profile("laws")
settings.register_profile("quick", LAWS, max_examples=10)
settings.register_profile("thorough", LAWS, max_examples=1000, derandomize=False)
settings.load_profile("laws")


class RoundTrips(monitoring.CommandListener):
    """Keeps the last commands that were sent, in order; none that the driver sends by itself."""

    def __init__(self) -> None:
        self.sent: deque[Mapping[str, Any]] = deque(maxlen=1000)
        #: Whether collections or indexes went.
        self.has_dropped = False

    @property
    def names(self) -> list[str]:
        return [next(iter(command)) for command in self.sent]

    def clear(self) -> None:
        self.sent.clear()

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.command_name not in {"killCursors", "endSessions"}:
            self.sent.append(event.command)
        self.has_dropped |= event.command_name in {"drop", "dropDatabase", "dropIndexes"}

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        pass

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        pass


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """Let programs that tests start hear Ctrl-C, also where a shell has begun them in the back."""
    interrupt(SIGINT, default_int_handler)


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    """Let no module set the level of all logs for the next ones, as a worker of Celery does."""
    level = logging.root.level
    yield
    logging.root.setLevel(level)


@pytest.fixture(scope="session")
def mongodb_uri() -> Iterator[str]:
    with server_uri() as uri:
        if parse_uri(uri)["database"]:  # MongoEngine would use that one, and the tests empty it
            pytest.exit("MONGODB_URI must not name a database; the tests make their own")
        if "MONGODB_URI" not in os.environ:
            wait_for_no_disk(uri)
        yield uri


def wait_for_no_disk(uri: str) -> None:
    """Let a server answer once it knows of a write, not once that lies on the disk."""
    with MongoClient(uri) as client:
        config = client.admin.command("replSetGetConfig")["config"]
        changed = {"version": config["version"] + 1, "writeConcernMajorityJournalDefault": False}
        client.admin.command("replSetReconfig", {**config, **changed})


@pytest.fixture(scope="session")
def commands() -> RoundTrips:
    return RoundTrips()


@pytest.fixture(scope="session")
def client(mongodb_uri: str, commands: RoundTrips) -> Iterator[MongoClient]:
    name = f"history_test_{uuid.uuid4().hex[:8]}"
    client = mongoengine.connect(
        name, host=mongodb_uri, uuidRepresentation="standard", event_listeners=[commands]
    )
    mongoengine.connect(
        f"{name}_other", alias="other", host=mongodb_uri, uuidRepresentation="standard"
    )
    yield client
    for database in (name, f"{name}_other"):
        client.drop_database(database)
    mongoengine.disconnect_all()


@pytest.fixture(scope="session")
def server_version(client: MongoClient) -> list[int]:
    return client.server_info()["versionArray"]


@pytest.fixture(autouse=True)
def server_is_new_enough(request: pytest.FixtureRequest) -> None:
    needed = request.node.get_closest_marker("mongodb")
    if needed and request.getfixturevalue("server_version") < [*needed.args]:
        pytest.skip(f"MongoDB {needed.args[0]}.0 or later")


def databases() -> list[Database]:
    return [mongoengine.get_db(alias) for alias in ("default", "other")]


@pytest.fixture(scope="module")
def collections(client: MongoClient) -> Iterator[None]:
    """Those of a module go with it, since emptying each after every test would take most time."""
    yield
    empty()
    for database in databases():
        for name in set(database.list_collection_names()) - {"history"}:
            database.drop_collection(name)


@pytest.fixture
def listeners() -> Iterator[None]:
    """Afterwards no test listens to a signal."""
    every = [signal for signal in vars(signals).values() if isinstance(signal, Signal)]
    # The library's own, which hears of all classes that `track_history` was called for.
    before = [(signal, receiver) for signal in every for receiver in signal.receivers_for(ANY)]
    yield
    for signal in every:
        signal._clear_state()
    for signal, receiver in before:
        signal.connect(receiver)


@pytest.fixture
def database(collections: None, listeners: None, commands: RoundTrips) -> Iterator[Database]:
    """The database of MongoEngine's default connection; afterwards it is empty, with indexes."""
    yield mongoengine.get_db()
    empty()
    if commands.has_dropped:  # what this process takes to be there
        History.ensure_indexes()
        commands.has_dropped = False


def empty() -> None:
    """Leave no document, and no doubt about one."""
    for each in databases():
        for name in each.list_collection_names():
            if each[name].estimated_document_count():
                each[name].delete_many({})
    doubt._doubts.clear()


@pytest.fixture(scope="module")
def start(request: pytest.FixtureRequest, client: MongoClient, mongodb_uri: str) -> Start:
    """Starts a process with 1.1, or with this package, in a time zone."""
    folder = fetch(request.config.cache.mkdir("mongoengine-history-1.1"))
    name = mongoengine.get_db().name

    def started(timezone: str | None = None, *, ours: bool = False) -> Elsewhere:
        wheel = None if ours else folder
        return Elsewhere("support.stories_1_1", mongodb_uri, name, wheel=wheel, timezone=timezone)

    return started


@pytest.fixture(scope="module")
def released(start: Start) -> Iterator[Elsewhere]:
    """The process of 1.1."""
    with start() as process:
        yield process
