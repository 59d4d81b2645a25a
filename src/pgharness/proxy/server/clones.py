"""Connections of clients' own: to the clone of a test with real commits, and to other databases."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from pgharness.proxy.core import wire
from pgharness.proxy.core.direct import Direct
from pgharness.proxy.core.running import Restart
from pgharness.proxy.core.settings import current
from pgharness.proxy.server import upstream
from pgharness.proxy.server.upstream import ConnectError, Upstream

if TYPE_CHECKING:
    from pgharness.proxy.core.client import Client
    from pgharness.proxy.server.proxy import Proxy
    from pgharness.proxy.server.session import Session

_AHEAD = 2
_ENDED = wire.error("FATAL", "57P01", "terminating connection: its test has ended")


class Clones:
    """Gives each client a connection of its own while a test with real commits runs."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self.shared = ""
        """The database that the shared connection goes to."""
        self.restart: Restart | None = None
        self._test = ""
        self._name = ""
        """The clone of the running test."""
        self._open: dict[str, list[Upstream]] = {}
        """Connections opened ahead, by database."""
        self._lock = threading.Lock()

    def prepare(self, name: str) -> None:
        """Open connections to the clone ``name``, which the next test will get, without waiting."""
        threading.Thread(target=self._prepare, args=(name,), daemon=True).start()

    def _prepare(self, name: str) -> None:
        with contextlib.suppress(ConnectError):
            for _ in range(_AHEAD):
                opened = upstream.connect(self._proxy.target, name)
                with self._lock:
                    self._open.setdefault(name, []).append(opened)

    def begin(self, test: str, name: str) -> None:
        """From now on clients get connections to the clone ``name``."""
        self._test, self._name = test, name

    def end(self) -> None:
        """End the connections to the clone; their clients stay."""
        for session in self._proxy.sessions:
            if session.direct is not None and session.upstream is not None and not session.once:
                self._detach(session)
        with self._lock:
            left = self._open.pop(self._name, [])
        for opened in left:
            opened.close()
        self._test = self._name = ""

    def _detach(self, session: Session) -> None:
        client, direct = session.client, session.direct
        if client is None or direct is None or session.upstream is None:
            return
        if not direct.channel.idle:
            self._proxy.end_session(session, _ENDED)
            return
        if direct.status != b"I":
            client.lost = self._test
        elif client.touched:
            self._keep_settings(client, session.upstream)
        if client.baseline is not None:
            client.settings = client.baseline
        self._proxy.release_upstream(session)
        client.portals.clear()

    def _keep_settings(self, client: Client, opened: Upstream) -> None:
        names = list(client.touched)
        with contextlib.suppress(ConnectError):
            values = opened.ask(current(names))[0]
            known = {n: v.decode() for n, v in zip(names, values, strict=True) if v is not None}
            client.settings = {**client.settings, **known}
        client.touched.clear()

    def take(self, session: Session, messages: list[tuple[bytes, bytes]]) -> None:
        """Pass on what the client of ``session`` has sent, on a connection that it gets now if it has none."""
        if session.direct is None:
            try:
                assert session.client is not None  # noqa: S101 - messages come from clients
                self.attach(session, session.client)
            except ConnectError as error:
                self._proxy.end_session(session, wire.error("FATAL", "08006", f"pgharness: {error}"))
                return
        assert session.direct is not None  # noqa: S101 - it has got one
        session.direct.take(messages)
        self._proxy.send_direct(session)

    def attach(self, session: Session, client: Client, name: str = "", *, once: bool = False) -> int:
        """Give ``client`` a connection to ``name``, or to the test's clone; returns its process id.

        ``once`` says that it keeps that connection, whatever test runs.

        Raises:
            ConnectError: The server refuses, or has gone.
        """
        name = name or self._name
        with self._lock:
            ready = self._open.get(name)
            opened = ready.pop() if ready else None
        opened = opened or upstream.connect(self._proxy.target, name)
        direct = Direct(client, self._proxy.shared.statements.forget)
        wanted = {n: v for n, v in client.settings.items() if opened.reported.get(n) != v}
        session.direct, session.once = direct, once
        self._proxy.register(session, opened)
        direct.begin(wanted)
        return opened.pid
