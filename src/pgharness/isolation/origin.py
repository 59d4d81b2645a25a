"""Where in the user's code something happened, for messages."""

from __future__ import annotations

import os
import sys
import sysconfig
from functools import lru_cache

_LIBRARIES = tuple(
    {os.path.join(sysconfig.get_path(name), "") for name in ("stdlib", "platstdlib", "purelib", "platlib")}
)
_OURS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "")


@lru_cache(maxsize=2048)
def _is_library(filename: str) -> bool:
    return filename.startswith(("<", _OURS, *_LIBRARIES)) or "site-packages" in filename


def origin(default: str = "an unknown place") -> str:
    """``path:line in function`` of the innermost frame that belongs to no library."""
    frame = sys._getframe(1)  # noqa: SLF001 - inspect.stack() reads every source file on the way
    while frame is not None:
        filename = frame.f_code.co_filename
        if not _is_library(filename):
            return f"{_relative(filename)}:{frame.f_lineno} in {frame.f_code.co_name}"
        frame = frame.f_back  # type: ignore[assignment]
    return default


@lru_cache(maxsize=2048)
def _relative(filename: str) -> str:
    relative = os.path.relpath(filename)
    return filename if relative.startswith("..") else relative
