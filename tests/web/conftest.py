"""A real Chromium, without a screen, for what only a browser shows."""

from __future__ import annotations

import shutil
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.npm import packed
from werkzeug.serving import make_server

#: What a container needs: it has no sandbox of its own, and little shared memory.
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--force-device-scale-factor=1",
]
NO_SCRIPTS = {"profile.managed_default_content_settings.javascript": 2}


@pytest.fixture(scope="session")
def axe(request: pytest.FixtureRequest) -> str:
    """What checks a page for what keeps people from using it: the npm package axe-core."""
    folder = request.config.cache.mkdir("axe-core")
    script = folder / "axe.min.js"
    if not script.exists():
        with tarfile.open(folder / packed("axe-core@4", folder)) as archive:
            script.write_bytes(archive.extractfile("package/axe.min.js").read())
    return script.read_text(encoding="utf-8")


@pytest.fixture
def served() -> Iterator[Callable[[Any], str]]:
    """Serves a browser on this machine, and says where."""
    servers = []

    def serve(browser: Any) -> str:
        server = make_server("127.0.0.1", 0, browser.wsgi, threaded=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}"

    yield serve
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    driver = opened(tmp_path_factory.mktemp("chromium"))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def chromium_without_scripts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    driver = opened(tmp_path_factory.mktemp("chromium"), NO_SCRIPTS)
    yield driver
    driver.quit()


def opened(folder: Path, preferences: Any = None) -> Any:
    """Start a Chromium, if this machine has one."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not program or not driver:
        pytest.skip("this machine has no chromium and chromium-driver")
    webdriver = pytest.importorskip("selenium.webdriver")
    service = pytest.importorskip("selenium.webdriver.chrome.service")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in [*FLAGS, f"--user-data-dir={folder}"]:
        options.add_argument(flag)
    if preferences:
        options.add_experimental_option("prefs", preferences)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options, service.Service(driver))
