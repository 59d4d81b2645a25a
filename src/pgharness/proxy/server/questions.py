"""What only the process that tests knows: where in its code a transaction began, and its time."""

from __future__ import annotations

import datetime as dt
import json
import socket

_SECONDS = 2.0
_PATIENCE_SECONDS = 120.0
"""A database may have to be made for the answer, or a test of another worker to end."""


class Questions:
    """Asks the process that tests, and waits for the answer; a thread of its own gives it at once.

    Args:
        connection: Where to ask.
    """

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(_SECONDS)
        self._connection = connection
        self._data = b""
        self._owed = 0
        """How many answers have not come, those included for which nobody waits any more."""
        self.frozen = False
        """Whether time may stand still in the process that tests."""

    def place(self, pid: int) -> str:
        """Where the transaction of the client ``pid`` began; empty if that is not known."""
        return self._ask(f"place {pid}")

    def now(self) -> str:
        """The time of the process that tests, as PostgreSQL reads it."""
        asked = self._ask("now") if self.frozen else ""
        return asked or dt.datetime.now(dt.UTC).isoformat()

    def database(self) -> str:
        """The database for the fixture of wider scope that is being set up; empty if there is none."""
        return self._ask_patiently("database")

    def claim(self) -> None:
        """Wait until nobody else changes what all databases share."""
        self._ask_patiently("claim")

    def _ask_patiently(self, text: str) -> str:
        self._connection.settimeout(_PATIENCE_SECONDS)
        try:
            return self._ask(text)
        finally:
            self._connection.settimeout(_SECONDS)

    def _ask(self, text: str) -> str:
        try:
            self._connection.sendall(text.encode() + b"\n")
            self._owed += 1
            line = b""
            while self._owed:
                while b"\n" not in self._data:
                    more = self._connection.recv(65536)
                    if not more:
                        return ""
                    self._data += more
                line, _, self._data = self._data.partition(b"\n")
                self._owed -= 1
        except OSError:
            return ""
        return str(json.loads(line))
