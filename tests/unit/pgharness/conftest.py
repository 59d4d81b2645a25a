"""Fixtures for tests of the stack of savepoints."""

from __future__ import annotations

import pytest

from pgharness.isolation.stack import Stack


@pytest.fixture
def stack() -> Stack:
    return Stack("test_x", defaults={"work_mem": "4MB", "search_path": "public"})
