"""What is published: the metadata of the package, the changelog, the files of the repository."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import mongoengine_history

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
TOP_LEVEL = {
    "LICENSE",
    "README.md",
    "SECURITY.md",
    "docs",
    "mongoengine_history",
    "pyproject.toml",
    "tests",
    "tox.ini",
}
#: Made by tools and ignored by Git.
MADE = {"__pycache__", "_build", "build", "dist", "htmlcov"}
MACHINE_PATH = re.compile(r"(?<![\w.])/(tmp|home|root|work)/")
PACKAGE = metadata.metadata("mongoengine-history")


def top_level() -> set[str]:
    return {path.name for path in ROOT.iterdir() if not path.name.startswith(".")} - MADE


def published() -> Iterator[Path]:
    """Find all text files that are meant for readers and users."""
    for top in sorted(TOP_LEVEL - {"tests"}):
        for path in [ROOT / top, *(ROOT / top).rglob("*")]:
            if path.is_file() and not MADE.intersection(path.relative_to(ROOT).parts):
                yield path


def test_the_top_level_holds_what_belongs_there() -> None:
    assert top_level() == TOP_LEVEL


def test_no_file_names_a_path_of_one_machine() -> None:
    for path in published():
        found = MACHINE_PATH.search(path.read_text(encoding="utf-8", errors="ignore"))
        assert not found, f"{path.relative_to(ROOT)} names {found}"


def test_the_files_of_the_tests_are_short() -> None:
    for path in (ROOT / "tests").rglob("*.py"):
        lines = path.read_text(encoding="utf-8").splitlines()
        assert len(lines) <= 400, path.relative_to(ROOT)


def test_the_newest_entry_of_the_changelog_is_this_version() -> None:
    changelog = (ROOT / "docs" / "changelog.md").read_text(encoding="utf-8")
    newest = re.search(r"^## (\S+)", changelog, re.MULTILINE)
    assert newest
    assert newest[1] == mongoengine_history.__version__


def test_the_installed_package_is_this_version() -> None:
    assert PACKAGE["Version"] == mongoengine_history.__version__


def test_the_package_carries_its_types_and_its_licence() -> None:
    assert (Path(mongoengine_history.__file__).parent / "py.typed").is_file()
    assert PACKAGE["License-Expression"] == "Apache-2.0"
    assert PACKAGE["License-File"] == "LICENSE"


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this is no checkout")
def test_what_is_packed_is_what_git_has(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    compare = [sys.executable, str(ROOT / ".ci" / "contents.py"), str(tmp_path)]
    compared = subprocess.run(compare, check=False, capture_output=True, text=True)
    assert compared.returncode == 0, compared.stdout
    assert compared.stdout.count("as in Git") == 2


def test_all_is_every_extra_but_the_server_and_none_is_for_who_works_on_the_package() -> None:
    needed: dict[str, set[str]] = {}
    for text in metadata.requires("mongoengine-history") or []:
        requirement, _, extra = text.rstrip("'\"").partition("extra == ")
        needed.setdefault(extra[1:], set()).add(requirement.rstrip("; "))
    del needed[""], needed["embedded"]
    assert needed.pop("all") == set().union(*needed.values())
    assert not needed.keys() & {"dev", "docs", "release", "style", "test"}


def test_only_what_runs_the_library_is_installed_with_it() -> None:
    required = metadata.requires("mongoengine-history") or []
    always = {re.split(r"\W", text)[0] for text in required if "extra ==" not in text}
    assert always == {"blinker", "dictdiffer", "mongoengine", "pymongo"}


def test_the_hooks_use_the_releases_that_the_checks_use() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    held = dict(re.findall(r'"(\w+)~=([\d.]+)"', project))
    del held["basedpyright"], held["zizmor"]  # what is slow, or seldom of use, is left to CI
    assert held.keys() == {"mypy", "ruff"}
    for name, release in held.items():
        assert re.search(rf"repo: \S+{name}\S*\n +rev: v{release}\n", hooks), name


def test_the_public_names_are_sorted_and_there() -> None:
    assert mongoengine_history.__all__ == sorted(mongoengine_history.__all__)
    assert all(hasattr(mongoengine_history, name) for name in mongoengine_history.__all__)


def test_the_types_of_each_public_name_are_checked() -> None:
    uses = ast.parse((ROOT / "tests" / "typing" / "api.py").read_text(encoding="utf-8"))
    used = {node.id for node in ast.walk(uses) if isinstance(node, ast.Name)}
    assert used >= set(mongoengine_history.__all__)
