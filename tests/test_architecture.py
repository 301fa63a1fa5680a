"""The shape of the package: folders tell the story, imports lead downwards, all stays short."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import pytest
from mongoengine import Document, QuerySet
from mongoengine.base import BaseField
from pymongo import MongoClient
from pymongo.collection import Collection

import mongoengine_history

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

NAME = "mongoengine_history"
PACKAGE = Path(__file__).parents[1] / NAME
FILES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
    for path in sorted(PACKAGE.rglob("*.py"))
}

#: A folder, or a file beside the folders, imports from rows below its own only.
ROWS = [
    {"__main__"},
    {"cli"},
    {"contrib", "demo"},
    {"web"},
    {"faces"},
    {"__init__"},
    {"trust"},
    {"back"},
    {"capture", "read"},
    {"record"},
    {"documents"},
    {"state"},
    {"errors", "embedded"},
]

#: Public names that stand in the file of another one.
NEIGHBOURS = {
    "ABSENT": "values",
    "BaseHistory": "history",
    **dict.fromkeys(["Flushed", "flush_spool"], "spool"),
    "PlanStep": "changeset_plan",
    "Holding": "holdings",
    "Pruning": "prune",
    "release": "hold",
    **dict.fromkeys(["Delivered", "unsubscribe"], "subscribe"),
    **dict.fromkeys(["recording_failed", "revision_recorded"], "signals"),
    "Misfit": "as_of",
    "Timeline": "history_of",
    **dict.fromkeys(["Reconciled", "Reconciliation"], "reconcile"),
    "Verification": "verify",
    "Version": "history",
    "Watcher": "watch",
    **dict.fromkeys(["restore", "undo"], "revert"),
    **dict.fromkeys(["set_identity_provider", "untracked"], "changeset"),
    "track_changes": "document_track",
    "untrack_history": "track_history",
}

#: The guard of the embedded server runs that file as a script and must start without PyMongo.
#: Signatures are an extra, and so is the command line, save the demo.
IMPORTS_IN_FUNCTIONS = {
    "__main__": {"mongoengine_history.cli.main", "mongoengine_history.demo"},
    "embedded": {"pymongo", "pymongo.errors"},
    "trust.note": {"cryptography.exceptions", "cryptography.hazmat.primitives.asymmetric"},
    "read.frame": {"pandas"},
}

#: What each module of ``contrib`` connects. Beside it stand the data format and the public names.
FRAMEWORKS = {
    "contrib.__init__": set(),
    "contrib.asgi": set(),
    "contrib.celery": {"celery"},
    "contrib.django": {"asgiref", "django"},
    "contrib.django_tags": {"django"},
    "contrib.flask": {"flask", "flask_login"},
    "contrib.flask_admin": {"flask", "flask_admin", "jinja2"},
    "contrib.pytest": {"pytest"},
    "contrib.starlette_admin": {"anyio", "starlette", "starlette_admin"},
    "contrib.streams": set(),
}

#: What they may use beside the public names of the package: the history browser.
BROWSER = {"web.browser", "web.django"}


class Extended(Document):
    """A class as applications write them."""


#: Whose underscore names MongoEngine and PyMongo lay open to those who extend them.
FOREIGN = (Extended(), QuerySet(Extended, None), BaseField, Collection, MongoClient)

Function = ast.FunctionDef | ast.AsyncFunctionDef

TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in FILES.items()}


def imported(node: ast.AST) -> set[str]:
    """Name all modules imported below *node*, also those imported for type checkers only."""
    names: set[str] = set()
    for child in ast.walk(node):
        if isinstance(child, ast.Import):
            names |= {alias.name for alias in child.names}
        elif isinstance(child, ast.ImportFrom):
            names.add(child.module or "")
    return names


def own(names: Iterable[str]) -> set[str]:
    """Keep the files of this package, as `FILES` names them."""
    found = {name.removeprefix(NAME).lstrip(".") for name in names if re.match(rf"{NAME}\b", name)}
    return {name if name in FILES else f"{name}.__init__".lstrip(".") for name in found}


def folder_of(name: str) -> str:
    return name.partition(".")[0]


def row_of(name: str) -> int:
    return next(index for index, row in enumerate(ROWS) if folder_of(name) in row)


def functions(node: ast.AST) -> Iterator[Function]:
    return (child for child in ast.walk(node) if isinstance(child, Function))


def length(function: Function) -> int:
    """Count the lines of the body, without the docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


@pytest.mark.parametrize("name", FILES)
def test_imports_lead_to_lower_folders(name: str) -> None:
    for other in own(imported(TREES[name])):
        assert folder_of(other) == folder_of(name) or row_of(other) > row_of(name), other


def test_no_file_needs_itself() -> None:
    """An order in which all of them can be imported is found, so there is no cycle."""
    graph = {name: own(imported(tree)) for name, tree in TREES.items()}
    assert len([*TopologicalSorter(graph).static_order()]) == len(FILES)


@pytest.mark.parametrize("name", FILES)
def test_imports_stand_at_the_top(name: str) -> None:
    inside = [imported(function) for function in functions(TREES[name])]
    assert set().union(*inside) == IMPORTS_IN_FUNCTIONS.get(name, set())


@pytest.mark.parametrize("name", [name for name in FILES if folder_of(name) == "state"])
def test_states_know_no_database(name: str) -> None:
    """They do use bson, the data format, which comes with PyMongo."""
    roots = {name.partition(".")[0] for name in imported(TREES[name])}
    assert not roots & {"mongoengine", "pymongo"}


@pytest.mark.parametrize("name", [name for name in FILES if folder_of(name) != "record"])
def test_only_record_names_the_collection_of_the_history(name: str) -> None:
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Attribute):
            is_asked = node.attr in {"objects", "_get_collection", "_get_collection_name"}
            assert not (is_asked and getattr(node.value, "id", "") in {"History", "Version"})
            is_option = name == "documents.options"
            assert node.attr != "history" or is_option


@pytest.mark.parametrize("name", mongoengine_history.__all__)
def test_a_public_name_is_found_by_the_name_of_a_file(name: str) -> None:
    module = getattr(mongoengine_history, name).__module__.removeprefix(f"{NAME}.")
    if module != "errors":
        snake = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
        assert module.rpartition(".")[2] == NEIGHBOURS.get(name, snake)


def private_names_of(tree: ast.AST) -> set[str]:
    """Name what a file defines for itself: functions, classes, attributes, constants."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, Function | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.attr if isinstance(node, ast.Attribute) else node.id)
    return {name for name in names if is_private(name)}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__") and name != "_"


PRIVATE = {name: private_names_of(tree) for name, tree in TREES.items()}


@pytest.mark.parametrize("name", FILES)
def test_what_is_private_is_used_in_its_own_file_only(name: str) -> None:
    tree = TREES[name]
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(NAME):
            used |= {alias.name for alias in node.names}
    others = set().union(*(PRIVATE[other] for other in FILES if other != name))
    strange = used & others - PRIVATE[name]
    assert {each for each in strange if not any(hasattr(it, each) for it in FOREIGN)} == set()


def test_a_constant_has_one_name_in_the_whole_package() -> None:
    names = Counter(
        target.id
        for tree in TREES.values()
        for node in tree.body
        for target in getattr(node, "targets", [getattr(node, "target", None)])
        if isinstance(target, ast.Name) and len(target.id) > 1 and target.id.isupper()
    )
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize("name", FILES)
def test_a_file_has_one_noun(name: str) -> None:
    assert len(FILES[name].read_text(encoding="utf-8").splitlines()) <= 400
    assert not {*name.split(".")} & {"core", "common", "helpers", "misc", "utils"}


@pytest.mark.parametrize(
    "name", [name for name in FILES if name.endswith(".__init__") and name != "errors.__init__"]
)
def test_a_folder_is_nothing_by_itself(name: str) -> None:
    """
    Its docstring says what is in it; nobody imports from it.

    Errors are imported, and pickled, by the name of their folder.
    """
    assert [type(node) for node in TREES[name].body] == [ast.Expr]
    assert len(FILES[name].read_text(encoding="utf-8").splitlines()) == 1


def test_functions_are_short() -> None:
    lengths = sorted(length(each) for tree in TREES.values() for each in functions(tree))
    assert median(lengths) <= 8
    assert lengths[len(lengths) * 9 // 10] <= 25


def test_each_framework_has_its_module() -> None:
    assert {name for name in FILES if folder_of(name) == "contrib"} == set(FRAMEWORKS)


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_framework_is_connected_by_public_names(name: str) -> None:
    names = imported(TREES[name])
    assert {folder_of(other) for other in own(names) - BROWSER} <= {"__init__", "contrib"}
    known = {"bson", NAME, *FRAMEWORKS[name], *sys.stdlib_module_names}
    assert {name.partition(".")[0] for name in names} <= known
    used = {
        alias.name
        for node in ast.walk(TREES[name])
        if isinstance(node, ast.ImportFrom) and node.module == NAME
        for alias in node.names
    }
    assert used <= set(mongoengine_history.__all__)


def test_no_framework_is_needed() -> None:
    """Whoever imports the package has none of them in memory."""
    code = "import sys, mongoengine_history; print(*sys.modules, sep='\\n')"
    command = [sys.executable, "-c", code]
    modules = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert NAME in modules
    needless = {"click", "rich", f"{NAME}.cli", f"{NAME}.contrib", f"{NAME}.faces"}
    assert not {*needless, *set().union(*FRAMEWORKS.values())} & {*modules}
