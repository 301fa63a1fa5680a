"""All pages in a real browser: by keyboard and mouse, with and without scripts, on two widths."""

from __future__ import annotations

from typing import Any

import pytest
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.support.wait import WebDriverWait
from support.browsing import Cell, Sheet, Ware, everybody, ordered

from mongoengine_history import changeset, history_of, record_event
from mongoengine_history.web.browser import history_browser

pytestmark = pytest.mark.usefixtures("database")

SIZES = [(1400, 1000), (400, 900)]

SERIOUS = """
const done = arguments[arguments.length - 1];
axe.run({resultTypes: ["violations"]}).then((found) => done(
    found.violations
        .filter((it) => ["serious", "critical"].includes(it.impact))
        .map((it) => it.id + ": " + it.nodes.map((node) => node.html).slice(0, 3).join(" | "))));
"""


@pytest.fixture
def sheet(database: Any) -> Sheet:
    sheet = ordered()
    with changeset("bob", reason="has moved", ticket=12):
        sheet.street.city, sheet.note = "York", "ring twice and wait " * 30
        sheet.save()
        Cell(name="blue", seats=4).save()
    with changeset("ada"):
        sheet.wares.append(Ware(_id=2, name="cup", count=6))
        sheet.save()
    record_event("viewed", sheet, page="overview")
    Cell(name="gone", seats=4).save().delete()
    return sheet


@pytest.fixture
def site(served: Any) -> str:
    identity = lambda request: "eve"  # noqa: E731
    browser = history_browser(
        Sheet,
        Cell,
        may_see=everybody,
        may_restore=everybody,
        may_erase=everybody,
        identity=identity,
    )
    return served(browser)


def pages(sheet: Sheet) -> list[str]:
    own = f"/Sheet/{sheet.pk}"
    below = ["", "/2", "/4", "/3/state", "/compare?from=1", "/2/undo", "/1/revert", "/1/undo"]
    below += ["/erase", "/erase?path=status"]
    changeset = f"/changesets/{history_of(sheet)[2].changeset}"
    others = ["/", "/?q=by:ada", "/help", "/deleted", changeset, f"{changeset}/revert"]
    return [*others, "/Cell/gone", "/Cell/gone/restore", *(f"{own}{it}" for it in below)]


def resize(chromium: Any, size: tuple[int, int]) -> None:
    """Take a size that no window may have: those are 500 pixels wide at least."""
    own = dict(zip(("width", "height"), size, strict=True))
    chromium.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {**own, "deviceScaleFactor": 1, "mobile": False}
    )


def press(chromium: Any, *keys: str) -> None:
    for key in keys:
        chromium.switch_to.active_element.send_keys(key)


def find(chromium: Any, selector: str) -> Any:
    return chromium.find_element("css selector", selector)


def shows(chromium: Any, said: str) -> bool:
    """Wait until a page says something."""
    waiting = WebDriverWait(chromium, 20, ignored_exceptions=[WebDriverException])
    return waiting.until(lambda it: said in find(it, "main").text)


def leads(chromium: Any, address: str) -> bool:
    """Wait until a page is there, and all of it."""
    whole = "return document.readyState === 'complete' && document.URL"
    return WebDriverWait(chromium, 20).until(lambda it: it.execute_script(whole) == address)


@pytest.mark.parametrize("size", SIZES, ids=["wide", "narrow"])
def test_each_page(chromium: Any, site: str, sheet: Sheet, size: Any, axe: str) -> None:
    """It fits, complains of nothing, and keeps nobody out."""
    resize(chromium, size)
    chromium.get_log("browser")
    for page in pages(sheet):
        chromium.get(f"{site}{page}")
        width = chromium.execute_script("return document.documentElement.scrollWidth")
        seen = chromium.execute_script("return window.innerWidth")
        assert width <= seen, page
        told = [it["message"] for it in chromium.get_log("browser")]
        assert [it for it in told if "status of 4" not in it] == [], page
        chromium.execute_script(axe)
        assert chromium.execute_async_script(SERIOUS) == [], page


def test_keys(chromium: Any, site: str, sheet: Sheet) -> None:
    resize(chromium, SIZES[0])
    chromium.get(f"{site}/Sheet/{sheet.pk}")
    press(chromium, "j", "j")
    assert chromium.switch_to.active_element.get_attribute("id") == "r3"
    press(chromium, "j", "k", "k")
    assert chromium.switch_to.active_element.get_attribute("id") == "r4"
    press(chromium, "j", "\ue007")
    assert leads(chromium, f"{site}/Sheet/{sheet.pk}/3")
    press(chromium, "n")
    assert leads(chromium, f"{site}/Sheet/{sheet.pk}/4")
    press(chromium, "p")
    assert leads(chromium, f"{site}/Sheet/{sheet.pk}/3")
    press(chromium, "c")
    assert leads(chromium, f"{site}/Sheet/{sheet.pk}/compare?from=3")
    press(chromium, "?")
    assert leads(chromium, f"{site}/help")
    press(chromium, "/")
    press(chromium, *"by:bob", "\ue007")
    assert leads(chromium, f"{site}/?q=by%3Abob")
    assert shows(chromium, "has moved")
    press(chromium, "/", *"jk?")  # which are letters there
    assert find(chromium, "#q").get_attribute("value") == "jk?"


def test_undo_by_keyboard(chromium: Any, site: str, sheet: Sheet) -> None:
    chromium.get(f"{site}/Sheet/{sheet.pk}/2/undo")
    find(chromium, "#reason").send_keys("by mistake", "\ue004")  # the tabulator
    assert chromium.switch_to.active_element.text == "Undo revision 2"
    press(chromium, "\ue007")
    assert shows(chromium, "The revision is undone.")
    assert history_of(sheet)[-1].reason == "by mistake"
    sheet.reload()
    assert sheet.street.city == "Leeds"


def test_a_reason_is_asked_for_before_anything_is_sent(
    chromium: Any, site: str, sheet: Sheet
) -> None:
    chromium.get(f"{site}/Sheet/{sheet.pk}/2/undo")
    find(chromium, ".danger").click()
    assert chromium.current_url.endswith("/2/undo")
    assert find(chromium, "#reason:invalid")


@pytest.mark.parametrize("with_scripts", [True, False])
def test_search_compare_revert_and_restore_by_mouse(
    request: Any, site: str, sheet: Sheet, with_scripts: bool
) -> None:
    name = "chromium" if with_scripts else "chromium_without_scripts"
    chromium = request.getfixturevalue(name)
    resize(chromium, SIZES[1])
    chromium.get(site)
    find(chromium, "#q").send_keys("model:Sheet operation:create")
    find(chromium, ".search button").click()
    assert shows(chromium, "Found")
    find(chromium, ".document").click()
    assert shows(chromium, "newest")
    assert chromium.current_url == f"{site}/Sheet/{sheet.pk}"
    find(chromium, "a[data-key='c']").click()
    assert shows(chromium, "with")
    find(chromium, "#from").clear()
    find(chromium, "#from").send_keys("1")
    find(chromium, "form.tools button").click()
    assert shows(chromium, "York")
    chromium.get(f"{site}/Sheet/{sheet.pk}/1/revert")
    for choice in chromium.find_elements("css selector", ".choice input"):
        if "street" not in choice.get_attribute("value"):
            choice.click()
    find(chromium, "button[formmethod='get']").click()
    assert WebDriverWait(chromium, 20).until(lambda it: "path=" in it.current_url)
    assert "wares" not in find(chromium, ".sides").text
    find(chromium, "#reason").send_keys("the wrong city")
    find(chromium, ".danger").click()
    assert shows(chromium, "The document is reverted.")
    sheet.reload()
    assert (sheet.street.city, len(sheet.wares)) == ("Leeds", 2)
    chromium.get(f"{site}/deleted")
    chromium.find_element("partial link text", "Restore").click()
    assert shows(chromium, "preview")
    find(chromium, "#reason").send_keys("needed")
    find(chromium, ".danger").click()
    assert shows(chromium, "The document is back.")
    assert Cell.objects(name="gone").count() == 1


def test_nothing_hostile_runs(chromium: Any, site: str, sheet: Sheet) -> None:
    evil = "\"'></textarea></title><script>window.hacked=1</script><img src=x onerror=hacked=1>"
    with changeset(evil, reason=evil, note=evil) as done:
        cell = Cell(name=evil, seats=1).save()
        Sheet(status=evil, facts={"<b>": evil}).save()
    chromium.get(f"{site}/changesets/{done.id}")
    pages = [it.get_attribute("href") for it in chromium.find_elements("css selector", "main a")]
    for page in [*pages, f"{site}/?q={evil}", f"{site}/{evil}/{evil}"]:
        chromium.get(page)
        assert chromium.execute_script("return window.hacked") is None
        assert chromium.find_elements("css selector", "main img, main script") == []
    cell.delete()


def test_pages_fit_the_night(chromium: Any, site: str, sheet: Sheet, axe: str) -> None:
    """In the dark all can be read, too."""
    night = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", night)
    try:
        for page in pages(sheet):
            chromium.get(f"{site}{page}")
            chromium.execute_script(axe)
            assert chromium.execute_async_script(SERIOUS) == [], page
    finally:
        chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
