"""A proxy in a thread of this process, where what it does is measured."""

from __future__ import annotations

import os
import threading
from typing import Any

from pgharness.proxy.control import Control
from pgharness.proxy.server.process import serve
from pgharness.tiers import guard


class InThisProcess(Control):
    """A proxy in a thread, where its coverage is measured."""

    def _run(self, descriptors: list[int]) -> None:
        own = [os.dup(descriptor) for descriptor in descriptors]
        self._thread = threading.Thread(target=serve, args=(own,), name="pgharness-proxy", daemon=True)
        self._thread.start()

    def _send(self, order: dict[str, Any]) -> None:
        if guard.current is not None:  # what it connects to is not what the test connects to
            guard.current.allowed |= {"unix:*"}
        super()._send(order)

    def close(self) -> None:
        super().close()
        self._thread.join(10)
