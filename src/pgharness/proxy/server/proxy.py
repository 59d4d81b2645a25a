"""The proxy's loop: sockets of clients, of the server, and of the process that tests."""

from __future__ import annotations

import contextlib
import dataclasses
import selectors
import socket
import time
from collections.abc import Callable
from typing import Any

from pgharness.proxy.core import wire
from pgharness.proxy.core.client import Client
from pgharness.proxy.core.running import Facts
from pgharness.proxy.core.shared import Shared
from pgharness.proxy.server.admission import Admission
from pgharness.proxy.server.clones import Clones
from pgharness.proxy.server.flow import Flow
from pgharness.proxy.server.listening import Listening
from pgharness.proxy.server.orders import Orders
from pgharness.proxy.server.questions import Questions
from pgharness.proxy.server.secured import Socket
from pgharness.proxy.server.sentences import sentence
from pgharness.proxy.server.session import Session
from pgharness.proxy.server.sharing import SharedConnection
from pgharness.proxy.server.tls import Tls
from pgharness.proxy.server.upstream import Target

_TICK = 0.1
_NOW = socket.MSG_DONTWAIT
GONE = wire.error("FATAL", "57P01", "pgharness: the server of this run has gone.")


class Proxy:
    """Serves clients until the process that tests has gone.

    Args:
        listeners: Sockets that are bound.
        control: The connection on which the process that tests gives orders.
        questions: The connection on which it is asked.
        options: What it has said first: where the server is, and how this run isolates.
    """

    def __init__(
        self,
        listeners: list[socket.socket],
        control: socket.socket,
        questions: socket.socket,
        options: dict[str, Any],
    ) -> None:
        server = options["server"]
        self.target = Target(
            server["host"], server["port"], server["user"], server["password"], tls=server["tls"]
        )
        self.owner = dataclasses.replace(self.target, **options.get("owner", {}))
        """The login of the role that owns the databases."""
        self.options = options
        self.database: str = options["database"]
        """The name under which clients know the database of the tests."""
        self.isolation = "rollback"
        self.running = True
        self.tls = Tls(
            options.get("tls_directory", ""), options["packages"], wanted=options.get("tls", False)
        )
        self.questions = Questions(questions)
        self.shared = Shared(Facts(), {}, sentence, self.questions.now)
        self.flow = Flow(self)
        self.connection = SharedConnection(self)
        self.admission = Admission(self)
        self.clones = Clones(self)
        self.orders = Orders(self, control)
        self.shared.holders = self.orders.holders_beside
        self.shared.claim = self.orders.claim
        self._selector = selectors.DefaultSelector()
        self._sessions: dict[int, Session] = {}
        self._full: set[Socket] = set()
        """Connections to the server that take no more at the moment."""
        self._since: dict[Client, float] = {}
        """Since when each client has waited for the holder to be answered."""
        self.listening = Listening(self, listeners)
        if not options.get("waits", False):
            self.listening.begin()
        control.setblocking(False)
        self.register(control, self.orders.readable)

    # -- the loop ---------------------------------------------------------------------------------

    def run(self) -> None:
        while self.running:
            ready = self._selector.select(_TICK)
            # An order comes before what clients send after it: a test has begun before its first statement.
            for key, mask in sorted(ready, key=self._is_no_order) if len(ready) > 1 else ready:
                if key.fd not in self._selector.get_map():  # closed by what came before in this round
                    continue
                if isinstance(key.data, Session):
                    self._serve(key.data, mask)
                else:
                    key.data(key.fileobj)
            self._flush()
            self._look_after()

    def catch_up(self, seconds: float = 0) -> None:
        """Serve what clients have sent until now, that of those who have gone too.

        With ``seconds`` something is waited for so long, and what servers have answered is passed on too.
        """
        for key, mask in self._selector.select(seconds):
            if key.fd not in self._selector.get_map():
                continue
            if isinstance(key.data, Session):
                self._serve(key.data, mask)
            elif seconds and key.data not in (self.listening.accept, self.orders.readable):
                key.data(key.fileobj)

    def wait(self, busy: Callable[[], bool], seconds: float) -> None:
        """Serve clients and servers while it is ``busy``, for so many ``seconds`` at most."""
        until = time.monotonic() + seconds
        while busy() and time.monotonic() < until:
            self.catch_up(0.01)

    def _is_no_order(self, found: tuple[selectors.SelectorKey, int]) -> bool:
        return bool(found[0].data != self.orders.readable)

    def register(self, source: Socket, readable: Callable[[Any], None]) -> None:
        """Call ``readable`` whenever there is something to be read from ``source``."""
        self._selector.register(source, selectors.EVENT_READ, readable)

    def unregister(self, source: Socket) -> None:
        """Listen to ``source`` no longer, if anybody does."""
        self._full.discard(source)
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(source)

    def send(self, target: Socket, out: bytearray, lost: Callable[[], None]) -> None:
        """Send ``out`` to a server; what does not fit is sent when there is room."""
        try:
            sent = target.send(out, _NOW)
        except BlockingIOError:
            sent = 0
        except OSError:
            lost()
            return
        if sent == len(out):
            out.clear()
            if target not in self._full:
                return
            self._full.discard(target)
            self.flow.taken()
        else:
            del out[:sent]
            self._full.add(target)
        key = self._selector.get_key(target)
        self._selector.modify(target, selectors.EVENT_READ | (selectors.EVENT_WRITE if out else 0), key.data)

    def _serve(self, session: Session, mask: int) -> None:
        try:
            if mask & selectors.EVENT_READ:
                session.readable()
            session.flush()
        except (OSError, wire.ProtocolError):
            self.drop(session)
            return
        self.flow.go_on(session)
        if self.connection.send() and session.upstream is None:
            self.connection.answer_at_once()
        channel = session.direct.channel if session.direct is not None else self.shared.channel
        self.flow.stall(session, len(channel.out))

    def _flush(self) -> None:
        self.connection.send()
        for session in list(self._sessions.values()):
            if session.client is not None and session.client.out and not session.writing:
                self.flush(session)

    def _look_after(self) -> None:
        """Answer whoever has waited too long for the server, and cancel what nobody waits for."""
        shared = self.shared
        if shared.holder is None:
            if self._since:
                self._since.clear()
            return
        if shared.holder.cancelled:
            self.connection.cancel()
        now = time.monotonic()
        for client in shared.waiting():
            began = self._since.setdefault(client, now)
            if now - began > self.options["lock_timeout"]:
                self._since.pop(client, None)
                shared.leaving.busy(client)
        self.orders.look_after()

    # -- sessions -----------------------------------------------------------------------------------

    @property
    def sessions(self) -> list[Session]:
        return list(self._sessions.values())

    def session_of(self, client: Client) -> Session | None:
        return next((s for s in self._sessions.values() if s.client is client), None)

    def session_by_pid(self, pid: int) -> Session | None:
        """The session of the client that has been given ``pid``."""
        client = self.shared.clients.get(pid)
        return self.session_of(client) if client is not None else None

    def watch(self, session: Session) -> None:
        """Wait for what ``session`` is interested in."""
        events = selectors.EVENT_WRITE if session.writing else 0
        events |= 0 if self.flow.is_stalled(session) else selectors.EVENT_READ
        self._sessions[session.socket.fileno()] = session
        if not events:
            self.unregister(session.socket)
            return
        try:
            self._selector.modify(session.socket, events, session)
        except KeyError:
            self._selector.register(session.socket, events, session)

    def unwatch(self, session: Session) -> None:
        """Wait for nothing of ``session`` any more."""
        self._sessions.pop(session.socket.fileno(), None)
        self._selector.unregister(session.socket)

    def flush(self, session: Session) -> None:
        """Send what is for ``session``."""
        try:
            session.flush()
        except OSError:
            self.drop(session)

    def drop(self, session: Session) -> None:
        """``session`` has gone."""
        with contextlib.suppress(KeyError, ValueError):
            self.unwatch(session)
        session.close()
        self.flow.go_on(session)
        self.clones.release(session)
        client, session.client = session.client, None
        if client is not None:
            self.shared.leaving.leave(client)
            self._since.pop(client, None)
            if client is self.shared.holder and client.copying != "in":
                client.cancelled = True
                self.connection.cancel()
        self.connection.send()

    def end_session(self, session: Session, message: bytes) -> None:
        """Give ``session`` its last message, and close it."""
        with contextlib.suppress(OSError):
            session.fatal(message)
        self.drop(session)

    def take(self, session: Session, messages: list[tuple[bytes, bytes]]) -> None:
        """Serve what the client of ``session`` has sent."""
        client = session.client
        assert client is not None  # noqa: S101 - messages come from clients
        if session.direct is not None or (self.isolation == "database" and self._is_free(client)):
            self.clones.take(session, client, messages)
            return
        if not self.shared.held:
            self.connection.wake()
        client.take(messages)
        if client.copying == "in":
            self.shared.leaving.copy(client)
        else:
            self.shared.feed(client)

    def _is_free(self, client: Client) -> bool:
        return client.transaction is None and client is not self.shared.holder and not client.queue

    def cancel(self, pid: int, secret: bytes) -> None:
        """Cancel what the client ``pid`` has asked for, as far as it has not been answered."""
        session = self.session_by_pid(pid)
        if session is None or session.client is None or session.client.secret != secret:
            return
        if session.upstream is not None:
            self.clones.cancel(session.upstream)
        elif session.client is self.shared.holder:
            session.client.cancelled = True
            self.connection.cancel()
        else:
            self.shared.leaving.cancel_waiting(session.client)

    def clear(self) -> None:
        """End every session."""
        for session in self.sessions:
            self.end_session(session, GONE)

    def close(self) -> None:
        """Close what is open, without a word."""
        for session in self.sessions:
            session.close()
            self.clones.release(session)
        self.clones.close()
        self.connection.close()
        self._selector.close()
