"""One connection to the proxy: its first messages, its login, and its bytes after that."""

from __future__ import annotations

import os
import socket
import struct
from typing import TYPE_CHECKING

from pgharness.proxy.core import wire
from pgharness.proxy.core.client import Client
from pgharness.proxy.core.direct import Direct
from pgharness.proxy.server import auth
from pgharness.proxy.server.flow import MOST
from pgharness.proxy.server.secured import Secured, Socket
from pgharness.proxy.server.startup import Startup

if TYPE_CHECKING:
    from pgharness.proxy.server.proxy import Proxy
    from pgharness.proxy.server.upstream import Upstream

_READ = 65536
_BUFFER = 8192
_CLIENT_HELLO = b"\x16"


class Session:
    """A connection that somebody has opened to the proxy."""

    def __init__(self, proxy: Proxy, opened: Socket) -> None:
        self.proxy = proxy
        self.socket = opened
        self.client: Client | None = None
        self.direct: Direct | None = None
        self.upstream: Upstream | None = None
        """The connection that it has for itself, if it has one."""
        self.once = False
        """Whether that connection is no test's, and stays."""
        self.writing = False
        """Whether it waits until more can be sent."""
        self.out = bytearray()
        """What is to be sent before it has become a client."""
        self._data = b""
        self._rest = wire.Rest()
        self._take = self._first
        self._handshaking = False
        self._untried = True
        """Whether nothing has come yet."""
        self._rejected = False
        """Whether it has asked for TLS in vain, and has said nothing since."""
        self._login: auth.Server | None = None
        self._startup: Startup | None = None
        self._password = ""
        self._salt = b""

    # -- bytes ------------------------------------------------------------------------------------

    def readable(self) -> None:
        """Take what has come.

        Raises:
            OSError: The connection is gone.
            ProtocolError: What has come is not PostgreSQL's protocol.
        """
        if self._handshaking:
            self._shake_hands()
            return
        if self._untried:
            self._untried = False
            if self.socket.recv(1, socket.MSG_PEEK) == _CLIENT_HELLO:  # libpq's sslnegotiation=direct
                self._begin_tls(insists=True)
                return
        try:
            data = self.socket.recv(_READ)
        except BlockingIOError:
            return
        if not data:
            if self._rejected:  # it does not go on without TLS: the next one of its kind gets it
                self.proxy.tls.wanted = True
            raise ConnectionResetError
        if self._rest:
            data = self._rest.with_more(data)
        self._data = self._data + data if self._data else data
        self._take()

    def flush(self) -> None:
        """Send what can be sent now.

        Raises:
            OSError: The connection is gone.
        """
        out = self.client.out if self.client is not None else self.out
        if self._holds(out):
            return
        while out:
            try:
                sent = self.socket.send(out)
            except BlockingIOError:
                break
            if sent == len(out):
                out.clear()
            else:
                del out[:sent]
        if bool(out) != self.writing:
            self.writing = bool(out)
            self.proxy.watch(self)

    def _holds(self, out: bytearray) -> bool:
        """Whether PostgreSQL would keep ``out`` until it is asked to send it, or has more."""
        client = self.client
        if client is None or not client.holding or self.direct is not None:
            return False
        return not (client.skipping or client.copying or self.writing) and len(out) < _BUFFER

    @property
    def is_full(self) -> bool:
        """Whether so much waits to be sent that nothing more is to be read for it."""
        return self.client is not None and len(self.client.out) > MOST

    @property
    def is_closed(self) -> bool:
        return self.socket.fileno() < 0

    # -- before it is a client -----------------------------------------------------------------------

    def _first(self) -> None:
        while self._take == self._first and self._take_first():
            pass

    def _take_first(self) -> bool:
        """Take a first message; returns whether there may be another."""
        found = wire.startup(self._data)
        if found is None:
            return False
        code, body, length = found
        self._data = self._data[length:]
        self._rejected = False
        if code == wire.SSL_REQUEST:
            self._offer_tls()
        elif code == wire.GSS_REQUEST:
            self.out += b"N"
        elif code == wire.CANCEL_REQUEST:
            if len(body) > 4:  # noqa: PLR2004 - a process id, and what proves the right to cancel
                self.proxy.cancel(int.from_bytes(body[:4], "big"), body[4:])
            raise ConnectionResetError
        elif code >> 16 == 3:  # noqa: PLR2004 - the major version of the protocol
            self._begin(code, body)
        else:
            self._end("0A000", f"unsupported frontend protocol {code >> 16}.{code & 0xFFFF}")
        return True

    def _offer_tls(self) -> None:
        """Answer a request for TLS: with yes where some client of this run insists on it."""
        if self.proxy.tls.wanted and self.socket.family != getattr(socket, "AF_UNIX", None):
            self._begin_tls()
            return
        self._rejected = True
        self.out += b"N"

    def _begin_tls(self, *, insists: bool = False) -> None:
        if not self.proxy.tls.is_offered:
            if insists:
                raise ConnectionResetError
            self.out += b"N"
            return
        if not insists:
            self.socket.send(b"S")
        self.proxy.unwatch(self)
        self.socket = self.proxy.tls.secure(self.socket)
        self.proxy.watch(self)
        self._handshaking = True

    def close(self) -> None:
        self.socket.close()

    def _shake_hands(self) -> None:
        self._handshaking = not (isinstance(self.socket, Secured) and self.socket.shake_hands())

    def _begin(self, code: int, body: bytes) -> None:
        parameters = wire.startup_parameters(body)
        asked = [name for name in parameters if name.startswith("_pq_.")]
        if code > wire.PROTOCOL_3_2 or asked:
            minor = min(code, wire.PROTOCOL_3_2) & 0xFFFF
            names = b"".join(name.encode() + b"\x00" for name in asked)
            self.out += wire.message(b"v", struct.pack("!II", 196608 + minor, len(asked)) + names)
        self._startup = Startup.read(code, parameters)
        verifier = self.proxy.admission.verifier(self._startup.user)
        if isinstance(verifier, str):
            self._password, self._salt = verifier, os.urandom(4)
            self.out += wire.message(b"R", struct.pack("!I", 5) + self._salt)
            self._take = self._md5
            return
        binding = self.proxy.tls.binding if isinstance(self.socket, Secured) else b""
        self._login = auth.Server(verifier, binding)
        offered = [auth.SCRAM_PLUS, auth.SCRAM] if binding else [auth.SCRAM]
        names = b"".join(name.encode() + b"\x00" for name in offered) + b"\x00"
        self.out += wire.message(b"R", struct.pack("!I", 10) + names)
        self._take = self._sasl_first

    def _password_message(self) -> bytes | None:
        messages, _ = wire.frames(self._data)
        if not messages:
            return None
        kind, body = messages[0]
        self._data = self._data[wire.HEADER + len(body) :]
        if kind != b"p":
            raise wire.ProtocolError(f"a message {kind!r} in place of a password")
        return body

    def _sasl_first(self) -> None:
        body = self._password_message()
        if body is None or self._login is None:
            return
        mechanism, at = wire.cut(body)
        try:
            answer = self._login.first(mechanism.decode("ascii", "replace"), body[at + 4 :])
        except auth.Refusal as refusal:
            self._end("28P01", str(refusal))
            return
        self.out += wire.message(b"R", struct.pack("!I", 11) + answer)
        self._take = self._sasl_last

    def _sasl_last(self) -> None:
        body = self._password_message()
        if body is None or self._login is None or self._startup is None:
            return
        try:
            answer = self._login.last(body)
        except auth.Refusal:
            self._end("28P01", f'password authentication failed for user "{self._startup.user}"')
            return
        self.out += wire.message(b"R", struct.pack("!I", 12) + answer)
        self._logged_in()

    def _md5(self) -> None:
        body = self._password_message()
        if body is None or self._startup is None:
            return
        if body[:-1].decode("ascii", "replace") != auth.md5_of_stored(self._password, self._salt):
            self._end("28P01", f'password authentication failed for user "{self._startup.user}"')
            return
        self._logged_in()

    def _logged_in(self) -> None:
        assert self._startup is not None  # noqa: S101 - the caller has begun
        self._take = self._messages
        self.proxy.admission.admit(self, self._startup)

    def accept(self, client: Client, secret: bytes) -> None:
        """It has become ``client``."""
        out = client.out
        out += self.out
        self.out.clear()
        out += wire.message(b"R", b"\x00\x00\x00\x00")
        for name, value in client.reported.items():
            out += wire.parameter_status(name, value)
        out += wire.message(b"K", struct.pack("!I", client.pid) + secret)
        out += wire.READY[b"I"]
        self.client = client

    def _end(self, code: str, text: str) -> None:
        """Say why the connection ends."""
        self.fatal(wire.error("FATAL", code, text))

    def fatal(self, message: bytes) -> None:
        """Give ``message`` as the last one."""
        out = self.out
        if self.client is not None:
            out, self.client.holding = self.client.out, False
        out += message
        self.flush()
        raise ConnectionResetError

    # -- a client -----------------------------------------------------------------------------------

    def _messages(self) -> None:
        messages, at = wire.frames(self._data)
        if at < len(self._data):
            self._rest.keep(self._data[at:])
        self._data = b""
        if messages:
            if messages[-1][0] == b"X":
                self.proxy.take(self, messages[:-1])
                raise ConnectionResetError
            self.proxy.take(self, messages)
