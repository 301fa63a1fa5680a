"""Requests of real Flask applications, and who answers for what they write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from threading import Barrier
from typing import Any

import pytest
from flask import Flask, Response, abort, request, send_file, stream_with_context
from flask.testing import FlaskClient
from support.notes import authors, records, write
from werkzeug.test import EnvironBuilder
from werkzeug.wsgi import FileWrapper

from mongoengine_history import changeset
from mongoengine_history.contrib.flask import FlaskHistory

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def app() -> Flask:
    """Who it is stands in a header, as with a token."""
    app = Flask(__name__)
    FlaskHistory(app, identity=lambda: request.headers.get("User"))

    @app.post("/notes/<text>")
    def create(text: str) -> str:
        return write(text)

    @app.post("/pairs/<text>")
    def create_two(text: str) -> str:
        return write(f"{text} 1") + write(f"{text} 2")

    @app.post("/broken/<text>")
    def fail(text: str) -> str:
        write(text)
        raise ZeroDivisionError

    @app.post("/refused/<text>")
    def refuse(text: str) -> str:
        write(text)
        abort(403)

    @app.post("/streams/<text>")
    def stream(text: str) -> Response:
        write(f"{text} 0")
        return Response(write(f"{text} {number}") for number in (1, 2))

    return app


@pytest.fixture
def browser(app: Flask) -> FlaskClient:
    return app.test_client()


def post(browser: FlaskClient, path: str, user: str | None = None, **options: Any) -> Any:
    return browser.post(path, headers={"User": user} if user else {}, **options)


def test_each_request_has_its_own_user_and_changeset(browser: FlaskClient) -> None:
    post(browser, "/pairs/a", "ada")
    post(browser, "/pairs/b", "bob")
    assert authors() == {"a 1": "ada", "a 2": "ada", "b 1": "bob", "b 2": "bob"}
    ids = {text: record.changeset for text, record in records().items()}
    assert ids["a 1"] == ids["a 2"] != ids["b 1"] == ids["b 2"]


def test_a_revision_says_which_request_made_it(browser: FlaskClient) -> None:
    post(browser, "/notes/tea?token=secret", "ada")
    assert records()["tea"].metadata == {"request": "POST /notes/tea"}


def test_an_anonymous_request_is_nobodys(browser: FlaskClient) -> None:
    post(browser, "/notes/tea", "ada")
    post(browser, "/notes/milk")
    assert authors() == {"tea": "ada", "milk": None}


@pytest.mark.parametrize("path", ["/broken/a", "/refused/a"])
def test_nothing_remains_of_a_request_that_failed(browser: FlaskClient, path: str) -> None:
    assert post(browser, path, "ada").status_code in {403, 500}
    write("b")
    assert authors() == {"a": "ada", "b": None}
    assert records()["b"].changeset is None


def test_nothing_remains_of_an_error_that_reaches_the_server(
    app: Flask, browser: FlaskClient
) -> None:
    app.testing = True
    with pytest.raises(ZeroDivisionError):
        post(browser, "/broken/a", "ada")
    write("b")
    assert records()["b"].changeset is None


def test_a_request_that_an_earlier_function_answers_leaves_nothing() -> None:
    app = Flask(__name__)
    app.before_request(lambda: "closed")
    FlaskHistory(app)
    assert app.test_client().get("/").text == "closed"
    write("b")
    assert records()["b"].changeset is None


def test_error_handlers_and_functions_after_the_request_belong_to_it(
    app: Flask, browser: FlaskClient
) -> None:
    @app.errorhandler(403)
    def refused(_error: Exception) -> str:
        return write("handler")

    @app.after_request
    def after(response: Response) -> Response:
        write("after")
        return response

    post(browser, "/refused/a", "ada")
    assert set(authors().values()) == {"ada"}
    assert len({record.changeset for record in records().values()}) == 1


@pytest.mark.parametrize("wrap", [iter, stream_with_context])
def test_what_a_stream_writes_belongs_to_its_request(
    app: Flask, browser: FlaskClient, wrap: Callable[[Iterator[str]], Iterator[str]]
) -> None:
    @app.post("/both")
    def both() -> Response:
        write("before")
        return Response(wrap(write(f"{request.path} {number}") for number in (1, 2)))

    assert post(browser, "/both", "ada").text == "/both 1/both 2"
    write("b")
    assert authors() == {"before": "ada", "/both 1": "ada", "/both 2": "ada", "b": None}
    changesets = {text: record.changeset for text, record in records().items()}
    assert changesets.pop("b") is None
    assert len(set(changesets.values())) == 1


def test_streams_that_are_read_in_turn_stay_apart(browser: FlaskClient) -> None:
    streams = [post(browser, f"/streams/{user}", user).iter_encoded() for user in ("ada", "bob")]
    next(streams[0])
    write("between")
    for stream in reversed(streams):
        list(stream)
    expected = {f"{user} {number}": user for user in ("ada", "bob") for number in range(3)}
    assert authors() == {**expected, "between": None}
    assert len({record.changeset for record in records().values()}) == 3


def served(app: Flask, path: str, user: str) -> Any:
    """What a server gets, before it asks for the first part."""
    environ = EnvironBuilder(path, method="POST", headers={"User": user}).get_environ()
    return app.wsgi_app(environ, lambda *_: print)


@pytest.mark.parametrize("parts_read", [0, 1])
def test_a_stream_that_nobody_reads_to_its_end_leaves_nothing(app: Flask, parts_read: int) -> None:
    @app.post("/endless")
    def endless() -> Response:
        @stream_with_context
        def parts() -> Iterator[str]:
            try:
                while True:
                    yield write("part")
            finally:
                write("last")

        return Response(parts())

    response = served(app, "/endless", "ada")
    assert list(islice(response, parts_read)) == [b"part"] * parts_read
    response.close()
    write("b")
    parts = {"part": "ada", "last": "ada"} if parts_read else {}
    assert authors() == {**parts, "b": None}


def test_files_are_passed_through_as_they_are(app: Flask) -> None:
    """A server may have a faster way to send them."""
    app.add_url_rule("/file", view_func=lambda: send_file(__file__), methods=["POST"])
    response = served(app, "/file", "ada")
    assert isinstance(response, FileWrapper)
    response.close()


def test_a_client_that_keeps_its_request_keeps_no_changeset(browser: FlaskClient) -> None:
    with browser:
        post(browser, "/notes/a", "ada")
        assert request.path == "/notes/a"
        write("between")
        post(browser, "/notes/b", "bob")
    write("after")
    assert authors() == {"a": "ada", "between": None, "b": "bob", "after": None}
    assert len({record.changeset for record in records().values()}) == 3


def test_requests_within_an_application_context_stay_apart(
    app: Flask, browser: FlaskClient
) -> None:
    with app.app_context():
        post(browser, "/notes/a", "ada")
        post(browser, "/notes/b", "bob")
    assert authors() == {"a": "ada", "b": "bob"}
    assert records()["a"].changeset != records()["b"].changeset


def test_a_request_within_a_request_shares_its_changeset(app: Flask, browser: FlaskClient) -> None:
    @app.post("/outer")
    def outer() -> str:
        write("before")
        post(app.test_client(), "/notes/inner", "bob")
        return write("after")

    post(browser, "/outer", "ada")
    assert authors() == {"before": "ada", "inner": "bob", "after": "ada"}
    assert len({record.changeset for record in records().values()}) == 1
    assert records()["inner"].metadata == {"request": "POST /notes/inner"}
    assert records()["after"].metadata == {"request": "POST /outer"}


def test_concurrent_requests_keep_their_users(app: Flask) -> None:
    users = [f"user{number}" for number in range(20)]
    met = Barrier(len(users), timeout=60)

    @app.post("/meet")
    def meet() -> str:
        write(f"{request.headers['User']} 1")
        met.wait()
        return write(f"{request.headers['User']} 2")

    with ThreadPoolExecutor(len(users)) as pool:
        list(pool.map(lambda user: post(app.test_client(), "/meet", user), users))
    written = records()
    assert authors() == {f"{user} {number}": user for user in users for number in (1, 2)}
    for user in users:
        assert written[f"{user} 1"].changeset == written[f"{user} 2"].changeset
    assert len({record.changeset for record in written.values()}) == len(users)


def test_a_thread_serves_one_user_after_the_other(app: Flask) -> None:
    users = [f"user{number}" for number in range(20)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda user: post(app.test_client(), f"/notes/{user}", user), users))
        list(pool.map(write, ["x", "y", "z"]))
    assert authors() == {**{user: user for user in users}, "x": None, "y": None, "z": None}


def test_an_async_view_belongs_to_its_request(app: Flask, browser: FlaskClient) -> None:
    @app.post("/later")
    async def later() -> str:
        return write("tea")

    post(browser, "/later", "ada")
    write("b")
    assert authors() == {"tea": "ada", "b": None}


def test_an_application_that_answers_for_another_shares_its_environment(
    app: Flask, browser: FlaskClient
) -> None:
    inner = Flask("inner")
    FlaskHistory(inner, identity=lambda: "inner")
    inner.add_url_rule("/pass", view_func=lambda: write("inner"), methods=["POST"])

    @app.post("/pass")
    def outer() -> bytes:
        answer = b"".join(inner(request.environ, lambda *_: print))
        write("after")
        return answer

    assert post(browser, "/pass", "ada").text == "inner"
    assert authors() == {"inner": "inner", "after": "ada"}
    assert len({record.changeset for record in records().values()}) == 1


def test_preparing_a_request_by_hand_opens_nothing(app: Flask) -> None:
    with app.test_request_context("/", headers={"User": "ada"}):
        app.preprocess_request()
        write("tea")
    assert records()["tea"].changeset is None


def test_metadata_is_added() -> None:
    app = Flask(__name__)
    FlaskHistory(app, metadata=lambda: {"address": request.remote_addr})
    app.add_url_rule("/", view_func=lambda: write("tea"))
    app.test_client().get("/")
    assert records()["tea"].metadata == {"request": "GET /", "address": "127.0.0.1"}


def test_an_inner_changeset_adds_to_that_of_the_request(app: Flask, browser: FlaskClient) -> None:
    @app.post("/import")
    def bring_in() -> str:
        with changeset(reason="spring sale", row=7):
            return write("tea")

    post(browser, "/import", "ada")
    record = records()["tea"]
    assert (record.identity, record.reason) == ("ada", "spring sale")
    assert record.metadata == {"request": "POST /import", "row": 7}


def test_connecting_an_application_twice_does_no_harm(app: Flask, browser: FlaskClient) -> None:
    FlaskHistory().init_app(app)
    post(browser, "/notes/a", "ada")
    write("b")
    assert authors() == {"a": "ada", "b": None}
    assert records()["b"].changeset is None
