"""Connections of clients' own: to the clone of a test with real commits, and to other databases."""

from __future__ import annotations

import contextlib
import threading
from functools import partial
from typing import TYPE_CHECKING

from pgharness.proxy.core import wire
from pgharness.proxy.core.checks import writes
from pgharness.proxy.core.client import Client
from pgharness.proxy.core.direct import Direct
from pgharness.proxy.core.refusals import Refused
from pgharness.proxy.core.settings import current
from pgharness.proxy.core.statements import Statement
from pgharness.proxy.server import upstream
from pgharness.proxy.server.upstream import ConnectError, Upstream

if TYPE_CHECKING:
    from pgharness.proxy.server.proxy import Proxy
    from pgharness.proxy.server.session import Session

_LEFT = """
SELECT pg_catalog.pg_current_xact_id_if_assigned() IS NOT NULL, current_setting('transaction_isolation'),
       (SELECT string_agg(relname, ', ' ORDER BY relname) FROM pg_catalog.pg_class
        WHERE relnamespace = pg_catalog.pg_my_temp_schema() AND relkind IN ('r', 'p', 'v', 'S')),
       EXISTS (SELECT FROM pg_catalog.pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'),
       (SELECT string_agg(c, E'\\n') FROM pg_catalog.pg_listening_channels() c)
"""
_READ = 65536
_AHEAD = 2
_LISTEN_SECONDS = 1.0
_CANCEL_SECONDS = 1.0
_ENDED = wire.error("FATAL", "57P01", "terminating connection: its test has ended")
_TERMINATED = wire.error("FATAL", "57P01", "terminating connection due to administrator command")


class Clones:
    """Gives each client a connection of its own while a test with real commits runs."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._test = ""
        self.name = ""
        """The clone of the running test, or the database of the scope whose fixture is set up."""
        self._next = ""
        """The clone that was prepared last."""
        self._ahead: dict[str, list[Upstream]] = {}
        """Connections opened ahead, by database."""
        self._lock = threading.Lock()
        self.is_wide = False
        """Whether a fixture of wider scope than a test is set up, or torn down."""
        self.is_used = False
        """Whether a client has had a connection to the database of the test, or of the scope."""
        self._made: set[str] = set()
        """The names of functions that fixtures have made."""
        self._watch = False
        self.wrote = False
        """Whether something may have been written since somebody wanted to know."""

    # -- tests --------------------------------------------------------------------------------------

    def prepare(self, name: str) -> None:
        """Open connections to the clone ``name``, which the next test will get, without waiting."""
        self._forget(self._next)
        self._next = name
        threading.Thread(target=self._prepare, args=(name,), daemon=True).start()

    def _prepare(self, name: str) -> None:
        with contextlib.suppress(ConnectError):
            for _ in range(_AHEAD):
                opened = upstream.connect(self._proxy.owner, name)
                with self._lock:
                    wanted = name in (self._next, self.name)
                    if wanted:
                        self._ahead.setdefault(name, []).append(opened)
                if not wanted:
                    opened.close()
                    return

    def _forget(self, name: str) -> None:
        """Close what was opened to ``name`` and has not been taken."""
        with self._lock:
            left = self._ahead.pop(name, [])
        for opened in left:
            opened.close()

    def close(self) -> None:
        """Close what was opened ahead."""
        waiting, self._next, self.name = (self._next, self.name), "", ""
        for name in waiting:
            self._forget(name)

    def begin(self, test: str, name: str) -> None:
        """From now on clients get connections to the clone ``name``."""
        self._test, self.name = test, name
        self._forget_writes()
        for session in self._proxy.sessions:  # what they wait for comes by itself
            client = session.client
            if (
                client is not None
                and client.listens
                and session.direct is None
                and client.transaction is None
            ):
                with contextlib.suppress(ConnectError):
                    self.attach(session, client)
                    self._send(session)
        self._proxy.wait(lambda: self.is_busy, _LISTEN_SECONDS)
        self.is_used = False

    def begin_wide(self, fixture: str) -> None:
        """From now on clients get connections to the database of the scope of ``fixture``."""
        self._test, self.name = fixture, ""
        self._forget_writes()
        self._watch = self.is_wide = True

    def _forget_writes(self) -> None:
        self.wrote = self._watch = self.is_wide = self.is_used = False

    def watch(self) -> None:
        """Know from now on whether clients write."""
        self.wrote, self._watch = False, True
        for session in self._proxy.sessions:
            if session.direct is not None:
                session.direct.watch = self._note

    def _note(self, statement: Statement) -> None:
        if statement.changes_schema and statement.body:
            self._made |= statement.words
        calls = not self._made.isdisjoint(statement.words)
        self.wrote = self.wrote or calls or writes(statement, self._proxy.shared.facts)

    @property
    def is_busy(self) -> bool:
        """Whether a client waits for an answer to what it has sent there."""
        ours = (s.direct for s in self._proxy.sessions if s.upstream is not None and not s.once)
        return any(direct is not None and not direct.channel.idle for direct in ours)

    def end(self) -> list[Refused]:
        """End the connections to the clone; their clients stay. Returns what is to be said of them."""
        said: list[Refused] = []
        for session in self._proxy.sessions:
            if session.upstream is not None and not session.once:
                said += self._detach(session)
        ended, self._test, self.name = self.name, "", ""
        self._next = "" if self._next == ended else self._next
        self._forget(ended)
        self.is_wide = False
        return said

    def _detach(self, session: Session) -> list[Refused]:
        client, direct, opened = session.client, session.direct, session.upstream
        if client is None or direct is None or opened is None:
            return []
        if not direct.channel.idle:
            self._proxy.end_session(session, _ENDED)
            return []
        self._proxy.unregister(opened.socket)
        said = self._leave(client, direct, opened)
        if direct.status == b"I" and client.touched:
            self._keep_settings(client, opened)
        if client.baseline is not None:
            client.settings = client.baseline
        client.portals.clear()
        self.release(session)
        return said

    def _leave(self, client: Client, direct: Direct, opened: Upstream) -> list[Refused]:
        """Carry over what can be, and say what cannot: of a fixture of wider scope all, of a test nothing."""
        if direct.status == b"E":
            client.lost = self._test
            return []
        if direct.status == b"I" and not self.is_wide:
            return []
        try:
            (found,) = opened.ask(_LEFT)
        except ConnectError:
            client.lost = self._test
            return []
        wrote, level, tables, locks, channels = ((value or b"").decode() for value in found)
        for channel in filter(None, channels.split("\n") if self.is_wide else ()):
            client.listens.setdefault(channel, self._test)
        said: list[Refused] = []
        if direct.status == b"T":
            client.carried = wrote == "f" and level == "read committed" and locks == "f"
            client.lost = "" if client.carried else self._test
            if wrote == "t":
                said.append(Refused("scope_open", str(client.origin())))
        if tables:
            said.append(Refused("scope_keeps", f"the temporary table {tables}"))
        if locks == "t":
            said.append(Refused("scope_keeps", "an advisory lock"))
        return said if self.is_wide else []

    def _keep_settings(self, client: Client, opened: Upstream) -> None:
        names = list(client.touched)
        with contextlib.suppress(ConnectError):
            values = opened.ask(current(names))[0]
            known = {n: v.decode() for n, v in zip(names, values, strict=True) if v is not None}
            client.settings = {**client.settings, **known}
        client.touched.clear()

    # -- connections ----------------------------------------------------------------------------------

    def attach(self, session: Session, client: Client, name: str = "", *, once: bool = False) -> int:
        """Give ``client`` a connection to ``name``, or to the test's clone; returns its process id.

        ``once`` says that it keeps that connection, whatever test runs.

        Raises:
            ConnectError: The server refuses, or has gone.
        """
        name = name or self.name or self._reach()
        self.is_used = self.is_used or not once
        login = self._proxy.admission.login_of(client.user)
        with self._lock:
            ready = self._ahead.get(name) if login == self._proxy.owner else None
            opened = ready.pop() if ready else None
        opened = opened or upstream.connect(login, name)
        shared = self._proxy.shared
        direct = Direct(
            client,
            shared.statements.forget,
            shared.failures.note,
            self._proxy.orders.claim,
            watch=self._note if self._watch else None,
            spares=self._proxy.database if once else "",
            becomes=client.user != login.user,
        )
        wanted = {n: v for n, v in client.settings.items() if opened.reported.get(n) != v}
        opened.socket.setblocking(False)
        session.direct, session.once, session.upstream = direct, once, opened
        self._proxy.register(opened.socket, partial(self._readable, session))
        direct.begin(wanted)
        return opened.pid

    def _reach(self) -> str:
        """The database of the scope whose fixture is set up; made now, if it is the first to reach one."""
        self._proxy.connection.rest()  # a database to which somebody is connected cannot be copied
        self.name = self._proxy.questions.database()
        if not self.name:
            raise ConnectError("there is no database for this fixture")
        return self.name

    def release(self, session: Session) -> None:
        """End the connection that ``session`` has for itself, if it has one."""
        opened, session.upstream, session.direct = session.upstream, None, None
        if opened is not None:
            self._proxy.unregister(opened.socket)
            opened.close()

    def take(self, session: Session, client: Client, messages: list[tuple[bytes, bytes]]) -> None:
        """Pass on what ``client`` has sent, on a connection that it gets now if it has none."""
        if session.direct is None:
            try:
                self.attach(session, client)
            except ConnectError as error:
                self._proxy.end_session(session, wire.error("FATAL", "08006", f"pgharness: {error}"))
                return
        assert session.direct is not None  # noqa: S101 - it has got one
        session.direct.take(messages)
        self._send(session)

    def _send(self, session: Session) -> None:
        if session.direct is not None and session.upstream is not None and session.direct.channel.out:
            out = session.direct.channel.out
            self._proxy.send(session.upstream.socket, out, lambda: self._proxy.drop(session))

    def _readable(self, session: Session, _: object) -> None:
        if session.upstream is None or session.direct is None:
            return
        try:
            data = session.upstream.socket.recv(_READ)
        except BlockingIOError:
            self._send(session)
            return
        except OSError:
            data = b""
        if not data:
            self._proxy.end_session(session, b"" if session.direct.channel.ended else _TERMINATED)
            return
        session.direct.channel.receive(data)
        self._proxy.flush(session)
        if session.is_full and session.upstream is not None:
            self._proxy.flow.pause(session, session.upstream.socket, partial(self._readable, session))
        self._send(session)

    def cancel(self, opened: Upstream) -> None:
        """Cancel what runs on ``opened``, and wait until the server has taken the request."""
        sent = upstream.cancel(self._proxy.target, opened)
        if sent is not None:
            with contextlib.suppress(OSError), contextlib.closing(sent):
                sent.settimeout(_CANCEL_SECONDS)
                sent.recv(1)
