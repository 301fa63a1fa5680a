"""Sessions to which PyMongo binds all that a block does, from 4.17 on."""

from __future__ import annotations

import pytest
from pymongo.client_session import ClientSession

CAN_BIND = hasattr(ClientSession, "bind")
WHY = "PyMongo binds sessions from 4.17 on"

binds = pytest.mark.skipif(not CAN_BIND, reason=WHY)


def need_binding() -> None:
    """Skip a test with an older one."""
    if not CAN_BIND:
        pytest.skip(WHY)
