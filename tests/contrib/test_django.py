"""Requests of a real Django site, under WSGI and ASGI, and who answers for what they write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from threading import Barrier
from types import SimpleNamespace
from typing import Any

import django
import httpx2
import pytest
from asgiref.sync import sync_to_async
from django.conf import empty, settings
from django.contrib.auth import get_user_model, login
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import call_command
from django.db import connections
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import RequestFactory, override_settings
from django.urls import path
from support.notes import authors, records, write

from mongoengine_history import changeset
from mongoengine_history.contrib.django import HistoryMiddleware

pytestmark = pytest.mark.usefixtures("database")

NAMES = [f"user{number}" for number in range(20)]


class AddressedMiddleware(HistoryMiddleware):
    """What a project may add."""

    def metadata(self, request: HttpRequest) -> dict[str, Any]:
        return {**super().metadata(request), "address": request.META["REMOTE_ADDR"]}

    def identity(self, request: HttpRequest) -> object:
        return "service" if request.path.endswith("import") else super().identity(request)


def enter(request: HttpRequest, name: str) -> HttpResponse:
    write(f"before {name}")
    user = get_user_model().objects.get(username=name)
    login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    return HttpResponse(write(f"login {name}"))


def create(request: HttpRequest, text: str) -> HttpResponse:
    return HttpResponse(write(text))


def create_two(request: HttpRequest, text: str) -> HttpResponse:
    return HttpResponse(write(f"{text} 1") + write(f"{text} 2"))


async def create_later(request: HttpRequest, text: str) -> HttpResponse:
    return HttpResponse(await sync_to_async(write)(text))


def authenticate_late(request: HttpRequest, text: str) -> HttpResponse:
    """As Django REST framework does: a view finds a token and says who it is."""
    request.user = SimpleNamespace(pk=text, is_authenticated=False)
    write(f"{text} before")
    request.user.is_authenticated = True
    return HttpResponse(write(text))


def fail(request: HttpRequest, text: str) -> HttpResponse:
    write(text)
    raise ZeroDivisionError


def stream(request: HttpRequest, text: str) -> StreamingHttpResponse:
    def parts() -> Iterator[str]:
        with changeset(reason="export"):
            for number in (1, 2):
                yield write(f"{text} {number}")

    write(f"{text} 0")
    return StreamingHttpResponse(parts())


async def stream_later(request: HttpRequest, text: str) -> StreamingHttpResponse:
    async def parts() -> AsyncIterator[str]:
        with changeset(reason="export"):
            for number in (1, 2):
                await asyncio.sleep(0)
                yield await sync_to_async(write)(f"{text} {number}")

    await sync_to_async(write)(f"{text} 0")
    return StreamingHttpResponse(parts())


def send_file(request: HttpRequest) -> FileResponse:
    return FileResponse(Path(__file__).open("rb"))


urlpatterns = [
    path("login/<name>", enter),
    path("notes/<text>", create),
    path("pairs/<text>", create_two),
    path("later/<text>", create_later),
    path("tokens/<text>", authenticate_late),
    path("broken/<text>", fail),
    path("streams/<text>", stream),
    path("later/streams/<text>", stream_later),
    path("file", send_file),
]


@pytest.fixture(scope="module", autouse=True)
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Django with its own users, in SQLite. Its settings are those of the process for a while."""
    settings.configure(
        ALLOWED_HOSTS=["testserver"],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": tmp_path_factory.mktemp("django") / "users.sqlite3",
            }
        },
        LOGGING_CONFIG=None,
        MIDDLEWARE=[
            # First, so that the user is set later.
            "mongoengine_history.contrib.django.HistoryMiddleware",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        ROOT_URLCONF=__name__,
        SECRET_KEY="not a secret",
        SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
        SESSION_SERIALIZER="django.contrib.sessions.serializers.JSONSerializer",
        USE_TZ=True,
    )
    django.setup()
    connections._settings = None  # of another site that this process had
    vars(connections).pop("settings", None)
    with override_settings(INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"]):
        call_command("migrate", verbosity=0)
        users = get_user_model()
        users.objects.bulk_create(users(username=name) for name in ["ada", "bob", *NAMES])
        yield
    connections.close_all()
    settings._wrapped = empty


def pk_of(name: str) -> int:
    return get_user_model().objects.get(username=name).pk


def browser() -> httpx2.Client:
    """A browser of the site under WSGI."""
    transport = httpx2.WSGITransport(app=WSGIHandler(), raise_app_exceptions=False)
    return httpx2.Client(transport=transport, base_url="http://testserver")


def async_browser() -> httpx2.AsyncClient:
    """A browser of the site under ASGI."""
    transport = httpx2.ASGITransport(app=ASGIHandler(), raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url="http://testserver")


def get_under_wsgi(*paths: str) -> None:
    with browser() as client:
        for each in paths:
            client.get(each)


def get_under_asgi(*paths: str) -> None:
    async def visit() -> None:
        async with async_browser() as client:
            for each in paths:
                await client.get(each)

    asyncio.run(visit())


Get = Callable[..., None]
both = pytest.mark.parametrize("get", [get_under_wsgi, get_under_asgi])


@both
@pytest.mark.parametrize("page", ["notes", "later"])
def test_who_is_logged_in_answers_by_primary_key(get: Get, page: str) -> None:
    """Known as soon as they log in; the middleware may stand before the one that finds them."""
    for name in ("ada", "bob"):
        get(f"/login/{name}", f"/{page}/{name}")
    ada, bob = pk_of("ada"), pk_of("bob")
    assert authors() == {
        "before ada": None,
        "login ada": ada,
        "ada": ada,
        "before bob": None,
        "login bob": bob,
        "bob": bob,
    }


@both
def test_an_anonymous_request_is_nobodys(get: Get) -> None:
    get("/login/ada", "/notes/tea")
    get("/notes/milk")
    assert (authors()["tea"], authors()["milk"]) == (pk_of("ada"), None)


@both
def test_the_revisions_of_one_request_share_a_changeset(get: Get) -> None:
    get("/pairs/a", "/pairs/b")
    ids = {text: record.changeset for text, record in records().items()}
    assert ids["a 1"] == ids["a 2"] != ids["b 1"] == ids["b 2"]
    assert records()["a 1"].metadata == {"request": "GET /pairs/a"}


@both
def test_a_view_may_say_who_it_is(get: Get) -> None:
    get("/tokens/ada")
    assert authors() == {"ada before": None, "ada": "ada"}


@both
def test_a_site_without_users_has_nobody(get: Get) -> None:
    with override_settings(MIDDLEWARE=settings.MIDDLEWARE[:1]):
        get("/notes/tea")
    assert authors() == {"tea": None}
    assert records()["tea"].changeset


@both
def test_django_need_not_adapt_the_middleware(get: Get, caplog: pytest.LogCaptureFixture) -> None:
    """It would cost two changes of threads for each request."""
    with caplog.at_level("DEBUG", "django.request"), override_settings(DEBUG=True):
        get("/notes/tea")
    assert "for middleware" not in caplog.text


@both
def test_nothing_remains_of_a_request_that_failed(get: Get) -> None:
    get("/login/ada", "/broken/a")
    write("b")
    assert (authors()["a"], authors()["b"]) == (pk_of("ada"), None)
    assert records()["b"].changeset is None


@both
@pytest.mark.parametrize("page", ["streams", "later/streams"])
@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")
def test_what_a_stream_writes_belongs_to_its_request(get: Get, page: str) -> None:
    get("/login/ada", f"/{page}/a")
    write("b")
    written = records()
    assert {authors()[f"a {number}"] for number in range(3)} == {pk_of("ada")}
    assert len({written[f"a {number}"].changeset for number in range(3)}) == 1
    assert [written[f"a {number}"].reason for number in range(3)] == [None, "export", "export"]
    assert written["b"].changeset is None


def respond(page: str) -> Any:
    """What a server gets, before it asks for the first part."""
    environ = RequestFactory().get(page).environ
    return WSGIHandler()(environ, lambda *_: None)


@pytest.mark.parametrize("parts_read", [0, 1])
def test_a_stream_that_nobody_reads_to_its_end_leaves_nothing(parts_read: int) -> None:
    response = respond("/streams/a")
    assert list(islice(response, parts_read)) == [b"a 1"] * parts_read
    response.close()
    write("b")
    assert set(authors()) == {"a 0", "b", *["a 1"] * parts_read}
    assert records()["b"].changeset is None


def test_streams_that_are_read_in_turn_stay_apart() -> None:
    responses = [respond("/streams/a"), respond("/streams/b")]
    parts = [iter(response) for response in responses]
    next(parts[0])
    write("between")
    for each in reversed(parts):
        list(each)
    for response in responses:
        response.close()
    written = {text: record.changeset for text, record in records().items()}
    assert written.pop("between") is None
    assert len(written) == 6
    assert len({(text[0], changeset) for text, changeset in written.items()}) == 2


def test_files_are_passed_through_as_they_are() -> None:
    """A server may have a faster way to send them."""
    response = respond("/file")
    assert response.file_to_stream.name == __file__
    response.close()


def test_threads_that_serve_many_users_keep_them_apart() -> None:
    """Each thread answers several users, who all begin at the same time."""
    met = Barrier(4, timeout=60)

    def visit(name: str) -> None:
        met.wait()
        get_under_wsgi(f"/login/{name}", f"/pairs/{name}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(visit, NAMES))
        list(pool.map(write, ["x", "y", "z"]))
    written = records()
    for name in NAMES:
        assert written[f"{name} 1"].identity == written[f"{name} 2"].identity == pk_of(name)
        assert written[f"{name} 1"].changeset == written[f"{name} 2"].changeset
    assert {written[text].changeset for text in "xyz"} == {None}


def test_concurrent_requests_in_one_event_loop_keep_their_users() -> None:
    async def visit(name: str) -> None:
        async with async_browser() as client:
            await client.get(f"/login/{name}")
            await client.get(f"/later/{name}")

    async def visit_all() -> None:
        visits: list[Awaitable[None]] = [visit(name) for name in NAMES]
        await asyncio.gather(*visits)

    asyncio.run(visit_all())
    written = records()
    assert {name: written[name].identity for name in NAMES} == {name: pk_of(name) for name in NAMES}
    assert len({written[name].changeset for name in NAMES}) == len(NAMES)


@both
def test_a_project_may_say_more(get: Get) -> None:
    middleware = [f"{__name__}.AddressedMiddleware", *settings.MIDDLEWARE[1:]]
    with override_settings(MIDDLEWARE=middleware):
        get("/login/ada", "/notes/tea", "/notes/import")
    record = records()["tea"]
    assert record.identity == pk_of("ada")
    assert record.metadata == {"request": "GET /notes/tea", "address": "127.0.0.1"}
    assert authors()["import"] == "service"
