"""
Make the pictures of the history browser that the pages show: ``python docs/pictures.py``.

Needs the extra ``test``, and Chromium with its driver. Each page is taken wide and narrow; names of
pictures, such as ``timeline-wide``, make these alone, be they shown or not.
"""

from __future__ import annotations

import re
import shutil
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mongoengine as me
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from werkzeug.serving import make_server

from mongoengine_history import changeset, history_of, revert, track_history
from mongoengine_history.embedded import server_uri
from mongoengine_history.web.browser import history_browser

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).parent / "pictures"
SIZES = {"wide": (1400, 900), "home": (900, 640), "narrow": (400, 900)}


class Address(me.EmbeddedDocument):
    street = me.StringField()
    city = me.StringField()


class Position(me.EmbeddedDocument):
    _id = me.IntField()
    name = me.StringField()
    count = me.IntField()


@track_history(mask=["iban"])
class Invoice(me.Document):
    number = me.IntField(primary_key=True)
    customer = me.StringField()
    status = me.StringField()
    total = me.IntField()
    note = me.StringField()
    address = me.EmbeddedDocumentField(Address)
    positions = me.EmbeddedDocumentListField(Position)
    iban = me.StringField()


@track_history
class Room(me.Document):
    name = me.StringField(primary_key=True)
    seats = me.IntField()


def fill() -> str:
    """Write what the pictures show, and return the id of a changeset."""
    with changeset("ada.lovelace", reason="order 4711"):
        invoice = Invoice(
            number=4711,
            customer="Grace & Sons",
            status="draft",
            total=120,
            note="Deliver to the back door, ring twice, and wait for Grace.",
            address=Address(street="12 Mill Lane", city="Leeds"),
            positions=[
                Position(_id=1, name="tea pot", count=2),
                Position(_id=2, name="cups", count=8),
            ],
            iban="GB33 1234",
        ).save()
    with changeset("bob", reason="the customer has moved"):
        invoice.address.city = "York"
        invoice.note = "Deliver to the front door, ring once, and wait for Grace."
        invoice.save()
    with changeset("grace.hopper"):
        invoice.positions[0].count = 3
        invoice.positions.append(Position(_id=3, name="saucers", count=8))
        invoice.total, invoice.iban = 176, "GB99 5678"
        invoice.save()
    with changeset("price import", reason="price list 12") as imported:
        for number in range(1, 4):
            Room(name=f"room-{number}", seats=10 * number).save()
        invoice.modify(total=190)
    with changeset("ada.lovelace", reason="checked with the warehouse"):
        invoice.modify(status="sent")
    with changeset("bob", reason="closed for good"):
        Room.objects.get(name="room-2").delete()
    with changeset("grace.hopper", reason="the old address was right"):
        revert(invoice, revision=1, paths=["address"])
        invoice.save()
    return str(history_of(Room, "room-1")[1].changeset or imported.id)


def pages(changeset: str) -> dict[str, str]:
    """Name the pages, by the names of their pictures."""
    own = "/Invoice/4711"
    return {
        "recent": "/",
        "timeline": own,
        "revision": f"{own}/2",
        "compare": f"{own}/compare?from=1&to=5",
        "state": f"{own}/5/state",
        "revert": f"{own}/2/revert",
        "conflicts": f"{own}/2/undo",
        "deleted": "/deleted",
        "changeset": f"/changesets/{changeset}",
        "help": "/help",
    }


def shown() -> list[str]:
    """Name the pictures that the pages of the documentation show."""
    pages = [FOLDER.parents[1] / "README.md", *FOLDER.parent.rglob("*.md")]
    texts = (page.read_text(encoding="utf-8") for page in pages)
    return sorted({name for text in texts for name in re.findall(r"pictures/([\w-]+)\.png", text)})


@contextmanager
def chromium() -> Iterator[Any]:
    """Start a Chromium that takes pictures."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    for flag in [*flags, "--disable-dev-shm-usage"]:
        options.add_argument(flag)
    driver = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
    try:
        yield driver
    finally:
        driver.quit()


def take(driver: Any, address: str, target: Path, size: tuple[int, int]) -> None:
    """Take a picture of a page."""
    own = dict(zip(("width", "height"), size, strict=True))
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {**own, "deviceScaleFactor": 1, "mobile": False}
    )
    driver.get(address)
    driver.save_screenshot(str(target))


def main(wanted: list[str]) -> None:
    FOLDER.mkdir(exist_ok=True)
    with server_uri() as uri:
        client = me.connect("pictures", host=uri, uuidRepresentation="standard")
        client.drop_database("pictures")
        found = pages(fill())
        everybody = lambda *_: True  # noqa: E731
        browser = history_browser(
            Invoice,
            Room,
            may_see=everybody,
            may_restore=everybody,
            identity_label=lambda who: str(who).replace(".", " ").title(),
        )
        server = make_server("127.0.0.1", 0, browser.wsgi, threaded=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        wanted = wanted or shown()
        with chromium() as driver:
            for name, kind in (it.split("-") for it in wanted):
                address = f"http://127.0.0.1:{server.server_port}{found[name]}"
                take(driver, address, FOLDER / f"{name}-{kind}.png", SIZES[kind])
        server.shutdown()
        client.drop_database("pictures")


if __name__ == "__main__":
    main(sys.argv[1:])
