"""What can be used beside the Python, PyMongo and MongoEngine that there are."""

from __future__ import annotations

from importlib import import_module

import pytest

#: Not the modules of this package: what they cannot import fails their tests.
ADMINS = [f"{name}_admin.contrib.mongoengine" for name in ("flask", "starlette")]

WHY = (
    "starlette-admin needs Python 3.11, and neither admin takes what MongoEngine will release next"
)


def is_there(name: str) -> bool:
    """Say whether a module can be imported."""
    try:
        import_module(name)
    except (ImportError, AttributeError):
        return False
    return True


def need(name: str) -> None:
    """Skip all tests of a file where a module cannot be imported."""
    if not is_there(name):
        pytest.skip(WHY, allow_module_level=True)
