"""The connection that clients share while a test is rolled back."""

from __future__ import annotations

import dataclasses
import socket
import struct
from typing import TYPE_CHECKING, Any

from pgharness.proxy.core.effects import UNSET
from pgharness.proxy.core.refusals import Refused
from pgharness.proxy.core.settings import AUTHORIZATION, current, set_for_session
from pgharness.proxy.server import catalogue, upstream
from pgharness.proxy.server.secured import Socket
from pgharness.proxy.server.upstream import Upstream

if TYPE_CHECKING:
    from pgharness.proxy.server.proxy import Proxy

_READ = 65536
_NOW = socket.MSG_DONTWAIT
_REST_SECONDS = 2.0
_CHARACTERISTICS = [f"default_transaction_{name}" for name in ("isolation", "read_only", "deferrable")]
"""What SET SESSION CHARACTERISTICS sets, and RESET ALL goes back from, without the server."""
_MOMENT = struct.pack("@ll", 0, 500)
"""How long an answer of the server is waited for before anybody else is looked at: half a millisecond."""


class SharedConnection:
    """The socket below `Shared`."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self.upstream: Upstream | None = None
        self.database = ""
        """The database on the server that stands for that of the tests."""
        self.rests = False
        """Whether it has been left for a while."""
        self.restart = ""
        """What sets its sequences back to where they stood at first."""

    def use(self, name: str) -> None:
        """Share a connection to the database ``name`` from now on.

        Raises:
            ConnectError: The server refuses, or has gone.
        """
        proxy, options = self._proxy, self._proxy.options
        self.close()
        self.rests = proxy.shared.held = False
        if not self.database:
            proxy.target = upstream.nearest(proxy.target, name)
            proxy.owner = dataclasses.replace(proxy.owner, host=proxy.target.host)
        timeout = f"{int(options['lock_timeout'] * 1000)}ms"
        parameters = {"lock_timeout": timeout, "application_name": "pgharness", **UNSET}
        opened = upstream.connect(proxy.target, name, parameters)
        facts = catalogue.facts(
            opened,
            proxy.owner.user,
            proxy.target.user,
            strict=options["strict"],
            clock=options["clock"],
            lock_timeout=options["lock_timeout"],
        )
        defaults = dict(zip(_CHARACTERISTICS, opened.ask(current(_CHARACTERISTICS))[0], strict=True))
        self.restart = catalogue.restart(opened, proxy.owner.user)
        if facts.owner != facts.login:
            opened.ask(set_for_session([(AUTHORIZATION, facts.owner)]))
        self._calm(opened)
        self.upstream, self.database = opened, name
        known = {name.lower(): value for name, value in opened.reported.items()}
        known |= {name: (value or b"").decode() for name, value in defaults.items()}
        known["application_name"] = ""  # that of a client which gives none
        known |= {AUTHORIZATION: facts.owner, "role": "none"}
        if facts.owner != facts.login:
            known["is_superuser"] = "off"
        proxy.shared.connect(facts, {**known, **UNSET})
        proxy.register(opened.socket, self._readable)

    def _calm(self, opened: Upstream) -> None:
        """Have nobody wait for long on the connection."""
        opened.socket.setblocking(not opened.tls)
        opened.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _MOMENT)

    def ask(self, sql: str) -> list[list[bytes | None]]:
        """The rows of a query in the test's transaction; only while nobody else uses it.

        Raises:
            ConnectError: The query fails, or there is no connection.
        """
        if self.upstream is None:
            raise upstream.ConnectError("there is no shared connection")
        try:
            return self.upstream.ask(sql)
        finally:
            self._calm(self.upstream)

    def rest(self, *, hold: bool = False) -> None:
        """Leave the database, which is to be copied, as soon as the server has done what it has been sent.

        With ``hold`` whoever sends something waits until `wake`; else that wakes it.
        """
        shared = self._proxy.shared
        self.send()
        self._proxy.wait(lambda: self.upstream is not None and not shared.channel.idle, _REST_SECONDS)
        shared.scopes.set_aside()
        self.close()
        self.rests, shared.held = True, hold

    def wake(self) -> None:
        """Go back to the database after a `rest`.

        Raises:
            ConnectError: The server refuses, or has gone.
        """
        if self.rests:
            self.use(self.database)
            self._proxy.shared.pump()

    def close(self) -> None:
        opened, self.upstream = self.upstream, None
        if opened is not None:
            self._proxy.unregister(opened.socket)
            opened.close()

    def send(self) -> bool:
        """Send on what is for the server; returns whether there was anything."""
        out = self._proxy.shared.channel.out
        if not out or self.upstream is None:
            return False
        self._proxy.send(self.upstream.socket, out, self._lost)
        return True

    def answer_at_once(self) -> None:
        """Wait a moment for the server, which mostly answers sooner than a turn of the loop takes."""
        opened, shared = self.upstream, self._proxy.shared
        if opened is None or opened.tls or shared.channel.out or shared.held:
            return
        if shared.holder is None or not shared.holder.copying:
            self._take(opened.socket, 0)

    def _readable(self, source: Any) -> None:
        self._take(source, _NOW)

    def _take(self, source: Socket, flags: int) -> None:
        """Take what the server has sent; ``flags`` are those of recv, without `_NOW` it may wait a moment."""
        proxy = self._proxy
        try:
            data = source.recv(_READ, flags)
        except BlockingIOError:
            self.send()
            return
        except OSError:
            data = b""
        if not data:
            self._lost()
            return
        holder = proxy.shared.holder
        proxy.shared.channel.receive(data)
        if holder is not None:
            if (session := proxy.session_of(holder)) is not None:
                proxy.flush(session)
                if session.is_full:
                    proxy.flow.pause(session, source, self._readable)
            if holder.copying and holder.queue:
                proxy.shared.leaving.copy(holder)
        self.send()

    def _lost(self) -> None:
        """The connection has ended by itself."""
        self.close()
        self._proxy.shared.lost(Refused("connection_lost"))

    # -- requests to cancel -----------------------------------------------------------------------------

    def cancel(self) -> None:
        """Cancel the holder's statement, once it is what the server is at."""
        shared = self._proxy.shared
        sections = shared.channel.sections
        if self.upstream is None or not sections or sections[0].client is not shared.holder or shared.held:
            return
        sent = upstream.cancel(self._proxy.target, self.upstream)
        if sent is None:
            return
        shared.held = True  # what is sent now might be hit in its place
        sent.setblocking(False)
        self._proxy.register(sent, self._cancelled)

    def _cancelled(self, sent: Any) -> None:
        """The server has taken the request, and has told the process that it is for."""
        self._proxy.unregister(sent)
        sent.close()
        self._proxy.shared.held = False
        self._proxy.shared.pump()
