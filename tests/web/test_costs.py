"""What a page costs: the first one of a long history as much as that of a short one."""

from __future__ import annotations

from typing import Any

import pytest
from support.browsing import Cell, Sheet, browse

pytestmark = pytest.mark.usefixtures("database")


def questions(commands: Any, address: str) -> list[str]:
    client = browse(user="eve")
    client.get(address)
    commands.clear()
    assert client.get(address).status_code == 200
    return commands.names


@pytest.mark.parametrize("count", [3, 300])
def test_the_first_page_of_a_document(commands: Any, count: int) -> None:
    sheet = Sheet(total=0).save()
    for total in range(1, count):
        Sheet.objects(pk=sheet.pk).update(total=total)
    assert questions(commands, f"/Sheet/{sheet.pk}") == ["find", "find", "find"]


def test_other_pages(commands: Any) -> None:
    sheet = Sheet(total=0).save()
    for total in range(1, 40):
        Sheet.objects(pk=sheet.pk).update(total=total)
    assert len(questions(commands, f"/Sheet/{sheet.pk}/30")) <= 5
    assert len(questions(commands, f"/Sheet/{sheet.pk}/compare")) <= 8
    assert len(questions(commands, f"/Sheet/{sheet.pk}/30/state")) <= 8
    assert len(questions(commands, "/")) <= 5
    sheet.delete()
    Cell(name="gone").save().delete()
    assert len(questions(commands, "/deleted")) <= 6
