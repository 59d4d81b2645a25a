"""Which tier a test belongs to: the directory it lies in says so."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Collection
from pathlib import Path
from typing import Literal, cast

from pgharness.config.check import TIERS

Tier = Literal["unit", "integration", "api"]


@functools.lru_cache(maxsize=4096)  # asked several times for each test of a file
def tier_of(path: Path, root: Path, wanted: Collection[str]) -> Tier | None:
    """The tier of a test file: the first directory below a ``tests`` that names one of those ``wanted``.

    ``root`` is the directory of the ini file, which may be ``tests`` itself.
    """
    parts = path.relative_to(root.parent).parts[:-1] if path.is_relative_to(root) else path.parts[:-1]
    for parent, name in itertools.pairwise(parts):
        if parent in ("tests", "test") and name in TIERS and name in wanted:
            return cast("Tier", name)
    return None
