"""freezegun asks every module for every name; those that compute must not be told of."""

from __future__ import annotations

import types

import pytest

from pgharness.server.quiet import hide_deprecated_names


@pytest.fixture
def computing() -> types.ModuleType:
    module = types.ModuleType("computing")
    module.plain = 1  # type: ignore[attr-defined]  # a module of any names
    module.__dir__ = lambda: ["plain", "ASKS_THE_ENGINE"]  # type: ignore[method-assign]  # the same
    module.__getattr__ = lambda name: f"computed {name}"  # type: ignore[method-assign]  # the same
    return module


def test_a_computed_name_is_not_told_of_and_still_there(computing: types.ModuleType) -> None:
    assert "ASKS_THE_ENGINE" in dir(computing)

    hide_deprecated_names(computing)

    assert "ASKS_THE_ENGINE" not in dir(computing)
    assert "plain" in dir(computing)
    assert computing.ASKS_THE_ENGINE == "computed ASKS_THE_ENGINE"
