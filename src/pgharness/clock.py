"""freezegun, wired: frozen time is the test's, not the harness's."""

from __future__ import annotations

import sys

# freezegun looks at every attribute of every module; one of testcontainers' asks the Docker engine.
_KEEP_REAL = ["pgharness", "testcontainers", "docker"]
_wired: set[int] = set()


def wire() -> None:
    """Keep freezegun away from the harness, once somebody has imported it. Cheap to call per test."""
    freezegun = sys.modules.get("freezegun")
    if freezegun is None or id(freezegun) in _wired or not hasattr(freezegun, "configure"):
        return
    _wired.add(id(freezegun))
    freezegun.configure(extend_ignore_list=_KEEP_REAL)
