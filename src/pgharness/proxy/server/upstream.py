"""Connections to the PostgreSQL server, opened by a login of the proxy's own."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import socket
import struct
from collections.abc import Mapping

from pgharness.proxy.core import wire
from pgharness.proxy.server import auth
from pgharness.proxy.server.secured import Secured, Socket

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_SOCKETS = (
    "SELECT pg_catalog.pg_postmaster_start_time(), pg_catalog.current_setting('unix_socket_directories')"
)


class ConnectError(Exception):
    """The server does not let the proxy in; ``body`` is its ErrorResponse, if it has sent one."""

    def __init__(self, text: str, body: bytes = b"") -> None:
        super().__init__(text)
        self.body = body


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """Where the server is, and the login of the proxy. ``timeout`` is in seconds."""

    host: str
    port: int
    user: str
    password: str = dataclasses.field(repr=False)
    tls: bool = False
    timeout: float = 30.0


@dataclasses.dataclass(slots=True)
class Upstream:
    """An open connection, ready for a query, and what the server has said of it."""

    socket: Socket
    pid: int
    secret: bytes
    reported: dict[str, str]
    database: str

    @property
    def tls(self) -> bool:
        return isinstance(self.socket, Secured)

    def ask(self, sql: str) -> list[list[bytes | None]]:
        """The rows of a query, waited for; not to be mixed with the loop's use of the socket.

        Raises:
            ConnectError: The query fails, or the connection is lost.
        """
        self.socket.settimeout(30)
        try:
            self.socket.sendall(wire.query(sql))
            reader = _Reader(self.socket)
            rows: list[list[bytes | None]] = []
            failure = b""
            while True:
                kind, body = reader.message()
                if kind == b"D":
                    rows.append(wire.row_values(body))
                elif kind == b"E":
                    failure = body
                elif kind == b"Z":
                    break
        except OSError as error:
            raise ConnectError(str(error)) from error
        if failure:
            raise ConnectError(wire.fields(failure).get("M", ""), failure)
        return rows

    def close(self) -> None:
        try:
            self.socket.setblocking(False)
            self.socket.send(wire.TERMINATE)
        except OSError:
            pass
        self.socket.close()


class _Reader:
    """Reads whole messages from a blocking socket."""

    def __init__(self, source: Socket) -> None:
        self._source = source
        self._data = b""

    def message(self) -> tuple[bytes, bytes]:
        while True:
            if len(self._data) >= wire.HEADER:
                (length,) = struct.unpack_from("!I", self._data, 1)
                if len(self._data) > length:
                    kind, body = self._data[:1], self._data[wire.HEADER : length + 1]
                    self._data = self._data[length + 1 :]
                    return kind, body
            more = self._source.recv(65536)
            if not more:
                raise OSError("the server has closed the connection")
            self._data += more


def connect(target: Target, database: str, parameters: Mapping[str, str] | None = None) -> Upstream:
    """Open a connection to ``database``; ``parameters`` are those of the startup message.

    Raises:
        ConnectError: The server does not answer, or refuses.
    """
    try:
        opened = _open(target)
    except OSError as error:
        raise ConnectError(f"{target.host}:{target.port}: {error}") from error
    try:
        return _log_in(opened, target, database, parameters or {})
    except (OSError, auth.Refusal) as error:
        opened.close()
        raise ConnectError(str(error)) from error
    except BaseException:
        opened.close()
        raise


def _open(target: Target) -> Socket:
    if target.host.startswith("/"):
        opened = socket.socket(socket.AF_UNIX)
        opened.settimeout(target.timeout)
        opened.connect(f"{target.host}/.s.PGSQL.{target.port}")
        return opened
    opened = socket.create_connection((target.host, target.port), target.timeout)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if target.tls:
        opened.sendall(struct.pack("!II", 8, wire.SSL_REQUEST))
        if opened.recv(1) == b"S":
            import ssl  # noqa: PLC0415 - only for a server that speaks it

            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE  # as libpq's sslmode=prefer, which drivers have by default
            return Secured(context.wrap_socket(opened, server_hostname=target.host))
    return opened


def _log_in(opened: Socket, target: Target, database: str, parameters: Mapping[str, str]) -> Upstream:
    first = {"user": target.user, "database": database, "client_encoding": "UTF8", **parameters}
    opened.sendall(wire.startup_message(first))
    reader = _Reader(opened)
    made = Upstream(opened, 0, b"", {}, database)
    login: auth.Client | None = None
    while True:
        kind, body = reader.message()
        if kind == b"R":
            login = _answer(opened, target, body, login)
        elif kind == b"S":
            name, value, _ = body.split(b"\x00", 2)
            made.reported[name.decode()] = value.decode("utf-8", "surrogateescape")
        elif kind == b"K":
            (made.pid,), made.secret = struct.unpack_from("!I", body), body[4:]
        elif kind == b"E":
            raise ConnectError(wire.fields(body).get("M", ""), body)
        elif kind == b"Z":
            return made


def _answer(opened: Socket, target: Target, body: bytes, login: auth.Client | None) -> auth.Client | None:
    (what,) = struct.unpack_from("!I", body)
    if what == 10:  # noqa: PLR2004 - what a login may be: this is SASL
        login = auth.Client(target.password)
        first = auth.SCRAM.encode() + b"\x00" + struct.pack("!I", len(login.first)) + login.first
        opened.sendall(wire.message(b"p", first))
    elif what == 11 and login is not None:  # noqa: PLR2004 - the next step of SASL
        opened.sendall(wire.message(b"p", login.last(body[4:])))
    elif what == 5:  # noqa: PLR2004 - an MD5 password
        answer = auth.md5(target.user, target.password, body[4:8])
        opened.sendall(wire.message(b"p", answer.encode() + b"\x00"))
    elif what == 3:  # noqa: PLR2004 - clear text
        opened.sendall(wire.message(b"p", target.password.encode() + b"\x00"))
    elif what not in (0, 12):
        raise ConnectError(f"the server asks for a login of kind {what}, which is not known")
    return login


def cancel(target: Target, upstream: Upstream) -> Socket | None:
    """Ask the server to cancel what runs on ``upstream``; the socket ends once the request has been taken."""
    try:
        opened = _open(dataclasses.replace(target, timeout=5.0))
        opened.sendall(wire.cancel_request(upstream.pid, upstream.secret))
    except OSError:
        return None
    return opened


def nearest(target: Target, database: str) -> Target:
    """``target`` by its Unix socket, if the server listens on one that can be used here.

    A round trip takes half as long there as on loopback. That it is the same server is told by when it
    was started.

    Raises:
        ConnectError: The server does not answer, or refuses.
    """
    if target.host not in _LOOPBACK:
        return target
    opened = connect(target, database)
    with contextlib.closing(opened):
        try:
            ((started, directories),) = opened.ask(_SOCKETS)
        except ConnectError:  # only a role that may read all settings is told
            return target
    for directory in (directories or b"").decode().split(","):
        near = dataclasses.replace(target, host=directory.strip())
        if os.path.exists(f"{near.host}/.s.PGSQL.{near.port}"):  # noqa: PTH110 - pathlib is not loaded for it
            with contextlib.suppress(ConnectError), contextlib.closing(connect(near, database)) as found:
                if found.ask(_SOCKETS)[0][0] == started:
                    return near
    return target
