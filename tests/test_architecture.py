"""The shape of the package: imports lead downwards, files and functions stay short."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import pytest

import mongoengine_history

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(__file__).parents[1] / "mongoengine_history"
MODULES = {path.stem: path for path in sorted(PACKAGE.glob("*.py"))}

#: A module imports from rows above its own only. So there is no cycle, either.
LAYERS = [
    ["values", "errors", "embedded"],
    ["blocks", "draft", "alignment", "parts", "touching"],
    ["patching", "hiding"],
    ["merging", "diffing", "lists", "legacy", "wording"],
    ["revision"],
    ["layout", "blame"],
    ["context", "keys", "options", "sessions"],
    ["fieldpaths"],
    ["records", "snapshot"],
    ["place", "turns"],
    ["changesets", "ledger"],
    ["archive"],
    ["store", "writes"],
    ["tracker", "timeline", "entries", "overview"],
    ["origin", "bulk"],
    ["tracking", "past", "saving", "querying", "inserting", "mixing", "strictness"],
    ["collection"],
    ["registration"],
    ["restoring", "backfilling"],
    ["reversal"],
    ["__init__"],
    ["demo"],
    ["replay"],
    ["__main__"],
]

#: Plain Python, no database. They do use bson, the data format, which comes with PyMongo.
CORE = ["values", "errors", *(module for layer in LAYERS[1:6] for module in layer)]

#: The guard of the embedded server runs that file as a script and must start without PyMongo.
IMPORTS_IN_FUNCTIONS = {"embedded": {"pymongo", "pymongo.errors"}}

#: What each module of ``contrib`` connects. Beside it stand the data format and the public names.
FRAMEWORKS = {
    "__init__": set(),
    "asgi": set(),
    "celery": {"celery"},
    "django": {"asgiref", "django"},
    "flask": {"flask", "flask_login"},
    "streams": set(),
}
CONTRIB = {path.stem: path for path in sorted((PACKAGE / "contrib").glob("*.py"))}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def tree_of(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def imported(node: ast.AST) -> set[str]:
    """Name all modules imported below *node*, also those imported for type checkers only."""
    names: set[str] = set()
    for child in ast.walk(node):
        if isinstance(child, ast.Import):
            names |= {alias.name for alias in child.names}
        elif isinstance(child, ast.ImportFrom):
            names.add(child.module or "")
    return names


def own(names: set[str]) -> set[str]:
    """Keep the modules of this package, by their short names."""
    parts = [name.split(".") for name in names]
    return {(part[1:] or ["__init__"])[0] for part in parts if part[0] == PACKAGE.name}


def functions(node: ast.AST) -> Iterator[Function]:
    return (child for child in ast.walk(node) if isinstance(child, Function))


def length(function: Function) -> int:
    """Count the lines of the body, without the docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def test_each_module_has_its_layer() -> None:
    assert set(MODULES) <= {module for layer in LAYERS for module in layer}


@pytest.mark.parametrize("module", MODULES)
def test_imports_lead_downwards(module: str) -> None:
    place = next(place for place, layer in enumerate(LAYERS) if module in layer)
    below = {name for layer in LAYERS[:place] for name in layer}
    assert own(imported(tree_of(module))) <= below


@pytest.mark.parametrize("module", MODULES)
def test_imports_stand_at_the_top(module: str) -> None:
    inside = [imported(function) for function in functions(tree_of(module))]
    assert set().union(*inside) == IMPORTS_IN_FUNCTIONS.get(module, set())


@pytest.mark.parametrize("module", CORE)
def test_the_core_knows_no_database(module: str) -> None:
    roots = {name.partition(".")[0] for name in imported(tree_of(module))}
    assert not roots & {"mongoengine", "pymongo"}


@pytest.mark.parametrize("module", MODULES)
def test_a_file_has_one_noun(module: str) -> None:
    assert len(MODULES[module].read_text(encoding="utf-8").splitlines()) <= 400
    assert module not in {"core", "common", "helpers", "misc", "utils"}


def test_functions_are_short() -> None:
    lengths = sorted(length(each) for module in MODULES for each in functions(tree_of(module)))
    assert median(lengths) <= 8
    assert lengths[len(lengths) * 9 // 10] <= 25


def test_each_framework_has_its_module() -> None:
    assert set(CONTRIB) == set(FRAMEWORKS)


@pytest.mark.parametrize("module", CONTRIB)
def test_a_framework_is_connected_by_public_names(module: str) -> None:
    tree = ast.parse(CONTRIB[module].read_text(encoding="utf-8"))
    names = imported(tree)
    assert own(names) <= {"__init__", "contrib"}
    known = {"bson", PACKAGE.name, *FRAMEWORKS[module], *sys.stdlib_module_names}
    assert {name.partition(".")[0] for name in names} <= known
    used = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == PACKAGE.name
        for alias in node.names
    }
    assert used <= set(mongoengine_history.__all__)


def test_no_framework_is_needed() -> None:
    """Whoever imports the package has none of them in memory."""
    code = "import sys, mongoengine_history; print(*sys.modules, sep='\\n')"
    command = [sys.executable, "-c", code]
    modules = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert "mongoengine_history" in modules
    assert not {"mongoengine_history.contrib", *set().union(*FRAMEWORKS.values())} & {*modules}
