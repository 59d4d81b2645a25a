"""What a project imports from pgharness, and the names that go away."""

from __future__ import annotations

import importlib
import re

import pytest

from pgharness import fixtures

SAID = "pgharness.live goes away: import LiveServer from pgharness.fixtures"


def test_the_types_of_the_fixtures() -> None:
    assert fixtures.__all__ == ["Database", "LiveServer", "PgServer"]


def test_the_live_server_where_it_was_before() -> None:
    former = importlib.import_module("pgharness.live")

    with pytest.warns(match=f"^{re.escape(SAID)}$") as caught:
        found = former.LiveServer

    assert found is fixtures.LiveServer
    assert [warning.category for warning in caught] == [DeprecationWarning]
    assert caught[0].filename == __file__


def test_nothing_else_is_there() -> None:
    former = importlib.import_module("pgharness.live")

    with pytest.raises(AttributeError, match=r"^module 'pgharness\.live' has no attribute 'live_server'$"):
        _ = former.live_server
