"""Commands that look over all documents."""

from __future__ import annotations

from typing import Any

import pytest
from support.shelves import HOOK, SHELF, Hook, hook, shelf

from mongoengine_history import changeset, history_of, record_event


def test_search_tells_the_newest_of_all_documents_first(run: Any) -> None:
    made = shelf()
    hook()
    record_event("login", user="ada")
    lines = run("search").lines
    heads = [it for it in lines if not it.startswith((" ", "1.", "2.", "3."))]
    assert heads == ["event of no document", *["hook door"] * 3, *[f"shelf {made.pk}"] * 3]
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (["by:ben"], [("hook", 2), ("shelf", 2)]),
        (["--by", "ben"], [("hook", 2), ("shelf", 2)]),
        (["model:hook", "path:colour"], [("hook", 2), ("hook", 1)]),
        (["model:hook", "--touching", "colour"], [("hook", 2), ("hook", 1)]),
        (["operation:create"], [("hook", 1), ("shelf", 1)]),
        (["between:2001-01-01..2002-01-01"], []),
        (["--since", "1h", "--operation", "create", "model:shelf"], [("shelf", 1)]),
        (["-m", SHELF, "path:height", "by:cleo"], [("shelf", 3)]),
        (["-m", HOOK, "-m", SHELF, "by:cleo"], [("hook", 3), ("shelf", 3)]),
    ],
)
def test_search_keeps_what_is_asked_for(run: Any, asked: list[str], found: list[Any]) -> None:
    shelf(), hook()
    data = run("search", *asked, "--json").data
    assert [(it["collection"], it["number"]) for it in data] == found


def test_search_goes_on_page_by_page(run: Any) -> None:
    hook(), hook("gate")
    first = run("search", "-n", 4)
    hint = first.err.split()
    assert hint[:3] == ["Older", "ones:", "--before"]
    rest = run("search", "-n", 4, "--before", hint[3], "--json").data
    assert [(it["id"], it["number"]) for it in rest] == [("door", 2), ("door", 1)]


def test_a_question_that_is_none(run: Any) -> None:
    hook()
    for words in (["who:ada"], ["ada"], ["model:nobody"], ["between:then"]):
        ended = run("search", *words)
        assert (ended.code, ended.out) == (2, "")
    assert "No such revision" in run("search", "by:nobody").err


def test_a_changeset_is_told_as_a_whole(run: Any) -> None:
    hook("a"), hook("b")
    with changeset("ann", reason="moved") as block:
        Hook.objects(name="a").update(set__load=7)
        Hook.objects(name="b").delete()
    lines = run("changeset", block.id).lines
    assert [it for it in lines if it.startswith("hook")] == ["hook a", "hook b"]
    assert "  ~ load: 3 → 7" in lines
    assert [it["id"] for it in run("-m", HOOK, "changeset", block.id, "--json").data] == ["a", "b"]
    assert run("changeset", "0" * 24).code == 2
    assert run("changeset", "nobody").code == 2


def test_deleted_tells_at_most_so_many(run: Any) -> None:
    hook("a").delete(), hook("b").delete()
    assert len(run("deleted", "hook", "--json").data) == 2
    assert len(run("deleted", "hook", "--json", "-n", 1).data) == 1
    assert history_of(Hook, "a")[-1].operation == "delete"
    assert run("deleted", "hook", "x").code == 2
