"""A connection under TLS that is used as a plain one is."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl


class Secured:
    """A TLS socket; what it waits for it says by BlockingIOError, as a plain socket does.

    Args:
        wrapped: The socket. ``ssl``, which takes a megabyte and a half, is loaded only where there is one.
    """

    def __init__(self, wrapped: ssl.SSLSocket) -> None:
        import ssl  # noqa: PLC0415 - loaded by whoever has made the socket

        self._wrapped = wrapped
        self._waits = (ssl.SSLWantReadError, ssl.SSLWantWriteError)
        self.family = wrapped.family

    def shake_hands(self) -> bool:
        """Go on with the handshake; returns whether it is done.

        Raises:
            OSError: It fails.
        """
        try:
            self._wrapped.do_handshake()
        except self._waits:
            return False
        return True

    def recv(self, size: int, _flags: int = 0) -> bytes:
        try:
            data = self._wrapped.recv(size)
            while self._wrapped.pending():
                data += self._wrapped.recv(size)
        except self._waits:
            raise BlockingIOError from None
        return data

    def send(self, data: bytes | bytearray, _flags: int = 0) -> int:
        try:
            return self._wrapped.send(data)
        except self._waits:
            raise BlockingIOError from None

    def sendall(self, data: bytes) -> None:
        self._wrapped.sendall(data)

    def setblocking(self, flag: bool) -> None:
        self._wrapped.setblocking(flag)

    def settimeout(self, seconds: float | None) -> None:
        self._wrapped.settimeout(seconds)

    def setsockopt(self, level: int, name: int, value: int | bytes) -> None:
        self._wrapped.setsockopt(level, name, value)

    def fileno(self) -> int:
        return self._wrapped.fileno()

    def close(self) -> None:
        """Close it as TLS has it, so that the other side knows that nothing is missing."""
        with contextlib.suppress(OSError, ValueError):
            self._wrapped.setblocking(False)
            self._wrapped.unwrap()
        self._wrapped.close()


Socket = socket.socket | Secured
