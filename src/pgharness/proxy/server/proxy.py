"""The proxy's loop: sockets of clients, of the server, and of the process that tests."""

from __future__ import annotations

import contextlib
import secrets
import selectors
import socket
import ssl
import struct
import time
from collections.abc import Callable
from typing import Any

from pgharness.proxy.core import wire
from pgharness.proxy.core.client import Client
from pgharness.proxy.core.effects import UNSET
from pgharness.proxy.core.refusals import Refused
from pgharness.proxy.core.running import Facts
from pgharness.proxy.core.settings import AUTHORIZATION
from pgharness.proxy.core.shared import Shared
from pgharness.proxy.server import auth, catalogue, upstream
from pgharness.proxy.server.clones import Clones
from pgharness.proxy.server.orders import Orders
from pgharness.proxy.server.questions import Questions
from pgharness.proxy.server.sentences import sentence
from pgharness.proxy.server.session import Session
from pgharness.proxy.server.startup import Startup
from pgharness.proxy.server.tls import Tls
from pgharness.proxy.server.upstream import ConnectError, Target, Upstream

_READ = 262144
_TICK = 0.1
_NOW = socket.MSG_DONTWAIT
_MOMENT = struct.pack("@ll", 0, 500)
"""How long an answer of the server is waited for before anybody else is looked at: half a millisecond."""
_GONE = wire.error("FATAL", "57P01", "pgharness: the server of this run has gone.")


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
        self.options = options
        self.database: str = options["database"]
        """The name under which clients know the database of the tests."""
        self.user: str = options["user"]
        self.tls = Tls(options.get("tls_directory", ""), options["packages"], wanted=options.get("tls", False))
        self.questions = Questions(questions)
        self.shared = Shared(Facts(), {}, sentence, self.questions.now)
        self.clones = Clones(self)
        self.orders = Orders(self, control)
        self.isolation = "rollback"
        self.upstream: Upstream | None = None
        """The connection that is shared."""
        self._selector = selectors.DefaultSelector()
        self._verifier = auth.Verifier.of(options["password"])
        self._sessions: dict[int, Session] = {}
        self._known: dict[tuple[str, tuple[tuple[str, str], ...]], tuple[dict[str, str], dict[str, str]]] = {}
        self._cancels: list[tuple[socket.socket, Callable[[], None]]] = []
        self._full: set[socket.socket] = set()
        """Connections to the server that take no more at the moment."""
        self._pid = 0
        self._since: dict[Client, float] = {}
        self.running = True
        for listener in listeners:
            listener.setblocking(False)
            listener.listen(1024)
            self._selector.register(listener, selectors.EVENT_READ, self._accept)
        control.setblocking(False)
        self._selector.register(control, selectors.EVENT_READ, self.orders.readable)

    # -- the loop ---------------------------------------------------------------------------------

    def run(self) -> None:
        while self.running:
            for key, mask in self._selector.select(_TICK):
                if key.fd not in self._selector.get_map():  # closed by what came before in this round
                    continue
                if isinstance(key.data, Session):
                    self._serve(key.data, mask)
                else:
                    key.data(key.fileobj)
            self._flush()
            self._look_after()

    def _serve(self, session: Session, mask: int) -> None:
        try:
            if mask & selectors.EVENT_READ:
                session.readable()
            session.flush()
        except (OSError, wire.ProtocolError):
            self.drop(session)
            return
        if self._send_upstream() and session.upstream is None:
            self._answer_at_once()

    def _answer_at_once(self) -> None:
        """Wait a moment for the server, which answers most statements sooner than a turn of the loop takes."""
        opened = self.upstream
        if opened is not None and not opened.tls and not self.shared.channel.out and not self.shared.held:
            self._take_shared(opened.socket, 0)

    def _flush(self) -> None:
        self._send_upstream()
        for session in list(self._sessions.values()):
            if session.client is not None and session.client.out and not session.writing:
                try:
                    session.flush()
                except OSError:
                    self.drop(session)

    def _send_upstream(self) -> bool:
        """Send on what is for the shared connection; returns whether there was anything."""
        out = self.shared.channel.out
        if not out or self.upstream is None:
            return False
        self._send(self.upstream.socket, out, self._lost_shared)
        return True

    def _send(self, target: socket.socket, out: bytearray, lost: Callable[[], None]) -> None:
        """Send ``out`` on to the server; what does not fit is sent when there is room."""
        try:
            sent = target.send(out) if isinstance(target, ssl.SSLSocket) else target.send(out, _NOW)
        except (BlockingIOError, ssl.SSLWantWriteError):
            sent = 0
        except OSError:
            lost()
            return
        if sent == len(out):
            out.clear()
            if target not in self._full:
                return
            self._full.discard(target)
        else:
            del out[:sent]
            self._full.add(target)
        key = self._selector.get_key(target)
        self._selector.modify(target, selectors.EVENT_READ | (selectors.EVENT_WRITE if out else 0), key.data)

    # -- clients ------------------------------------------------------------------------------------

    def _accept(self, listener: Any) -> None:
        try:
            opened, _ = listener.accept()
        except OSError:
            return
        opened.setblocking(False)
        if opened.family != getattr(socket, "AF_UNIX", None):
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        session = Session(self, opened)
        self._sessions[opened.fileno()] = session
        self._selector.register(opened, selectors.EVENT_READ, session)

    def watch(self, session: Session) -> None:
        """Wait for what ``session`` is interested in."""
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if session.writing else 0)
        try:
            self._selector.modify(session.socket, events, session)
        except KeyError:
            self._selector.register(session.socket, events, session)
            self._sessions[session.socket.fileno()] = session

    def unwatch(self, session: Session) -> None:
        self._sessions.pop(session.socket.fileno(), None)
        self._selector.unregister(session.socket)

    def drop(self, session: Session) -> None:
        """``session`` has gone."""
        with contextlib.suppress(KeyError, ValueError):
            self.unwatch(session)
        session.close()
        if session.upstream is not None:
            self.release_upstream(session)
        if session.client is not None:
            self.shared.leave(session.client)
            self._since.pop(session.client, None)
            holder = self.shared.holder
            if holder is session.client and not holder.copying:
                self.cancel_running()
        self._send_upstream()

    def verifier(self, user: str) -> auth.Verifier | str:
        """What tells whether a password of ``user`` is right; text is a stored MD5 password."""
        if user != self.user and self.upstream is not None and self.shared.channel.idle:
            stored = self.orders.stored_password(user)
            if stored.startswith("md5"):
                return stored
            found = auth.Verifier.read(stored)
            if found is not None:
                return found
        return self._verifier

    def admit(self, session: Session, startup: Startup) -> None:
        """Make ``session`` a client that has logged in."""
        try:
            settings, reported = self._parameters(startup)
        except ConnectError as error:
            session.fatal(wire.message(b"E", error.body) if error.body else _GONE)
            return
        secret = secrets.token_bytes(32 if startup.protocol == wire.PROTOCOL_3_2 else 4)
        client = Client(
            0,
            secret,
            user=startup.user,
            application=settings.get("application_name", ""),
            settings=settings,
            reported=reported,
            place=self.questions.place,
        )
        try:
            client.pid = self._connect(session, client, startup)
        except ConnectError as error:
            session.fatal(wire.message(b"E", error.body) if error.body else _GONE)
            return
        session.accept(client, secret)
        self.shared.clients[client.pid] = client

    def _connect(self, session: Session, client: Client, startup: Startup) -> int:
        """Give ``client`` the connection that it is to have for itself, if it is; returns its process id."""
        other = startup.database != self.database
        if other or self.isolation == "database":
            pid = self.clones.attach(session, client, startup.database if other else "", once=other)
            if pid not in self.shared.clients:
                return pid
        self._pid += 1
        while self._pid in self.shared.clients:
            self._pid += 1
        return self._pid

    def _parameters(self, startup: Startup) -> tuple[dict[str, str], dict[str, str]]:
        """The parameters that ``startup`` sets, in the server's own spelling, and what it reports then."""
        own = dict(startup.settings)
        application = own.pop("application_name", "")
        key = (startup.user, tuple(sorted(own.items())))
        if key not in self._known:
            self._known[key] = self._try(startup, own)
        settings, reported = self._known[key]
        reported = {**reported, "application_name": application}
        return {**settings, **({"application_name": application} if application else {})}, reported

    def _try(self, startup: Startup, own: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
        """Connect with the parameters once, to see what the server makes of them."""
        name = self.database_name if startup.database == self.database else startup.database
        tried = upstream.connect(self.target, name, own)
        try:
            names = list(own)
            values = tried.ask("SELECT " + ", ".join(f"current_setting('{n}')" for n in names)) if names else [[]]
        finally:
            tried.close()
        settings = {n: (v or b"").decode() for n, v in zip(names, values[0], strict=True)}
        plain = self._plain_settings
        settings = {n: v for n, v in settings.items() if plain.get(n) != v}
        reported = tried.reported
        if startup.user != self.target.user:
            settings[AUTHORIZATION] = startup.user
            reported = {**reported, "session_authorization": startup.user, "is_superuser": "off"}
        return settings, reported

    @property
    def _plain_settings(self) -> dict[str, str]:
        return {"client_encoding": "UTF8"}

    @property
    def database_name(self) -> str:
        """The database on the server that stands for that of the tests now."""
        return self.clones.shared or self.database

    def take(self, session: Session, messages: list[tuple[bytes, bytes]]) -> None:
        """Serve what ``session`` has sent."""
        client = session.client
        assert client is not None  # noqa: S101 - messages come from clients
        if session.direct is not None or (self.isolation == "database" and self._is_free(client)):
            self.clones.take(session, messages)
            return
        client.take(messages)
        if client.copying:
            self.shared.copy(client)
        else:
            self.shared.feed(client)

    def _is_free(self, client: Client) -> bool:
        return client.transaction is None and client is not self.shared.holder and not client.queue

    def session_of(self, client: Client) -> Session | None:
        return next((s for s in self._sessions.values() if s.client is client), None)

    @property
    def sessions(self) -> list[Session]:
        return list(self._sessions.values())

    # -- the shared connection --------------------------------------------------------------------------

    def use(self, name: str) -> None:
        """Share a connection to the database ``name`` from now on.

        Raises:
            ConnectError: The server refuses, or has gone.
        """
        self._close_shared()
        timeout = f"{int(self.options['lock_timeout'] * 1000)}ms"
        opened = upstream.connect(self.target, name, {"lock_timeout": timeout})
        facts = catalogue.facts(
            opened,
            self.target.user,
            strict=self.options["strict"],
            clock=self.options["clock"],
            lock_timeout=self.options["lock_timeout"],
        )
        self.clones.restart = catalogue.restart(opened)
        self.calm(opened)
        self.upstream = opened
        self.clones.shared = name
        known = {AUTHORIZATION: self.target.user, "role": "none", **UNSET}
        self.shared.connect(facts, {**{n.lower(): v for n, v in opened.reported.items()}, **known})
        self._selector.register(opened.socket, selectors.EVENT_READ, self._from_shared)

    def calm(self, opened: Upstream) -> None:
        """Have nobody wait for long on the shared connection."""
        opened.socket.setblocking(not opened.tls)
        opened.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _MOMENT)

    def _close_shared(self) -> None:
        opened, self.upstream = self.upstream, None
        if opened is not None:
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(opened.socket)
            opened.close()

    def _from_shared(self, source: Any) -> None:
        self._take_shared(source, _NOW)

    def _take_shared(self, source: socket.socket, flags: int) -> None:
        """Take what the server has sent; ``flags`` are those of recv, without `_NOW` it may wait a moment."""
        channel = self.shared.channel
        try:
            data = source.recv(_READ) if isinstance(source, ssl.SSLSocket) else source.recv(_READ, flags)
        except (BlockingIOError, ssl.SSLWantReadError):
            self._send_upstream()
            return
        except OSError:
            data = b""
        if not data:
            self._lost_shared()
            return
        holder = self.shared.holder
        channel.receive(data)
        if holder is not None:
            session = self.session_of(holder)
            if session is not None:
                try:
                    session.flush()
                except OSError:
                    self.drop(session)
            if holder.copying and holder.queue:
                self.shared.copy(holder)
        self._send_upstream()

    def _lost_shared(self) -> None:
        """The shared connection has ended by itself."""
        self._close_shared()
        self.shared.lost(Refused("connection_lost"))

    # -- connections of one client ---------------------------------------------------------------------

    def register(self, session: Session, opened: Upstream) -> None:
        opened.socket.setblocking(False)
        session.upstream = opened
        self._selector.register(opened.socket, selectors.EVENT_READ, lambda _: self._from_direct(session))

    def _from_direct(self, session: Session) -> None:
        if session.upstream is None or session.direct is None or session.client is None:
            return
        try:
            data = session.upstream.socket.recv(_READ)
        except BlockingIOError:
            self.send_direct(session)
            return
        except OSError:
            data = b""
        if not data:
            self.end_session(session, wire.error("FATAL", "57P01", "terminating connection"))
            return
        session.direct.channel.receive(data)
        try:
            session.flush()
        except OSError:
            self.drop(session)

    def send_direct(self, session: Session) -> None:
        if session.direct is not None and session.upstream is not None and session.direct.channel.out:
            self._send(session.upstream.socket, session.direct.channel.out, lambda: self.drop(session))

    def release_upstream(self, session: Session) -> None:
        opened, session.upstream = session.upstream, None
        session.direct = None
        if opened is not None:
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(opened.socket)
            opened.close()

    def end_session(self, session: Session, message: bytes) -> None:
        """Give ``session`` its last message, and close it."""
        with contextlib.suppress(OSError):
            session.fatal(message)
        self.drop(session)

    # -- requests to cancel --------------------------------------------------------------------------------

    def cancel(self, pid: int, secret: bytes) -> None:
        """Cancel what the client ``pid`` has asked for, as far as it has not been answered."""
        session = next((s for s in self._sessions.values() if s.client is not None and s.client.pid == pid), None)
        if session is None or session.client is None or session.client.secret != secret:
            return
        if session.upstream is not None:
            upstream.cancel(self.target, session.upstream)
        elif session.client is self.shared.holder:
            session.client.cancelled = True
            self.cancel_running()
        else:
            self.shared.cancel_waiting(session.client)

    def cancel_running(self) -> None:
        """Cancel the holder's statement, once it is what the server is at."""
        shared = self.shared
        sections = shared.channel.sections
        if self.upstream is None or not sections or sections[0].client is not shared.holder or shared.held:
            return
        sent = upstream.cancel(self.target, self.upstream)
        if sent is None:
            return
        shared.held = True  # what is sent now might be hit in its place
        sent.setblocking(False)
        self._selector.register(sent, selectors.EVENT_READ, self._cancelled)

    def _cancelled(self, sent: Any) -> None:
        self._selector.unregister(sent)
        sent.close()
        self.shared.held = False
        self.shared.pump()

    # -- time -------------------------------------------------------------------------------------------

    def _look_after(self) -> None:
        """Answer whoever has waited too long for the server, and cancel what nobody waits for."""
        shared = self.shared
        if shared.holder is None:
            if self._since:
                self._since.clear()
            return
        if shared.holder.cancelled:
            self.cancel_running()
        now = time.monotonic()
        for client in shared.waiting():
            began = self._since.setdefault(client, now)
            if now - began > self.options["lock_timeout"]:
                self._since.pop(client, None)
                shared.busy(client)
        self.orders.look_after()

    def clear(self) -> None:
        for session in self.sessions:
            self.end_session(session, _GONE)


