"""Who may change what all databases of a server share: one test at a time, after which it is as it was."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence

import asyncpg

from pgharness.databases import cluster, ledger, problems
from pgharness.databases.ahead import LazyConnection
from pgharness.databases.cluster import Snapshot
from pgharness.server.background import background
from pgharness.server.base import Server

_KEY = ledger.key("cluster")
_CLOSE_SECONDS = 5.0


class Claims:
    """The claims of the workers of one run. Safe to call from several threads.

    Args:
        server: The server.
        owner: The role that owns the databases.
    """

    def __init__(self, server: Server, owner: str) -> None:
        self._server = server
        self._owner = owner
        self._connection = LazyConnection(server, "pgharness claims")
        self._free = threading.Semaphore()
        self._claimed: dict[str, Snapshot] = {}

    def claim(self, worker: str) -> None:
        """Wait until no other test changes what all databases share, and remember what there is.

        Raises:
            DatabaseError: The server refuses.
        """
        if worker in self._claimed:
            return
        self._free.acquire()
        try:
            with problems.explained(self._server.address):
                self._claimed[worker] = background.run(self._look())
        except BaseException:
            self._free.release()
            raise

    async def _look(self) -> Snapshot:
        connection = await self._connection.get()
        await connection.execute("SELECT pg_advisory_lock($1)", _KEY)
        return await cluster.snapshot(connection, self._owner, is_superuser=self._server.superuser)

    def restore(self, worker: str, said: Sequence[str]) -> None:
        """Have it as it was at `claim`, as far as the statements ``said`` name what differs.

        Raises:
            DatabaseError: The server refuses.
        """
        before = self._claimed.pop(worker, None)
        if before is None:
            return
        try:
            with problems.explained(self._server.address):
                background.run(self._restore(before, said))
        finally:
            self._free.release()

    async def _restore(self, before: Snapshot, said: Sequence[str]) -> None:
        connection = await self._connection.get()
        try:
            await cluster.restore(connection, before, said)
        finally:
            await connection.execute("SELECT pg_advisory_unlock($1)", _KEY)

    def close(self) -> None:
        """Disconnect. Safe to call twice, and if the server is gone."""
        with contextlib.suppress(asyncpg.PostgresError, *problems.GONE):
            background.run(self._connection.close(), _CLOSE_SECONDS)
