"""The documentation runs: each Python block on a real MongoDB, each page in Sphinx."""

from __future__ import annotations

import ast
import codeop
import doctest
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module, metadata, util
from pathlib import Path
from types import ModuleType
from typing import Any

import django.conf
import django.urls
import mongoengine
import pytest
from pymongo import MongoClient
from support.binding import CAN_BIND
from support.installed import ADMINS, WHY, is_there

import mongoengine_history
from mongoengine_history.cli.main import commands as cli

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
LANGUAGES = {"python", "pycon", "sh", "json", "text"}

#: They connect one framework each, and have public names of their own.
CONNECTORS = {
    f"mongoengine_history.contrib.{name}"
    for name in ("asgi", "celery", "django", "flask", "flask_admin", "pytest", "starlette_admin")
} | {f"mongoengine_history.{name}" for name in ("faces.words", "web.browser", "web.django")}

NOT_THERE = f"ClientSession.bind came with PyMongo 4.17; {WHY}"

pytestmark = pytest.mark.usefixtures("collections")

#: Where the pages are shown.
SITE = "https://mongoengine-history.readthedocs.io/en/latest/"

FENCE = re.compile(r"^(`{3,})([^`\n]*)\n(.*?)^\1$", re.MULTILINE | re.DOTALL)
#: What is another one in each run: the moment of a write, and an ObjectId.
VARYING = re.compile(
    r"\b20\d\d-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d{3}(\d{3})?)?(?!\d)|(\b|(?<=%2F))[0-9a-f]{24}\b"
)
NAME_IN_TABLE = re.compile(r"^   (\w+)$", re.MULTILINE)


class Checker(doctest.OutputChecker):
    """Where a page shows a moment or an id, one has to come, whichever it is."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        both = (VARYING.sub("?", text) for text in (want, got))
        return super().check_output(*both, optionflags)


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    page: Path
    #: Number of the line of the page on which the code begins.
    line: int
    language: str
    code: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    def run(self, names: dict[str, Any]) -> None:
        """Run the block with the names that earlier ones of the page left, and leave its own."""
        if self.code.startswith(">>>"):
            self._compare(names)
        else:
            # Blank lines in front let a traceback show the line of the page.
            code = compile("\n" * (self.line - 1) + self.code, self.page, "exec")
            exec(code, names)

    def _compare(self, names: dict[str, Any]) -> None:
        example = doctest.DocTestParser().get_doctest(
            self.code, names, str(self), str(self.page), self.line - 1
        )
        report: list[str] = []
        runner = doctest.DocTestRunner(Checker(), verbose=False, optionflags=doctest.ELLIPSIS)
        failed = runner.run(example, out=report.append, clear_globs=False).failed
        assert not failed, "".join(report)
        names.update(example.globs)


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = []
    for match in FENCE.finditer(text):
        line = text.count("\n", 0, match.start(3)) + 1
        found.append(Block(page, line, match[2].strip(), match[3]))
    return found


def python_blocks(page: Path) -> list[Block]:
    return [block for block in blocks_of(page) if block.language in {"python", "pycon"}]


def is_runnable(page: Path) -> bool:
    """Not all that pages show is there with each Python, PyMongo and MongoEngine."""
    if page.stem in {"events", "revert-a-changeset", "transactions"}:
        return CAN_BIND
    return page.stem != "admin" or all(map(is_there, ADMINS))


@pytest.fixture
def names(
    client: MongoClient[Any],
    listeners: None,
    mongodb_uri: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[dict[str, Any]]:
    """
    Where a page's names live; ``connect("shop")`` means the database of the tests.

    It is not emptied: who has read one page goes on with the next.
    """
    real = mongoengine.connect

    def connect(db: str, **options: Any) -> Any:
        if "alias" in options:  # with settings of its own
            return real(mongoengine.get_db().name if db == "shop" else db, **options)
        assert (db, options) == ("shop", {"uuidRepresentation": "standard"})
        return client

    monkeypatch.setattr(mongoengine, "connect", connect)
    monkeypatch.setenv("MONGODB_URI", mongodb_uri)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # what examples write is cleared away
    main = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)  # Django imports what a page defines
    yield vars(main)
    django.conf.settings._wrapped = django.conf.empty  # they can be configured once
    django.urls.clear_url_caches()  # each page has patterns of its own in the same module


@pytest.mark.parametrize(
    "page", [page for page in PAGES if python_blocks(page)], ids=lambda page: page.stem
)
def test_each_block_of_a_page_runs(page: Path, names: dict[str, Any]) -> None:
    if not is_runnable(page):
        pytest.skip(NOT_THERE)
    for block in python_blocks(page):
        block.run(names)


def test_a_wrong_block_fails() -> None:
    """What the test above relies on: an error and another output both count."""
    with pytest.raises(ZeroDivisionError):
        Block(ROOT / "page.md", 1, "python", "1 / 0\n").run({})
    with pytest.raises(AssertionError, match=r"Got:\s+2"):
        Block(ROOT / "page.md", 1, "pycon", ">>> 1 + 1\n3\n").run({})
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        Block(ROOT / "page.md", 1, "pycon", ">>> 1 / 0\n").run({})
    shown = "1. 2026-05-04 09:30:12.131 UTC, update\n"
    Block(ROOT / "page.md", 1, "pycon", f">>> print(it)\n{shown}").run(
        {"it": "1. 2031-12-24 18:00:00.000 UTC, update"}
    )
    with pytest.raises(AssertionError, match="soon UTC"):
        Block(ROOT / "page.md", 1, "pycon", f">>> print(it)\n{shown}").run({"it": "1. soon UTC"})


def stops_at(code: str) -> str | None:
    """Return what a prompt refuses, of code that is pasted into it line by line."""
    complete, pending = codeop.CommandCompiler(), ""
    for line in [*code.splitlines(), ""]:
        if pending or line:
            pending += f"{line}\n"
            try:
                if complete(pending[:-1], symbol="single"):
                    pending = ""
            except SyntaxError:
                return pending
    return pending or None


def test_blocks_can_be_pasted_into_a_prompt() -> None:
    """Before Python 3.13, too, save those that have methods: style wants blank lines there."""
    assert stops_at("if True:\n    pass\nprint()\n") == "if True:\n    pass\nprint()\n"
    for page in PAGES:
        for block in python_blocks(page):
            code = re.sub(r"\n+(?=\n +)", "", block.code)
            assert block.language == "pycon" or stops_at(code) is None, block


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_block_escapes(page: Path) -> None:
    """A fence that is indented, or of a language that nobody looks at, would never be run."""
    blocks = blocks_of(page)
    fences = re.findall(r"^[ \t>]*`{3}", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(fences) == 2 * len(blocks)
    for block in blocks:
        assert block.language in LANGUAGES or block.language.startswith("{"), block
        if block.language in {"python", "pycon"}:
            assert (block.language == "pycon") == block.code.startswith(">>>"), block


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_import_public_names_only(page: Path) -> None:
    if not is_runnable(page):
        pytest.skip(NOT_THERE)
    for block in python_blocks(page):
        code = block.code
        if block.language == "pycon":
            code = doctest.script_from_examples(code)
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and node.module == "mongoengine_history":
                assert {alias.name for alias in node.names} <= set(mongoengine_history.__all__)
            elif isinstance(node, ast.ImportFrom) and node.module in CONNECTORS:
                public = import_module(node.module).__all__
                assert {alias.name for alias in node.names} <= set(public), block
            elif isinstance(node, ast.ImportFrom):
                assert not str(node.module).startswith("mongoengine_history."), block


def commands() -> Iterator[tuple[Block, list[str]]]:
    for page in PAGES:
        for block in blocks_of(page):
            if block.language == "sh":
                joined = block.code.replace("\\\n", " ").replace("&&", "\n")
                for line in joined.splitlines():
                    yield block, shlex.split(line, comments=True)


def test_commands_name_what_exists() -> None:
    for block, words in commands():
        for word in words:
            if word.startswith(".[") or "history[" in word:
                extras = set(word.partition("[")[2].partition("]")[0].split(","))
                assert extras <= set(extras_of_the_package()), f"{block}: {word}"
            elif word.startswith((".ci/", "docs", "tests")):
                assert (ROOT / word.partition("::")[0]).exists(), f"{block}: {word}"
        if "-m" in words:
            module = words[words.index("-m") + 1]
            assert util.find_spec(module), f"{block}: {module}"


def extras_of_the_package() -> list[str]:
    return metadata.metadata("mongoengine-history").get_all("Provides-Extra") or []


def test_the_command_line_is_as_described() -> None:
    """Each call of the package on a page is one that it takes."""
    for _, words in commands():
        if words[:1] == ["mongoengine-history"]:
            known = {it for param in cli.commands[words[1]].params for it in param.opts}
            before = words[: words.index("||")] if "||" in words else words
            assert {it for it in before if it.startswith("-")} <= known, words
    calls = [words for _, words in commands() if words[1:3] == ["-m", "mongoengine_history"]]
    assert calls
    for words in calls:
        arguments = words[words.index("mongoengine_history") + 1 :]
        command = [sys.executable, "-m", "mongoengine_history", arguments[0], "--help"]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for option in (word for word in arguments if word.startswith("--")):
            assert option in text, words


def test_the_reference_has_each_public_name() -> None:
    text = (DOCS / "reference.md").read_text(encoding="utf-8")
    assert sorted(NAME_IN_TABLE.findall(text)) == mongoengine_history.__all__


def drawn() -> Iterator[str]:
    """Name the files of the tree that the page for contributors shows."""
    folder = ""
    blocks = blocks_of(DOCS / "contributing.md")
    tree = next(block.code for block in blocks if block.language == "text")
    for line in tree.splitlines()[1:]:
        indent, name = re.match(r"( *)(\S*)", line).groups()
        folder = name if name.endswith("/") else folder * (len(indent) > 4)
        if name.endswith(".py"):
            yield folder + name


def test_the_tree_is_that_of_the_package() -> None:
    package = Path(mongoengine_history.__file__).parent
    files = {path.relative_to(package).as_posix() for path in package.rglob("*.py")}
    assert sorted(drawn()) == sorted(name for name in files if not name.endswith("/__init__.py"))


def test_each_page_is_in_a_table_of_contents() -> None:
    listed = {DOCS / "index.md"}
    for page in PAGES:
        for block in blocks_of(page):
            if block.language == "{toctree}":
                entries = [line for line in block.code.split() if not line.startswith(":")]
                listed |= {(page.parent / f"{entry}.md").resolve() for entry in entries}
    assert listed >= set(PAGES) - {ROOT / "README.md"}


def test_links_of_the_readme_lead_to_pages() -> None:
    """It is shown elsewhere, too, so its links are absolute."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    assert all(link.startswith("https://") for link in links)
    for link in links:
        page = link.partition(SITE)[2]
        assert not page or (DOCS / page).with_suffix(".md").exists(), link


@pytest.mark.skipif(not is_there(ADMINS[0]), reason=WHY)
def test_sphinx_has_nothing_to_complain_about(tmp_path: Path) -> None:
    docs = shutil.copytree(DOCS, tmp_path / "docs", ignore=lambda *_: {"_build", "reference"})
    shutil.copy(ROOT / "README.md", tmp_path)  # the home page shows some of it
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", str(docs), "html"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    made = {page.stem.removesuffix("-class") for page in (tmp_path / "html").rglob("*.html")}
    assert made >= {"index", *mongoengine_history.__all__}
    assert (tmp_path / "html" / "llms.txt").is_file()


def test_what_is_told_to_machines_leads_to_each_page() -> None:
    """``llms.txt`` has the form of llmstxt.org: a title, what it is, sections of links."""
    title, _, what, *rest = (DOCS / "llms.txt").read_text(encoding="utf-8").splitlines()
    assert title == "# mongoengine-history"
    assert what.startswith("> ")
    links = re.findall(
        rf"^- \[.+\]\({re.escape(SITE)}(\S+)\.html\): .", "\n".join(rest), re.MULTILINE
    )
    assert len(links) == sum(line.startswith("- ") for line in rest)
    pages = {str(page.relative_to(DOCS).with_suffix("")) for page in DOCS.rglob("*.md")}
    assert sorted(links) == sorted(pages - {"index"})
