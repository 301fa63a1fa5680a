"""Requests of real Starlette and FastAPI applications, and who answers for what they write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, Header, Response, WebSocket
from fastapi.responses import StreamingResponse
from mongoengine import Document, StringField
from starlette.applications import Starlette
from starlette.authentication import (
    AuthCredentials,
    AuthenticationBackend,
    BaseUser,
    SimpleUser,
    UnauthenticatedUser,
)
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient
from support.notes import authors, records, write

from mongoengine_history.contrib.asgi import HistoryMiddleware

pytestmark = pytest.mark.usefixtures("database")

NAMES = [f"user{number}" for number in range(20)]


async def authenticate(connection: HTTPConnection, user: str = Header("")) -> None:
    """A dependency that runs after all middleware, as with a token."""
    await asyncio.sleep(0)
    connection.state.user = user or None


def state_user(scope: Any) -> object:
    return scope.get("state", {}).get("user")


app = FastAPI(dependencies=[Depends(authenticate)])
app.add_middleware(HistoryMiddleware, identity=state_user)


@app.post("/notes/{text}")
async def create(text: str) -> str:
    return write(text)


@app.post("/threads/{text}")
def create_in_thread(text: str) -> str:
    """A sync endpoint: it runs in a thread of a pool."""
    return write(f"{text} 1") + write(f"{text} 2")


@app.post("/turns/{text}")
async def create_in_turns(text: str) -> str:
    for number in (1, 2):
        await asyncio.sleep(0)
        await run_in_threadpool(write, f"{text} {number}")
    return text


@app.post("/broken/{text}")
def fail(text: str) -> None:
    write(text)
    raise ZeroDivisionError


@app.post("/tasks/{text}")
def create_in_background(text: str, tasks: BackgroundTasks) -> str:
    tasks.add_task(write, f"{text} 2")
    return write(f"{text} 1")


@app.post("/streams/{text}")
def stream(text: str) -> Response:
    return StreamingResponse(write(f"{text} {number}") for number in (1, 2))


@app.post("/later/streams/{text}")
async def stream_later(text: str) -> Response:
    async def parts() -> AsyncIterator[str]:
        for number in (1, 2):
            await asyncio.sleep(0)
            yield write(f"{text} {number}")

    return StreamingResponse(parts())


@app.websocket("/feed")
async def feed(socket: WebSocket) -> None:
    await socket.accept()
    socket.state.user = await socket.receive_text()
    write(await socket.receive_text())
    write(await socket.receive_text())
    await socket.close()


async def post(application: Any, path: str, user: str = "") -> httpx2.Response:
    transport = httpx2.ASGITransport(app=application, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://testserver") as client:
        return await client.post(path, headers={"User": user})


def post_all(*calls: tuple[str, str], to: Any = app) -> None:
    """One after the other, in one task."""

    async def call() -> None:
        for path, user in calls:
            await post(to, path, user)

    asyncio.run(call())


@pytest.mark.parametrize("page", ["threads", "turns"])
def test_each_request_has_its_own_user_and_changeset(page: str) -> None:
    """The user is found after the middleware; the endpoint may run in a thread."""
    post_all((f"/{page}/a", "ada"), (f"/{page}/b", "bob"))
    assert authors() == {"a 1": "ada", "a 2": "ada", "b 1": "bob", "b 2": "bob"}
    ids = {text: record.changeset for text, record in records().items()}
    assert ids["a 1"] == ids["a 2"] != ids["b 1"] == ids["b 2"]


def test_a_revision_says_which_request_made_it() -> None:
    post_all(("/notes/tea?token=secret", "ada"))
    assert records()["tea"].metadata == {"request": "POST /notes/tea"}


def test_an_anonymous_request_is_nobodys() -> None:
    post_all(("/notes/tea", "ada"), ("/notes/milk", ""))
    assert authors() == {"tea": "ada", "milk": None}


def test_nothing_remains_of_a_request_that_failed() -> None:
    async def call() -> None:
        assert (await post(app, "/broken/a", "ada")).status_code == 500
        write("b")

    asyncio.run(call())
    assert authors() == {"a": "ada", "b": None}
    assert records()["b"].changeset is None


@pytest.mark.parametrize("page", ["tasks", "streams", "later/streams"])
def test_what_is_written_after_the_response_began_belongs_to_its_request(page: str) -> None:
    post_all((f"/{page}/a", "ada"))
    assert authors() == {"a 1": "ada", "a 2": "ada"}
    assert len({record.changeset for record in records().values()}) == 1


@pytest.mark.parametrize("page", ["threads", "turns", "streams", "later/streams", "tasks"])
def test_concurrent_requests_keep_their_users(page: str) -> None:
    async def call() -> None:
        calls: list[Awaitable[Any]] = [post(app, f"/{page}/{name}", name) for name in NAMES]
        await asyncio.gather(*calls)

    asyncio.run(call())
    written = records()
    assert authors() == {f"{name} {number}": name for name in NAMES for number in (1, 2)}
    for name in NAMES:
        assert written[f"{name} 1"].changeset == written[f"{name} 2"].changeset
    assert len({record.changeset for record in written.values()}) == len(NAMES)


def test_a_connection_of_a_websocket_is_a_changeset() -> None:
    client = TestClient(app)
    for user in ("ada", "bob"):
        with client.websocket_connect("/feed") as socket:
            for text in (user, f"{user} 1", f"{user} 2"):
                socket.send_text(text)
    assert authors() == {"ada 1": "ada", "ada 2": "ada", "bob 1": "bob", "bob 2": "bob"}
    written = records()
    assert written["ada 1"].metadata == {"request": "WEBSOCKET /feed"}
    assert written["ada 1"].changeset == written["ada 2"].changeset
    assert written["ada 1"].changeset != written["bob 1"].changeset


def test_starting_up_is_no_changeset() -> None:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        write("start")
        yield
        write("stop")

    site = FastAPI(lifespan=lifespan)
    site.add_middleware(HistoryMiddleware, identity=lambda scope: "somebody")
    with TestClient(site):
        pass
    assert authors() == {"start": None, "stop": None}


class Member(BaseUser, Document):
    """A user that is a document."""

    name = StringField()
    is_authenticated = True


class Known(SimpleUser):
    @property
    def identity(self) -> str:
        return f"id of {self.username}"


class Nameless(SimpleUser):
    """As in releases of Starlette whose users have a name only."""

    @property
    def identity(self) -> str:
        raise NotImplementedError


class ByHeader(AuthenticationBackend):
    """Finds users by a header."""

    async def authenticate(self, connection: HTTPConnection) -> Any:
        name = connection.headers["user"]
        kinds: dict[str, Callable[[], Any]] = {
            "": UnauthenticatedUser,
            "known": lambda: Known(name),
            "nameless": lambda: Nameless(name),
            "old": lambda: SimpleNamespace(is_authenticated=True, display_name=name),
        }
        user = kinds[name]() if name in kinds else Member.objects.get(name=name)
        return AuthCredentials(), user


def site_with_users() -> Starlette:
    def create(request: Any) -> PlainTextResponse:
        return PlainTextResponse(write(request.path_params["text"]))

    async def pass_on(request: Any, call_next: Any) -> Any:
        return await call_next(request)

    routes = [Route("/notes/{text}", create, methods=["POST"])]
    return Starlette(
        routes=[*routes, Mount("/shop", routes=routes)],
        middleware=[
            Middleware(HistoryMiddleware),
            Middleware(BaseHTTPMiddleware, dispatch=pass_on),  # it runs the rest in another task
            Middleware(AuthenticationMiddleware, backend=ByHeader()),
        ],
    )


def test_who_is_authenticated_in_starlette_answers() -> None:
    """By primary key, else by identity, else by name."""
    ada = Member(name="ada").save()
    names = ["ada", "known", "nameless", "old", ""]
    post_all(*((f"/shop/notes/by {name}", name) for name in names), to=site_with_users())
    assert authors() == {
        "by ada": ada.id,
        "by known": "id of known",
        "by nameless": "nameless",
        "by old": "old",
        "by ": None,
    }
    assert records()["by ada"].metadata == {"request": "POST /shop/notes/by ada"}


def test_without_users_nobody_answers() -> None:
    async def plain(scope: Any, receive: Any, send: Any) -> None:
        """An ASGI application without any framework."""
        write("tea")
        await PlainTextResponse("tea")(scope, receive, send)

    post_all(("/", ""), to=HistoryMiddleware(plain))
    assert authors() == {"tea": None}
    assert records()["tea"].changeset


def test_metadata_is_added() -> None:
    site = FastAPI()
    site.add_middleware(HistoryMiddleware, metadata=lambda scope: {"address": scope["client"][0]})
    site.post("/")(lambda: write("tea"))
    post_all(("/", ""), to=site)
    assert records()["tea"].metadata == {"request": "POST /", "address": "127.0.0.1"}
