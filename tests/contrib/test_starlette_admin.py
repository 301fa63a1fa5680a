"""A real admin of starlette-admin: histories of its rows, undo, and what was deleted."""

from __future__ import annotations

from html import unescape
from typing import Any

import pytest
from support.installed import ADMINS, need

need(ADMINS[1])

from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient
from starlette_admin.auth import AdminUser, BaseAuthProvider
from starlette_admin.contrib.mongoengine import Admin, ModelView
from support.admins import (
    HOST,
    Article,
    Essay,
    Tag,
    edited,
    history_of_an_odd_key,
    lead_back,
    links,
)
from support.marked import MARK, Marked

from mongoengine_history import OptionsError, history_of
from mongoengine_history.contrib.asgi import HistoryMiddleware
from mongoengine_history.contrib.starlette_admin import HistoryMixin, HistoryView, admin_user

pytestmark = pytest.mark.usefixtures("database")


@dataclass
class Member(AdminUser):
    pk: int = 7


class Headers(BaseAuthProvider):
    """Believes a header."""

    async def authenticate(self, request: Any) -> AdminUser | None:
        name = request.headers.get("x-user")
        if name == "member":
            return Member(username="the seventh")
        return AdminUser(username=name) if name else None

    def get_routes(self, templates: Any) -> list[Route]:
        return [Route(f"/{it}", PlainTextResponse(it), name=it) for it in ("login", "logout")]


class Articles(HistoryMixin, ModelView):
    """As an application writes it."""

    fields = ["id", "title", "secret", "owner"]


def client_of(*views: Any, user: str = "ada", below: str = "", **options: Any) -> TestClient:
    """A browser of an application with an admin of some views."""
    admin = Admin(
        auth_provider=Headers(),
        secret_key="not a secret",
        middlewares=[Middleware(HistoryMiddleware, identity=admin_user)],
        **options,
    )
    for view in views:
        admin.add_view(view)
    app = Starlette()
    admin.mount_to(app)
    whole = Starlette(routes=[Mount(below, app)]) if below else app
    headers = {"X-User": user} if user else {}
    return TestClient(whole, HOST, headers=headers, follow_redirects=False)


def browsed(*views: Any, **options: Any) -> TestClient:
    """The same with the histories of all of them."""
    return client_of(*views, HistoryView(*views), **options)


@pytest.fixture
def article(database: Any) -> Article:
    return edited()


@pytest.mark.parametrize("below", ["", "/shop"])
def test_each_row_and_its_details_lead_to_its_history(article: Article, below: str) -> None:
    client = browsed(Articles(Article), below=below)
    own = f"{below}/admin/history/Article/{article.pk}"
    assert own in links(client.get(f"{below}/admin/article/list"))
    assert own in links(client.get(f"{below}/admin/article/detail?pk={article.pk}"))
    page = client.get(own)
    assert f"{own}/2/undo" in links(page)
    assert "as asked" in page.text
    assert client.get(f"{below}/admin/history/static/history.css").status_code == 200


def test_what_leads_to_histories_is_named_in_the_language_of_the_pages(article: Article) -> None:
    view = Articles(Article)
    client = client_of(view, HistoryView(view, translations=Marked()))
    page = client.get("/admin/article/list").text
    assert MARK not in page
    assert f"⟦{MARK}Recover deleted⟧" in unescape(page)
    assert f"⟦{MARK}History⟧" in unescape(client.get(f"/admin/article/detail?pk={article.pk}").text)


def test_the_menu_leads_to_the_browser(article: Article) -> None:
    client = browsed(Articles(Article))
    assert f"{HOST}/admin/history" in links(client.get("/admin/"))
    for address in ("/admin/history", "/admin/history/"):
        assert f"/admin/history/Article/{article.pk}" in links(client.get(address))


@pytest.mark.parametrize(("user", "identity"), [("ada", "ada"), ("member", 7)])
def test_undo_is_recorded_with_who_is_logged_in(
    article: Article, user: str, identity: object
) -> None:
    client = browsed(Articles(Article), user=user)
    own = f"/admin/history/Article/{article.pk}"
    answer = lead_back(client, f"{own}/2/undo")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{own}/3?done=undo")
    article.reload()
    assert article.title == "tea"
    done = history_of(article)[-1]
    assert (done.operation, done.identity, done.reason) == ("undo", identity, "too early")


@pytest.mark.parametrize("field", ["csrftoken", "token"])
def test_a_form_without_each_of_its_tokens_is_refused(article: Article, field: str) -> None:
    address = f"/admin/history/Article/{article.pk}/2/undo"
    assert lead_back(browsed(Articles(Article)), address, **{field: ""}).status_code == 403
    assert len(history_of(article)) == 2


def act(client: TestClient, address: str) -> Any:
    """Press a button of a page, which sends the token of the cookie."""
    token = client.cookies["starlette_admin_csrftoken"]
    return client.post(address, headers={"X-CSRFToken": token})


def test_what_the_admin_deleted_is_recovered(article: Article) -> None:
    client = browsed(Articles(Article))
    page = client.get("/admin/article/list")
    assert "Recover deleted" in page.text
    act(client, f"/admin/_api/article/row-action?name=delete&pk={article.pk}")
    assert Article.objects.count() == 0
    listed = act(client, "/admin/_api/article/action?name=recover")
    assert listed.status_code == 303
    assert listed.headers["location"] == "/admin/history/deleted?model=Article"
    found = links(client.get(listed.headers["location"]))
    way = next(it for it in found if it.endswith("/restore"))
    assert lead_back(client, way).status_code == 303
    assert Article.objects.get().title == "coffee"
    assert [it.identity for it in history_of(article)[-2:]] == ["ada", "ada"]


def test_who_is_not_logged_in_sees_nothing(article: Article) -> None:
    client = browsed(Articles(Article), user="")
    own = f"/admin/history/Article/{article.pk}"
    for address in ("/admin/history/", own, f"{own}/2", f"{own}/2/undo", "/admin/history/deleted"):
        answer = client.get(address)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith(f"{HOST}/admin/login?")
    assert client.post(f"{own}/2/undo", data={}).status_code == 403
    assert len(history_of(article)) == 2


class Closed(Articles):
    def is_accessible(self, request: Any) -> bool:
        return request.state.admin_user.username == "ada"


class Partly(Articles):
    fields = ["id", "title", "secret"]
    exclude_fields_from_detail = ["secret"]


class Owned(Articles):
    async def find_by_pk(self, request: Any, pk: Any) -> Any:
        found = await super().find_by_pk(request, pk)
        name = request.state.admin_user.username
        return found if found is not None and found.owner == name else None


class Fixed(Articles):
    def can_edit(self, request: Any) -> bool:
        return False


def test_who_may_not_open_the_view_sees_nothing(article: Article) -> None:
    own = f"/admin/history/Article/{article.pk}"
    assert browsed(Closed(Article)).get(own).status_code == 200
    assert browsed(Closed(Article), user="bob").get(own).status_code == 403
    other = browsed(Closed(Article), Articles(Essay), user="bob")
    assert other.get(own).status_code == 404
    assert "coffee" not in other.get("/admin/history/").text


def test_what_the_view_leaves_out_is_hidden(article: Article) -> None:
    client = browsed(Partly(Article))
    own = f"/admin/history/Article/{article.pk}"
    for path in ("", "/1", "/2", "/2/state", "/1/revert"):
        page = unescape(client.get(f"{own}{path}").text)
        assert "tea" in page or "coffee" in page
        assert not [it for it in ("leaves", "beans", '"ada"') if it in page]


def test_documents_that_the_view_does_not_find_are_not_there(article: Article) -> None:
    own = f"/admin/history/Article/{article.pk}"
    assert browsed(Owned(Article)).get(own).status_code == 200
    assert browsed(Owned(Article), user="bob").get(own).status_code == 404


def test_who_may_not_edit_leads_nothing_back(article: Article) -> None:
    client = browsed(Fixed(Article))
    own = f"/admin/history/Article/{article.pk}"
    assert f"{own}/2/undo" not in links(client.get(own))
    assert client.get(f"{own}/2/undo").status_code == 403


class Tags(HistoryMixin, ModelView):
    fields = ["id", "color"]


def test_what_would_have_to_be_awaited_lets_nobody_in(article: Article) -> None:
    class Waiting(Articles):
        async def may_see_history(self, *_: Any) -> Any:
            return False

    client = browsed(Waiting(Article))
    with pytest.raises(TypeError, match="no answer"):
        client.get(f"/admin/history/Article/{article.pk}")


def test_a_key_may_be_any_text(database: Any) -> None:
    page = history_of_an_odd_key(browsed(Tags(Tag)), "/admin/tag/list")
    assert page.status_code == 200
    assert "blue" in page.text


def test_without_the_browser_the_admin_is_as_it_was(article: Article) -> None:
    client = client_of(Articles(Article))
    pages = ("list", f"detail?pk={article.pk}")
    found = [client.get(f"/admin/article/{it}") for it in pages]
    assert [it for page in found for it in links(page) if "history" in it] == []
    assert "Recover" not in found[0].text


def test_a_browser_of_nothing_is_refused() -> None:
    with pytest.raises(OptionsError):
        HistoryView()
