"""freezegun freezes the test and leaves the harness alone."""

from __future__ import annotations

import datetime as dt
import sys
import types

import pytest
from freezegun import freeze_time

from pgharness import clock


@freeze_time("2030-01-01")
def test_the_test_is_frozen() -> None:
    assert dt.datetime.now(dt.UTC) == dt.datetime(2030, 1, 1, tzinfo=dt.UTC)


def test_attributes_of_testcontainers_are_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("testcontainers.asks_the_engine")
    module.__dir__ = lambda: ["socket"]  # type: ignore[method-assign]
    module.__getattr__ = _fail  # type: ignore[method-assign]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    clock.wire()

    with freeze_time("2030-01-01"):
        pass


def _fail(name: str) -> object:
    raise RuntimeError(f"{name} was asked for")
