"""A real admin of Flask-Admin: histories of its rows, undo, and what was deleted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.installed import ADMINS, need

need(ADMINS[0])

from flask import Flask, redirect
from flask.testing import FlaskClient
from flask_admin import Admin
from flask_admin.contrib.mongoengine import ModelView
from flask_login import LoginManager, UserMixin, current_user, login_user
from support.admins import Article, Essay, Tag, edited, history_of_an_odd_key, lead_back, links
from support.marked import MARK, Marked

from mongoengine_history import OptionsError, history_of
from mongoengine_history.contrib.flask import FlaskHistory
from mongoengine_history.contrib.flask_admin import HistoryMixin, HistoryView

pytestmark = pytest.mark.usefixtures("database")


class Member(UserMixin):
    def __init__(self, name: str) -> None:
        self.id = name


class Articles(HistoryMixin, ModelView):
    """As an application writes it."""

    can_view_details = True

    def is_accessible(self) -> bool:
        return current_user.is_authenticated


def client_of(
    *views: Any,
    user: str = "ada",
    templates: str = "templates",
    connect: Callable[[Flask], object] = FlaskHistory,
    **options: Any,
) -> FlaskClient:
    """A browser of an application with Flask-Login and an admin of some views."""
    app = Flask(__name__, template_folder=templates)
    app.secret_key = "not a secret"
    connect(app)
    LoginManager(app).user_loader(Member)
    app.add_url_rule("/login/<name>", view_func=lambda name: str(login_user(Member(name))))
    Admin(app, **options).add_views(*views)
    client = app.test_client()
    if user:
        client.get(f"/login/{user}")
    return client


def browsed(*views: Any, **options: Any) -> FlaskClient:
    """The same with the histories of all of them."""
    return client_of(*views, HistoryView(*views), **options)


@pytest.fixture
def article(database: Any) -> Article:
    return edited()


def test_each_row_leads_to_its_history(article: Article) -> None:
    client = browsed(Articles(Article))
    own = f"/admin/history/Article/{article.pk}"
    assert own in links(client.get("/admin/article/"))
    page = client.get(own)
    assert f"{own}/2/undo" in links(page)
    assert "as asked" in page.text
    assert client.get("/admin/history/static/history.css").status_code == 200


@pytest.mark.parametrize("page", ["details", "edit"])
def test_what_shows_a_document_has_a_tab(article: Article, page: str) -> None:
    client = browsed(Articles(Article), url="/backstage")
    found = client.get(f"/backstage/article/{page}/?id={article.pk}")
    assert f"/backstage/history/Article/{article.pk}" in links(found)
    assert found.text.count("</ul>") == found.text.count("<ul")


def test_what_leads_to_histories_is_named_in_the_language_of_the_pages(article: Article) -> None:
    view = Articles(Article)
    client = client_of(view, HistoryView(view, name="Verlauf", translations=Marked()))
    pages = [client.get("/admin/article/"), client.get(f"/admin/article/edit/?id={article.pk}")]
    for page, count in zip(pages, (2, 1), strict=True):  # of a row, and of what was deleted
        assert page.text.count("⟦") == count
        assert MARK not in page.text


def test_the_form_for_a_new_document_has_no_tab(article: Article) -> None:
    page = browsed(Articles(Article)).get("/admin/article/new/")
    assert [it for it in links(page) if "/history/" in it] == ["/admin/history/"]


def test_a_template_of_the_application_has_it_too(article: Article, tmp_path: Path) -> None:
    class Own(Articles):
        list_template = "own.html"

    own = "{% extends 'admin/model/list.html' %}{% block body %}mine {{ super() }}{% endblock %}"
    (tmp_path / "own.html").write_text(own)
    page = browsed(Own(Article), templates=str(tmp_path)).get("/admin/article/")
    assert "mine" in page.text
    assert f"/admin/history/Article/{article.pk}" in links(page)


@pytest.mark.parametrize("connect", [FlaskHistory, str])
def test_undo_is_recorded_with_who_is_logged_in(
    article: Article, connect: Callable[[Flask], object]
) -> None:
    client = browsed(Articles(Article), connect=connect)
    own = f"/admin/history/Article/{article.pk}"
    answer = lead_back(client, f"{own}/2/undo")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{own}/3?done=undo")
    article.reload()
    assert article.title == "tea"
    done = history_of(article)[-1]
    assert (done.operation, done.identity, done.reason) == ("undo", "ada", "too early")


def test_what_the_admin_deleted_is_recovered(article: Article) -> None:
    client = browsed(Articles(Article))
    client.post("/admin/article/delete/", data={"id": str(article.pk)})
    assert Article.objects.count() == 0
    listed = next(it for it in links(client.get("/admin/article/")) if "deleted" in it)
    assert listed == "/admin/history/deleted?model=Article"
    way = next(it for it in links(client.get(listed)) if it.endswith("/restore"))
    assert lead_back(client, way).status_code == 303
    assert Article.objects.get().title == "coffee"
    assert [it.identity for it in history_of(article)[-2:]] == ["ada", "ada"]


def test_who_is_not_logged_in_sees_nothing(article: Article) -> None:
    client = browsed(Articles(Article), user="")
    own = f"/admin/history/Article/{article.pk}"
    for address in ("/admin/history/", own, f"{own}/2", f"{own}/2/undo", "/admin/history/deleted"):
        answer = client.get(address)
        assert answer.status_code == 403
        assert "coffee" not in answer.text
    assert client.post(f"{own}/2/undo", data={}).status_code == 403
    assert history_of(article)[-1].number == 2


def test_who_is_not_logged_in_is_led_where_the_view_leads_to(article: Article) -> None:
    class Polite(Articles):
        def inaccessible_callback(self, name: str, **_: Any) -> Any:
            return redirect("/sign-in")

    answer = browsed(Polite(Article), user="").get(f"/admin/history/Article/{article.pk}")
    assert (answer.status_code, answer.headers["location"]) == (302, "/sign-in")


class Secrets(Articles):
    column_exclude_list = ["owner"]
    column_details_exclude_list = ["secret"]


class Own(Articles):
    def get_query(self) -> Any:
        return Article.objects(owner=current_user.get_id())


class Fixed(Articles):
    can_edit = False


def test_what_the_view_leaves_out_is_hidden(article: Article) -> None:
    client = browsed(Secrets(Article))
    for path in ("", "/2", "/2/state", "/1/revert"):
        page = client.get(f"/admin/history/Article/{article.pk}{path}").text
        assert "coffee" in page
        assert not [it for it in ("leaves", "beans") if it in page]


def test_documents_that_the_view_does_not_list_are_not_there(article: Article) -> None:
    path = f"/admin/history/Article/{article.pk}"
    assert browsed(Own(Article)).get(path).status_code == 200
    assert browsed(Own(Article), user="bob").get(path).status_code == 404
    article.delete()
    assert browsed(Own(Article)).get(path).status_code == 404


def test_who_may_not_edit_leads_nothing_back(article: Article) -> None:
    client = browsed(Fixed(Article))
    own = f"/admin/history/Article/{article.pk}"
    assert f"{own}/2/undo" not in links(client.get(own))
    assert client.get(f"{own}/2/undo").status_code == 403


def test_what_would_have_to_be_awaited_lets_nobody_in(article: Article) -> None:
    class Waiting(Articles):
        async def may_see_history(self, *_: Any) -> Any:
            return False

    answer = browsed(Waiting(Article)).get(f"/admin/history/Article/{article.pk}")
    assert (answer.status_code, "as asked" in answer.text) == (500, False)


def test_a_class_belongs_to_views_that_are_accessible(article: Article) -> None:
    class Closed(Articles):
        def is_accessible(self) -> bool:
            return False

    essay = Essay(title="on tea", pages=3).save()
    client = browsed(Closed(Article), Articles(Essay))
    assert client.get(f"/admin/history/Article/{article.pk}").status_code == 404
    own = next(it for it in links(client.get("/admin/essay/")) if it.endswith(str(essay.pk)))
    assert own == f"/admin/history/Article.Essay/{essay.pk}"
    assert client.get(own).status_code == 200


def test_a_subclass_in_the_list_of_its_base(article: Article) -> None:
    essay = Essay(title="on tea", pages=3).save()
    client = browsed(Articles(Article))
    own = f"/admin/history/Article/{essay.pk}"
    assert own in links(client.get("/admin/article/"))
    assert client.get(own).status_code == 200


def test_a_key_may_be_any_text(database: Any) -> None:
    page = history_of_an_odd_key(browsed(Articles(Tag)), "/admin/tag/")
    assert page.status_code == 200
    assert "blue" in page.text


def test_without_the_browser_the_admin_is_as_it_was(article: Article) -> None:
    client = client_of(Articles(Article))
    pages = ("/", f"/details/?id={article.pk}")
    found = [it for page in pages for it in links(client.get(f"/admin/article{page}"))]
    assert [it for it in found if "history" in it] == []


@pytest.mark.parametrize("make", [HistoryView, lambda: HistoryView(Articles(Article), secret=b"")])
def test_a_browser_of_nothing_is_refused(make: Callable[[], Any]) -> None:
    with pytest.raises(OptionsError):
        make()
