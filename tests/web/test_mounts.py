"""Applications of FastAPI, Starlette, Flask and Django have the pages below a path of theirs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import settings
from django.test import RequestFactory
from django.utils.functional import empty
from fastapi import FastAPI
from flask import Flask
from flask_login import LoginManager, UserMixin, current_user, login_user
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.routing import Mount
from starlette.testclient import TestClient
from support.browsing import Sheet, everybody, fields_of
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from mongoengine_history import history_of
from mongoengine_history.web.browser import history_browser
from mongoengine_history.web.django import history_view

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def sheet(database: Any) -> Sheet:
    sheet = Sheet(status="draft").save()
    sheet.modify(status="sent")
    return sheet


class Everyone(AuthenticationBackend):
    async def authenticate(self, conn: Any) -> Any:
        return AuthCredentials(), SimpleUser(conn.headers.get("x-user", "nobody"))


def pages() -> Any:
    return history_browser(Sheet, may_see=everybody, may_restore=everybody)


def check(client: Any, sheet: Sheet, host: str, **options: Any) -> None:
    """Look at a page below the path, and undo a revision."""
    own = f"/history/Sheet/{sheet.pk}"
    listed = client.get("/history/", **options)
    assert listed.status_code == 200
    assert f'href="{own}"' in listed.text
    assert client.get("/history/static/history.css", **options).status_code == 200
    assert client.get("/history/Nothing/1", **options).status_code == 404
    page = client.get(f"{own}/2/undo", **options)
    fields = {**fields_of(page.text), "reason": "because"}
    headers = {**options.get("headers", {}), "Origin": f"http://{host}"}
    answer = client.post(f"{own}/2/undo", data=fields, headers=headers)
    assert answer.status_code == 303
    assert answer.headers["location"] == f"{own}/3?done=undo"
    assert Sheet.objects.get().status == "draft"


@pytest.mark.parametrize("kind", [Starlette, FastAPI])
def test_asgi(sheet: Sheet, kind: Any) -> None:
    app = kind(
        routes=[Mount("/history", pages())],
        middleware=[Middleware(AuthenticationMiddleware, backend=Everyone())],
    )
    client = TestClient(app, "http://shop.example", follow_redirects=False)
    check(client, sheet, "shop.example", headers={"X-User": "eve"})
    assert history_of(sheet)[-1].identity == "eve"


def test_below_a_proxy(sheet: Sheet) -> None:
    client = TestClient(pages(), "http://shop.example", root_path="/history")
    assert f'href="/history/Sheet/{sheet.pk}"' in client.get("/history/").text


def test_flask_by_a_path(sheet: Sheet) -> None:
    app = Flask(__name__)
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/history": pages().wsgi})
    check(app.test_client(), sheet, "localhost")
    assert app.test_client().get("/history").status_code == 200


def test_flask_by_a_view_that_knows_the_user(sheet: Sheet) -> None:
    app = Flask(__name__)
    app.secret_key = "for this test"

    class User(UserMixin):
        def __init__(self, name: str) -> None:
            self.id = name

    LoginManager(app).user_loader(User)
    app.add_url_rule("/login", view_func=lambda: str(login_user(User("eve"))))
    browser = history_browser(
        Sheet,
        may_see=lambda *_: current_user.is_authenticated,
        may_restore=everybody,
        identity=lambda _: current_user.get_id(),
    )

    @app.route("/history/", defaults={"path": ""}, methods=["GET", "POST"])
    @app.route("/history/<path:path>", methods=["GET", "POST"])
    def history(path: str) -> Any:
        return browser.below("/history")

    client = app.test_client()
    assert client.get(f"/history/Sheet/{sheet.pk}").status_code == 404
    client.get("/login")
    check(client, sheet, "localhost")
    assert history_of(sheet)[-1].identity == "eve"


class Visitor:
    """A user of Django."""

    pk = 7
    is_authenticated = True


class DjangoClient:
    """Calls the view as Django does, and keeps cookies."""

    def __init__(self, view: Any) -> None:
        self.view, self.requests, self.cookies = view, RequestFactory(), {}

    def _call(self, request: Any, path: str) -> Any:
        request.user = Visitor()
        request.COOKIES.update(self.cookies)
        request.META["HTTP_COOKIE"] = "; ".join(f"{k}={v}" for k, v in self.cookies.items())
        response = self.view(request, path.removeprefix("/history/"))
        self.cookies |= {name: it.value for name, it in response.cookies.items()}
        response.text = response.content.decode()
        return response

    def get(self, path: str, **_: Any) -> Any:
        return self._call(self.requests.get(path), path)

    def post(self, path: str, data: Any, headers: Any) -> Any:
        return self._call(
            self.requests.post(path, urlencode(data, doseq=True), FORM, headers=headers), path
        )


FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def configured() -> Iterator[None]:
    """Django has settings for a while."""
    before, settings._wrapped = settings._wrapped, empty
    settings.configure(ALLOWED_HOSTS=["testserver"], SECRET_KEY="for tests", LOGGING_CONFIG=None)
    yield
    settings._wrapped = before


def test_django(sheet: Sheet, configured: None) -> None:
    client = DjangoClient(history_view(pages()))
    check(client, sheet, "testserver")
    assert history_of(sheet)[-1].identity == 7
    assert client.view.csrf_exempt
    cookie = client.get(f"/history/Sheet/{sheet.pk}/3/undo").cookies["history_token"]
    assert (cookie["samesite"].lower(), cookie["httponly"]) == ("strict", True)
