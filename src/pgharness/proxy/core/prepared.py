"""The statements of clients that are prepared on the shared connection, each under a name of its own.

Even the same text is prepared anew for whoever asks: what PostgreSQL makes of it depends on the moment
and on the session, as ``'now'::timestamptz`` and ``'00:00'::timetz`` show.
"""

from __future__ import annotations

from pgharness.proxy.core import wire
from pgharness.proxy.core.client import Prepared


class Statements:
    """Gives prepared statements their names on the server.

    What was prepared while a schema stood that has been undone is prepared again when it is next used.
    """

    def __init__(self) -> None:
        self._since: list[Prepared] | None = None
        """What has been prepared since the schema was changed; None while it stands as it was."""
        self._count = 0
        self._dropped: list[bytes] = []

    def add(self, prepared: Prepared) -> bytes:
        """The Parse that prepares ``prepared`` under a name that it has from now on."""
        self._count += 1
        prepared.server_name = b"pgh_%d" % self._count
        if self._since is not None:
            self._since.append(prepared)
        return wire.parse(prepared.server_name, prepared.body)

    def forget(self, prepared: Prepared) -> None:
        """The client has closed ``prepared``, or has gone."""
        if prepared.server_name:
            self.drop(prepared.server_name)
            prepared.server_name = b""

    def drop(self, name: bytes) -> None:
        """Nobody needs the statement ``name`` on the server any more."""
        self._dropped.append(name)

    def failed(self, prepared: Prepared) -> None:
        """The Parse of ``prepared`` has failed: there is no such statement on the server."""
        prepared.server_name = b""

    def schema_changed(self) -> None:
        """What is prepared from now on may be worth nothing once the test is undone."""
        if self._since is None:
            self._since = []

    def schema_undone(self) -> None:
        """The schema is as it was."""
        since, self._since = self._since, None
        for prepared in since or ():
            self.forget(prepared)

    def clear(self) -> None:
        """The connection is gone, and all of it with it."""
        self._since = None
        self._dropped.clear()

    def take_dropped(self) -> list[bytes]:
        """Names on the server that nobody needs any more."""
        dropped, self._dropped = self._dropped, []
        return dropped
