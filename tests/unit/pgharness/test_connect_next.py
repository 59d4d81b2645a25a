"""Arguments that SQLAlchemy keeps for an engine's later connections."""

from __future__ import annotations

from typing import Any

import pytest

from pgharness.isolation.rollback import connect_next


async def virtual(**_: Any) -> str:
    return "virtual"


async def users_own(**_: Any) -> str:
    return "the user's own"


@pytest.mark.parametrize("before", [{}, {"async_creator_fn": users_own}])
async def test_only_the_next_connection_is_made_by_the_creator(before: dict[str, Any]) -> None:
    options: dict[str, Any] = {"port": 5432, **before}

    connect_next(options, virtual)
    connection = await options["async_creator_fn"](port=5432)

    assert connection == "virtual"
    assert options == {"port": 5432, **before}
