"""Where in the user's code something happened, for messages."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

_LIBRARIES = tuple(
    {f"{sysconfig.get_path(name)}{os.sep}" for name in ("stdlib", "platstdlib", "purelib", "platlib")}
)
_START = os.getcwd()  # noqa: PTH109 - where pytest was started; a test may go elsewhere
_OURS = f"{Path(__file__).resolve().parent.parent}{os.sep}"


@lru_cache(maxsize=2048)
def is_library(filename: str) -> bool:
    """Whether the code in ``filename`` belongs to Python, to an installed package or to the harness."""
    return filename.startswith(("<", _OURS, *_LIBRARIES)) or "site-packages" in filename


class Place(NamedTuple):
    """A place in the code; as text ``path:line in function``."""

    filename: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{relative(self.filename)}:{self.line} in {self.function}"


def place() -> Place | None:
    """That of the innermost frame that belongs to no library."""
    for frame in _frames():
        code = frame.f_code
        if not is_library(code.co_filename):
            return Place(code.co_filename, frame.f_lineno, code.co_name)
    return None


def _frames() -> Iterator[FrameType]:
    """The callers, inmost first; SQLAlchemy's async engines run in a greenlet, its parent calls them."""
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001 - inspect.stack() reads every source file
    greenlet = sys.modules.get("greenlet")
    current: Any = greenlet.getcurrent() if greenlet is not None else None
    while frame is not None:
        yield frame
        frame = frame.f_back
        if frame is None and current is not None:
            current = current.parent
            frame = current.gr_frame if current is not None else None


@lru_cache(maxsize=2048)
def relative(filename: str) -> str:
    """``filename`` as seen from where pytest was started, if it lies below."""
    relative = os.path.relpath(filename, _START)
    return filename if relative.startswith("..") else relative
