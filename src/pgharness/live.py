"""The name by which `pgharness.fixtures.LiveServer` was imported before 0.2."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pgharness.fixtures import LiveServer

__all__ = ["LiveServer"]


def __getattr__(name: str) -> object:
    if name != "LiveServer":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pgharness import fixtures  # noqa: PLC0415 - only who still asks

    warnings.warn(
        "pgharness.live goes away: import LiveServer from pgharness.fixtures",
        DeprecationWarning,
        stacklevel=2,
    )
    return fixtures.LiveServer
