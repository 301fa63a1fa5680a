"""What admins show, and how one finds one's way through them as a browser does."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import mongoengine as me
from support.browsing import fields_of

from mongoengine_history import changeset, track_history

HOST = "http://localhost"


@track_history
class Article(me.Document):
    """What an admin edits."""

    meta = {"collection": "admin_articles", "auto_create_index": False, "allow_inheritance": True}
    title = me.StringField()
    secret = me.StringField()
    owner = me.StringField()


class Essay(Article):
    """A kind of it, listed beside the others."""

    pages = me.IntField()


@track_history
class Tag(me.Document):
    """Something whose key is a text."""

    meta = {"collection": "admin_tags", "auto_create_index": False}
    id = me.StringField(primary_key=True)
    color = me.StringField()


def edited() -> Article:
    """Return an article with two revisions."""
    with changeset("carol", reason="for a start"):
        article = Article(title="tea", secret="leaves", owner="ada").save()
    with changeset("carol", reason="as asked"):
        article.modify(title="coffee", secret="beans")
    return article


def links(page: Any) -> list[str]:
    """Return where a page leads to."""
    assert page.status_code == 200, page.text
    return [unescape(it) for it in re.findall(r'href="(.*?)"', page.text)]


def history_of_an_odd_key(client: Any, listing: str) -> Any:
    """Store a tag whose key is made of signs, and follow its link on the page of all."""
    Tag(id="../a?b=<é>", color="blue").save()
    return client.get(next(it for it in links(client.get(listing)) if "/history/Tag/" in it))


def lead_back(client: Any, address: str, **changed: Any) -> Any:
    """Look at a preview, and send its form with all that is hidden in it."""
    page = client.get(address)
    assert page.status_code == 200, page.text
    hidden = dict(re.findall(r'type="hidden" name="(.*?)" value="(.*?)"', page.text))
    fields = {**hidden, **fields_of(page.text), "reason": "too early", **changed}
    return client.post(address, data=fields, headers={"Origin": HOST})
