"""Who is logged in with Flask-Login answers for what a request writes."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from flask import Flask, Response
from flask_login import AnonymousUserMixin, LoginManager, UserMixin, login_user, logout_user
from mongoengine import Document, StringField
from support.notes import authors, records, write
from werkzeug.test import EnvironBuilder

from mongoengine_history.contrib.flask import FlaskHistory

pytestmark = pytest.mark.usefixtures("database")


class Member(UserMixin, Document):
    name = StringField()


class Guest(UserMixin):
    """A user that no database knows."""

    def get_id(self) -> str:
        return "guest"


@pytest.fixture
def site() -> Flask:
    """An application with Flask-Login."""
    app = Flask(__name__)
    app.secret_key = "not a secret"
    history = FlaskHistory()
    history.init_app(app)
    manager = LoginManager(app)

    @manager.user_loader
    def load(user_id: str) -> Any:
        return Guest() if user_id == "guest" else Member.objects(id=user_id).first()

    @app.post("/login/<name>")
    def login(name: str) -> str:
        write(f"before {name}")
        login_user(Guest() if name == "guest" else Member.objects.get(name=name))
        return write(f"login {name}")

    @app.post("/logout/<name>")
    def logout(name: str) -> str:
        logout_user()
        return write(f"logout {name}")

    @app.post("/notes/<text>")
    def create(text: str) -> str:
        return write(text)

    return app


def test_who_logged_in_answers(site: Flask) -> None:
    """Known as soon as they log in, by their primary key; nobody before and after."""
    ada, bob = Member(name="ada").save(), Member(name="bob").save()
    clients = {member.name: site.test_client() for member in (ada, bob)}
    for action in ("/login/{}", "/notes/{}", "/logout/{}"):
        for name, browser in clients.items():
            assert browser.post(action.format(name)).status_code == 200
    assert authors() == {
        "before ada": None,
        "login ada": ada.id,
        "ada": ada.id,
        "logout ada": None,
        "before bob": None,
        "login bob": bob.id,
        "bob": bob.id,
        "logout bob": None,
    }


def test_a_user_without_a_primary_key_is_known_by_their_id(site: Flask) -> None:
    browser = site.test_client()
    browser.post("/login/guest")
    browser.post("/notes/tea")
    assert authors()["tea"] == "guest"


def test_who_is_not_logged_in_is_nobody(site: Flask) -> None:
    """Also if an application gives them an id."""
    site.login_manager.anonymous_user = type(
        "Visitor", (AnonymousUserMixin,), {"get_id": lambda self: "visitor"}
    )
    site.test_client().post("/notes/tea")
    assert authors() == {"tea": None}


def test_who_is_logged_in_is_asked_when_something_is_written(site: Flask, commands: Any) -> None:
    """A request that writes nothing reads no user."""
    site.add_url_rule("/idle", view_func=lambda: "nothing")
    Member(name="ada").save()
    browser = site.test_client()
    browser.post("/login/ada")
    commands.clear()
    assert browser.get("/idle").text == "nothing"
    assert commands.names == []
    browser.post("/notes/tea")
    assert [sent["find"] for sent in commands.sent if "find" in sent].count("member") == 1


def test_without_a_login_manager_nobody_answers() -> None:
    app = Flask(__name__)
    FlaskHistory(app)
    app.add_url_rule("/", view_func=lambda: write("tea"))
    assert app.test_client().get("/").text == "tea"
    assert authors() == {"tea": None}


def test_flask_login_is_not_needed() -> None:
    """Where it is not installed, nobody answers."""
    code = """
import sys

sys.modules["flask_login"] = None  # which Python takes for: there is none
from flask import Flask
from mongoengine_history.contrib.flask import FlaskHistory, logged_in

with Flask("shop").test_request_context():
    print(logged_in())
"""
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "None\n"


def test_what_runs_when_the_response_is_closed_belongs_to_its_request(site: Flask) -> None:
    @site.post("/closing")
    def closing() -> Response:
        response = Response(write("view"))
        response.call_on_close(lambda: write("close"))
        return response

    environ = EnvironBuilder("/closing", method="POST").get_environ()
    site(environ, lambda *_: print).close()
    assert authors() == {"view": None, "close": None}
    assert records()["view"].changeset == records()["close"].changeset
