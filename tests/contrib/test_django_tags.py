"""Tags in the templates of a real Django site: the way to a history, and the newest of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import django
import pytest
from django.conf import empty, settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.test import Client, override_settings
from django.test.utils import override_script_prefix
from django.urls import path, re_path
from support.admins import Article, Essay, edited, lead_back, links

from mongoengine_history import OptionsError, history_of
from mongoengine_history.web.browser import history_browser
from mongoengine_history.web.django import history_view

pytestmark = pytest.mark.usefixtures("database")

LIBRARY = "mongoengine_history.contrib.django_tags"

PAGES = {
    "article.html": "{% load history %}{% history_link article %}|{% history article %}",
    "brief.html": "{% load history %}{% history_link article article.title %}"
    "{% history article 1 %}",
}


def of_header(get_response: Callable[[HttpRequest], HttpResponse]) -> Any:
    """A middleware that believes a header."""

    def answer(request: HttpRequest) -> HttpResponse:
        name = request.headers.get("X-User")
        request.user = SimpleNamespace(pk=name, is_authenticated=name is not None)
        return get_response(request)

    return answer


def may_see(request: Any, model: Any, pk: Any, path: str | None) -> bool:
    user = request.scope.get("user")
    return user is not None and (path != "secret" or user.pk == "ada")


def may_restore(*asked: Any) -> bool:
    return may_see(*asked)


def show(request: HttpRequest, page: str, pk: str) -> HttpResponse:
    if request.method == "POST":
        request.POST.get("name")  # the body has been read
    return render(request, f"{page}.html", {"article": Article.objects.get(pk=pk)})


BROWSER = history_browser(Article, may_see=may_see, may_restore=may_restore)

urlpatterns = [
    path("articles/<page>/<pk>", show),
    re_path(r"^past/(.*)$", history_view(BROWSER), name="history_browser"),
]


@pytest.fixture(scope="module", autouse=True)
def site() -> Iterator[None]:
    """Django with settings of its own for a while."""
    before, settings._wrapped = settings._wrapped, empty
    settings.configure(ALLOWED_HOSTS=["localhost"], SECRET_KEY="for tests", LOGGING_CONFIG=None)
    django.setup()
    loaders = [("django.template.loaders.locmem.Loader", PAGES)]
    context = ["django.template.context_processors.request"]
    options = {
        "loaders": loaders,
        "libraries": {"history": LIBRARY},
        "context_processors": context,
    }
    engine = {"BACKEND": "django.template.backends.django.DjangoTemplates", "OPTIONS": options}
    with override_settings(
        MIDDLEWARE=[f"{__name__}.of_header"], ROOT_URLCONF=__name__, TEMPLATES=[engine]
    ):
        yield
    settings._wrapped = before


class Browser(Client):
    """The test client of Django, as other test clients are called."""

    def __init__(self, user: str | None = None) -> None:
        super().__init__(headers={"host": "localhost", **({"X-User": user} if user else {})})

    def post(self, path: str, data: Any, **more: Any) -> Any:
        form = "application/x-www-form-urlencoded"
        return super().post(path, urlencode(data, doseq=True), content_type=form, **more)

    def request(self, **request: Any) -> Any:
        response = super().request(**request)
        response.text = response.content.decode()
        return response


@pytest.fixture
def article(database: Any) -> Article:
    return edited()


def test_a_page_leads_to_the_history(article: Article) -> None:
    client = Browser("ada")
    own = f"/past/Article/{article.pk}"
    assert own in links(client.get(f"/articles/article/{article.pk}"))
    assert f"{own}/2/undo" in links(client.get(own))


def test_undo_is_recorded_with_who_is_logged_in(article: Article) -> None:
    own = f"/past/Article/{article.pk}"
    answer = lead_back(Browser("ada"), f"{own}/2/undo")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{own}/3?done=undo")
    assert history_of(article)[-1].identity == "ada"


def test_a_page_tells_the_newest_revisions(article: Article) -> None:
    page = Browser("ada").get(f"/articles/article/{article.pk}")
    assert f"/past/Article/{article.pk}/2" in links(page)
    for said in ("carol", "for a start", "as asked", "<del>&quot;tea&quot;</del>", "beans"):
        assert said in page.text
    assert page.text.index("as asked") < page.text.index("for a start")


def test_a_page_says_how_many_and_what_the_link_says(article: Article) -> None:
    page = Browser("ada").get(f"/articles/brief/{article.pk}")
    assert ">coffee</a>" in page.text
    assert ("as asked" in page.text, "for a start" in page.text) == (True, False)


def test_the_page_after_a_form_tells_them_too(article: Article) -> None:
    page = Browser("ada").post(f"/articles/article/{article.pk}", {"name": "ada"})
    assert "as asked" in page.text


def test_each_reader_is_told_what_they_may_see(article: Article) -> None:
    page = Browser("bob").get(f"/articles/article/{article.pk}").text
    assert ("coffee" in page, "beans" in page) == (True, False)


def test_who_is_not_logged_in_is_told_nothing(article: Article) -> None:
    page = Browser().get(f"/articles/article/{article.pk}").text
    assert page.partition("|")[2].strip() == ""
    assert Browser().get(f"/past/Article/{article.pk}").status_code == 404


def test_what_a_page_tells_is_escaped(article: Article) -> None:
    article.modify(title="<script>alert(1)</script>")
    page = Browser("ada").get(f"/articles/brief/{article.pk}").text
    assert page.count("&lt;script&gt;") == 2
    assert "<script" not in page


def test_a_subclass_stands_below_its_base(article: Article) -> None:
    essay = Essay(title="on tea", pages=3).save()
    assert BROWSER.path_of(essay) == f"Article/{essay.pk}"
    page = Browser("ada").get(f"/articles/article/{essay.pk}")
    assert f"/past/Article/{essay.pk}" in links(page)


def test_a_site_below_a_path_of_the_server(article: Article) -> None:
    with override_script_prefix("/shop/"):
        page = Browser("ada").get(f"/articles/article/{article.pk}")
    assert f"/shop/past/Article/{article.pk}" in links(page)
    assert f"/shop/past/Article/{article.pk}/2" in links(page)


def test_a_document_that_the_browser_does_not_show_has_no_path(article: Article) -> None:
    with pytest.raises(OptionsError, match="does not show"):
        history_browser(Essay).path_of(article)
    with pytest.raises(OptionsError):
        BROWSER.path_of(Article())
