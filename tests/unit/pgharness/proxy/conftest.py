"""Fixtures for tests of the proxy's core."""

from __future__ import annotations

import pytest

from pgharness.proxy.core.stack import Stack


@pytest.fixture
def stack() -> Stack:
    return Stack({"work_mem": "4MB", "search_path": "public"})
