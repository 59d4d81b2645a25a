"""Which tier a test belongs to: the directory it lies in says so."""

from __future__ import annotations

import functools
import itertools
from pathlib import Path
from typing import Literal

Tier = Literal["unit", "integration", "api"]
TIERS: tuple[Tier, ...] = ("unit", "integration", "api")


@functools.lru_cache(maxsize=4096)  # asked several times for each test of a file
def tier_of(path: Path, root: Path) -> Tier | None:
    """The tier of a test file: the first directory below a ``tests`` that names one."""
    try:
        parts = path.relative_to(root).parts[:-1]
    except ValueError:
        parts = path.parts[:-1]
    for parent, name in itertools.pairwise(parts):
        if parent in ("tests", "test") and name in TIERS:
            return name
    return None
