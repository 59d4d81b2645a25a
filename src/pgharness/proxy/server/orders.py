"""What the process that tests tells the proxy to do."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from typing import TYPE_CHECKING, Any

from pgharness.proxy.core.refusals import Refused
from pgharness.proxy.core.scopes import Report
from pgharness.proxy.core.settings import literal
from pgharness.proxy.server.upstream import ConnectError, Upstream, connect

if TYPE_CHECKING:
    from pgharness.proxy.server.proxy import Proxy

_GRACE = 1.0
_HOLDERS = """
SELECT format('process %s%s, %s for %s s, its last statement: %s', pid,
              coalesce(' ' || nullif(application_name, ''), ''), state,
              round(extract(epoch FROM clock_timestamp() - xact_start)::numeric, 1), left(query, 120)), pid
FROM pg_stat_activity
WHERE datname = {database} AND pid NOT IN (pg_backend_pid(), {pid}) AND xact_start IS NOT NULL
      AND backend_type = 'client backend'
ORDER BY xact_start
"""


class Orders:
    """Carries out orders, one JSON object a line; each is answered by one with the same number."""

    def __init__(self, proxy: Proxy, connection: socket.socket) -> None:
        self._proxy = proxy
        self._connection = connection
        self._data = b""
        self._ending = 0.0
        """When the test was told to end that has not ended yet; 0 if there is none."""
        self._written = 0
        self._claimed: list[str] = []
        """The statements of the test that have changed what all databases share."""

    def readable(self, _: Any) -> None:
        try:
            data = self._connection.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._proxy.running = False
            return
        self.take(data)

    def take(self, data: bytes) -> None:
        """Carry out the orders in ``data``."""
        *lines, self._data = (self._data + data).split(b"\n")
        for line in lines:
            self._carry_out(json.loads(line))

    def _carry_out(self, order: dict[str, Any]) -> None:
        try:
            getattr(self, f"_do_{order['do']}")(order)
        except ConnectError as error:
            self._answer(order, {"error": str(error)})

    def _answer(self, order: dict[str, Any], answer: dict[str, Any]) -> None:
        if "n" in order:
            self._connection.setblocking(True)
            with contextlib.suppress(OSError):
                self._connection.sendall(json.dumps({"n": order["n"], **answer}).encode() + b"\n")
            self._connection.setblocking(False)

    def _do_accept(self, _: dict[str, Any]) -> None:
        self._proxy.listening.begin()

    def _do_use(self, order: dict[str, Any]) -> None:
        self._proxy.connection.use(order["database"])
        self._answer(order, {})

    def _do_prepare(self, order: dict[str, Any]) -> None:
        self._proxy.clones.prepare(order["database"])

    def _do_begin(self, order: dict[str, Any]) -> None:
        proxy = self._proxy
        proxy.questions.frozen = order.get("frozen", False)
        proxy.shared.refused_test = ""
        proxy.shared.failures.denied.clear()
        proxy.connection.wake()
        proxy.isolation = order["isolation"]
        if proxy.isolation == "database":
            proxy.clones.begin(order["test"], order["database"])
        else:
            connection = proxy.connection
            if connection.upstream is None:
                connection.use(connection.database)
            restart = connection.restart if order.get("reset") else ""
            proxy.shared.scopes.begin(order["test"], restart)
        self._answer(order, {})

    def _do_end(self, order: dict[str, Any]) -> None:
        proxy = self._proxy
        proxy.catch_up()  # who has left before has left nothing open
        if proxy.isolation == "database":
            if proxy.clones.is_wide:  # those whose statements have not ended, such as a poller's
                proxy.wait(lambda: proxy.clones.is_busy, _GRACE)
            reached, said = proxy.clones.name, proxy.clones.end()
            proxy.isolation = "rollback"
            told = {"refusals": _told(said), "claimed": self._take_claimed()}
            self._answer(order, {**told, "wrote": proxy.clones.wrote, "reached": bool(reached)})
            return

        def ended(report: Report) -> None:
            self._ending = 0.0
            claimed = self._take_claimed()
            self._answer(order, {"refusals": _told(report.refusals), "claimed": claimed})

        self._ending = time.monotonic()
        proxy.shared.scopes.end(ended, frozenset(order.get("held", ())))

    def _do_wide(self, order: dict[str, Any]) -> None:
        """A fixture of wider scope than a test is set up or torn down."""
        proxy = self._proxy
        proxy.shared.refused_test = ""
        proxy.isolation = "database"
        proxy.clones.begin_wide(order["fixture"])

    def _do_rest(self, order: dict[str, Any]) -> None:
        """Leave the database that tests share, which is to be copied."""
        self._proxy.connection.rest(hold=True)
        self._answer(order, {})

    def _do_untouched(self, order: dict[str, Any]) -> None:
        """Whether the running test has not sent anything."""
        proxy, scope = self._proxy, self._proxy.shared.scope
        clients = proxy.shared.clients.values()
        in_use = proxy.clones.is_used or any(client.transaction is not None for client in clients)
        self._answer(order, {"untouched": not (in_use or scope.begun or scope.refusals)})

    def _do_watch(self, order: dict[str, Any]) -> None:
        """Whether the running test has written since this was last asked."""
        proxy = self._proxy
        written = proxy.shared.scope.stack.written
        self._answer(order, {"wrote": proxy.clones.wrote or written > self._written})
        self._written = written
        proxy.clones.watch()

    def _do_refusals(self, order: dict[str, Any]) -> None:
        """What the running test has been refused so far."""
        found = self._proxy.shared.scope.refusals if self._proxy.isolation == "rollback" else []
        self._answer(order, {"refusals": _told(found)})

    def _do_denied(self, order: dict[str, Any]) -> None:
        """What a superuser would have been let do since the test has begun, or one has last asked."""
        denied = self._proxy.shared.failures.denied
        self._answer(order, {"denied": list(denied)})
        denied.clear()

    def _do_tls(self, order: dict[str, Any]) -> None:
        self._proxy.tls.wanted = True
        self._answer(order, {})

    def _do_refuse(self, order: dict[str, Any]) -> None:
        self._proxy.shared.refused_test = order["test"]

    def _do_baseline(self, order: dict[str, Any]) -> None:
        client = self._proxy.shared.clients.get(order["pid"])
        if client is not None and client.baseline is None:
            client.baseline = client.settings if client.transaction is None else client.transaction.settings
            client.made_with = frozenset(client.named)

    def _do_holders(self, order: dict[str, Any]) -> None:
        proxy = self._proxy
        session = proxy.session_by_pid(order["pid"])
        mine = (session.upstream if session is not None else None) or proxy.connection.upstream
        if mine is None:
            self._answer(order, {"holders": []})
            return
        pids = {s.upstream.pid: s.client.pid for s in proxy.sessions if s.upstream and s.client}
        found = [[line, pids.get(pid, 0)] for line, pid in self._holders(mine)]
        self._answer(order, {"holders": found})

    def _holders(self, mine: Upstream) -> list[tuple[str, int]]:
        """Who is in a transaction of the same database, and its process."""
        opened = connect(self._proxy.target, mine.database)
        try:
            rows = opened.ask(_HOLDERS.format(database=literal(mine.database), pid=mine.pid))
        finally:
            opened.close()
        return [((line or b"").decode(), int(pid or 0)) for line, pid in rows]

    def holders_beside(self) -> list[str]:
        """Who is in a transaction of the database that the tests share, past them."""
        mine = self._proxy.connection.upstream
        with contextlib.suppress(ConnectError):
            return [line for line, _ in self._holders(mine)] if mine is not None else []
        return []

    def claim(self, statement: str) -> None:
        """Have nobody else change what all databases share until the test has ended."""
        if not self._claimed and not self._proxy.clones.is_wide:
            self._proxy.questions.claim()
        self._claimed.append(statement)

    def _take_claimed(self) -> list[str]:
        claimed, self._claimed = self._claimed, []
        return claimed

    def _do_close(self, order: dict[str, Any]) -> None:
        self._proxy.clear()
        self._answer(order, {})
        self._proxy.running = False

    def look_after(self) -> None:
        """Cancel what still runs some time after its test was told to end."""
        if self._ending and time.monotonic() - self._ending > _GRACE:
            self._proxy.connection.cancel()


def _told(refusals: list[Refused]) -> list[list[Any]]:
    return [[refused.kind, list(refused.arguments)] for refused in refusals]
