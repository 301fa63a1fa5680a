"""All pages in a real browser: by keyboard and mouse, with and without scripts, on two widths."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.support.wait import WebDriverWait
from support.browsing import Cell, Sheet, Ware, everybody, ordered
from support.npm import packed

from mongoengine_history import changeset, history_of, record_event
from mongoengine_history.web.browser import history_browser

pytestmark = pytest.mark.usefixtures("database")

TAB, ENTER = "\ue004", "\ue007"

SIZES = [(1400, 1000), (400, 900)]

SERIOUS = """
const done = arguments[arguments.length - 1];
const only = arguments.length > 1 ? {runOnly: [arguments[0]]} : {};
axe.run({resultTypes: ["violations"], ...only}).then((found) => done(
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


@contextmanager
def night(chromium: Any) -> Iterator[None]:
    """Let pages be shown as to whoever wants them dark."""
    dark = {"name": "prefers-color-scheme", "value": "dark"}
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [dark]})
    yield
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def press(chromium: Any, *keys: str) -> None:
    for key in keys:
        chromium.switch_to.active_element.send_keys(key)


def reach(chromium: Any, selector: str) -> None:
    """Go on by the tabulator until something has the focus."""
    is_there = "return document.activeElement.matches(arguments[0])"
    for _ in range(100):
        if chromium.execute_script(is_there, selector):
            return
        press(chromium, TAB)
    pytest.fail(f"no key leads to {selector}")


def find(chromium: Any, selector: str) -> Any:
    return chromium.find_element("css selector", selector)


def waiting(chromium: Any) -> Any:
    """Wait for something, though a page goes away just as it is looked at."""
    return WebDriverWait(chromium, 20, ignored_exceptions=[WebDriverException])


def shows(chromium: Any, said: str) -> bool:
    """Wait until a page says something."""
    return waiting(chromium).until(lambda it: said in find(it, "main").text)


def leads(chromium: Any, address: str) -> bool:
    """Wait until a page is there, and all of it."""
    whole = "return document.readyState === 'complete' && document.URL"
    return WebDriverWait(chromium, 20).until(lambda it: it.execute_script(whole) == address)


@pytest.mark.parametrize("size", SIZES, ids=["wide", "narrow"])
def test_each_page(chromium: Any, site: str, sheet: Sheet, size: Any, axe: str) -> None:
    """It fits, complains of nothing, and keeps nobody out, by day and by night."""
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
        with night(chromium):
            assert chromium.execute_async_script(SERIOUS, "color-contrast") == [], page


def test_keys(chromium: Any, site: str, sheet: Sheet) -> None:
    resize(chromium, SIZES[0])
    chromium.get(f"{site}/Sheet/{sheet.pk}")
    press(chromium, "j", "j")
    assert chromium.switch_to.active_element.get_attribute("id") == "r3"
    press(chromium, "j", "k", "k")
    assert chromium.switch_to.active_element.get_attribute("id") == "r4"
    press(chromium, "j", ENTER)
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
    press(chromium, *"by:bob", ENTER)
    assert leads(chromium, f"{site}/?q=by%3Abob")
    assert shows(chromium, "has moved")
    press(chromium, "/", *"jk?")  # which are letters there
    assert find(chromium, "#q").get_attribute("value") == "jk?"


def test_undo_by_keyboard(chromium: Any, site: str, sheet: Sheet) -> None:
    chromium.get(f"{site}/Sheet/{sheet.pk}/2/undo")
    find(chromium, "#reason").send_keys("by mistake", TAB)
    assert chromium.switch_to.active_element.text == "Undo revision 2"
    press(chromium, ENTER)
    assert shows(chromium, "The revision is undone.")
    assert history_of(sheet)[-1].reason == "by mistake"
    sheet.reload()
    assert sheet.street.city == "Leeds"


def test_revert_of_one_path_by_keyboard(chromium: Any, site: str, sheet: Sheet, axe: str) -> None:
    """From the timeline to the result no mouse is needed, nor to know where a key leads."""
    own = f"{site}/Sheet/{sheet.pk}"
    chromium.get(own)
    press(chromium, "k", ENTER)
    assert leads(chromium, f"{own}/1")
    reach(chromium, "a[href$='/revert']")
    press(chromium, ENTER)
    assert leads(chromium, f"{own}/1/revert")
    for path in ("note", "street.city", "wares"):
        reach(chromium, f".choice input[value*='{path.partition('.')[0]}']")
        press(chromium, *([] if path == "street.city" else [" "]))
    reach(chromium, "button[name='look']")
    press(chromium, ENTER)
    assert waiting(chromium).until(lambda it: "wares" not in find(it, ".sides").text)
    chromium.execute_script(axe)
    assert chromium.execute_async_script(SERIOUS) == []
    reach(chromium, "#reason")
    press(chromium, "the wrong city", TAB, ENTER)
    assert shows(chromium, "The document is reverted.")
    sheet.reload()
    assert (sheet.street.city, len(sheet.wares)) == ("Leeds", 2)
    assert sheet.note.startswith("ring twice")
    assert history_of(sheet)[-1].reason == "the wrong city"


@pytest.mark.parametrize("with_scripts", [True, False])
def test_restore_by_keyboard(request: Any, site: str, sheet: Sheet, with_scripts: bool) -> None:
    name = "chromium" if with_scripts else "chromium_without_scripts"
    chromium = request.getfixturevalue(name)
    chromium.get(f"{site}/deleted")
    reach(chromium, "a[href$='/Cell/gone/restore']")
    press(chromium, ENTER)
    assert shows(chromium, "preview")
    reach(chromium, "#reason")
    press(chromium, "needed", TAB, " ")
    assert shows(chromium, "The document is back.")
    assert Cell.objects.get(name="gone").seats == 4


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
    assert shows(chromium, "to revision")
    find(chromium, "#from").clear()
    find(chromium, "#from").send_keys("1")
    find(chromium, "form.tools button").click()
    assert shows(chromium, "York")
    chromium.get(f"{site}/Sheet/{sheet.pk}/1/revert")
    for choice in chromium.find_elements("css selector", ".choice input"):
        if "street" not in choice.get_attribute("value"):
            choice.click()
    find(chromium, "#reason").send_keys("the wrong city")
    find(chromium, "button[name='look']").click()
    assert waiting(chromium).until(lambda it: "wares" not in find(it, ".sides").text)
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


@pytest.mark.skipif(not shutil.which("npm"), reason="there is no npm")
def test_only_where_npm_has_no_registry_is_a_page_not_checked(tmp_path: Path) -> None:
    away = ("--registry=http://127.0.0.1:9", "--fetch-retries=0")
    with pytest.raises(pytest.skip.Exception, match="cannot be reached: ECONNREFUSED"):
        packed("axe-core@4", tmp_path, *away)
    with pytest.raises(pytest.fail.Exception, match="EINVALID"):
        packed("axe-core@4:", tmp_path, *away)


PRINTED = """
const seen = (it) => it.checkVisibility({contentVisibilityAuto: true, checkVisibilityCSS: true})
    && it.getBoundingClientRect().height > 0;
const all = (what) => [...document.querySelectorAll(what)];
return {
    pressed: all("button, input, textarea, .button, .links a").filter(seen).length,
    folded: all("details *:not(summary, summary *, .sr)").filter((it) => !seen(it)).length,
    cut: all(".whole, .scroll").filter((it) => it.scrollHeight > it.clientHeight + 1).length,
    colours: [...new Set(all("main, td, del, ins, .avatar, .done, .value").filter(seen)
        .map((it) => getComputedStyle(it).color))],
    cells: [...new Set(all("td").map((it) => getComputedStyle(it).display))],
};
"""


def test_on_paper_all_is_there_in_black_and_nothing_to_press(
    chromium: Any, site: str, sheet: Sheet
) -> None:
    """Of a sheet of A4, at night, too."""
    night = [{"name": "prefers-color-scheme", "value": "dark"}]
    resize(chromium, (718, 1000))
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": night})
    try:
        for page in ("", "/2", "/compare?from=1", "/3/state", "/2/undo"):
            chromium.get(f"{site}/Sheet/{sheet.pk}{page}")
            found = chromium.execute_script(PRINTED)
            assert found.pop("cells") in ([], ["table-cell"]), page
            black = {"pressed": 0, "folded": 0, "cut": 0, "colours": ["rgb(0, 0, 0)"]}
            assert found == black, page
    finally:
        chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
