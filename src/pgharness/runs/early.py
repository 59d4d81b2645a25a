"""Somebody who connects before the server has been started waits for it, and gets it.

While conftest or a test module is imported; and where nothing has foretold that a test uses the database, in
the first test or fixture that connects.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
from collections.abc import Callable

from pgharness.errors import HarnessError
from pgharness.proxy.control import Control


class Early:
    """Waits beside the tests for a first connection, and has the server started for it.

    Args:
        control: The proxy, whose address is known and which has not been started.
        start: Starts the server and the proxy; called in a thread.
    """

    def __init__(self, control: Control, start: Callable[[], object]) -> None:
        self.error: HarnessError | None = None
        """Why the server could not be started for somebody who waited."""
        self._control = control
        self._start = start
        self._wake, self._woken = socket.socketpair()
        self._process = os.getpid()
        self._ended = False
        self._thread = threading.Thread(target=self._wait, name="pgharness-early", daemon=True)
        self._thread.start()

    def _wait(self) -> None:
        listener = self._control.listen()
        if listener is None:
            return
        ready, _, _ = select.select([listener, self._woken.fileno()], [], [])
        if listener not in ready or self._ended:
            return
        try:
            self._start()
        except HarnessError as error:
            self.error = error
            self._control.close()  # who waits is turned away

    def end(self) -> None:
        """Wait for nobody any more. Safe to call twice, and in a child of this process."""
        self._ended = True
        if self._process == os.getpid():
            with contextlib.suppress(OSError):
                self._wake.send(b"x")
            if self._thread is not threading.current_thread():
                self._thread.join()
        self._wake.close()
        self._woken.close()
