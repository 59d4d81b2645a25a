"""The proxy's own process before a database of a test, told what to do as the plugin tells it."""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import psycopg2

from pgharness.proxy.control import LOOPBACK, Control
from pgharness.proxy.core import wire
from pgharness.proxy.server import auth
from pgharness.server.base import Address

ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, psycopg.Error, psycopg2.Error, OSError)


class Proxied:
    """The proxy before the database ``name`` on ``server``; ``options`` are what it is told first."""

    def __init__(self, server: Address, name: str, control: type[Control] = Control, **options: Any) -> None:
        self.server = server
        self.name = name
        self.control = control()
        self.password = self.control.password
        self.port = self.control.port
        self.control.launch()
        self.control.configure(
            {
                "server": {
                    "host": server.host,
                    "port": server.port,
                    "user": server.user,
                    "password": server.password,
                    "tls": False,
                },
                "database": name,
                "user": server.user,
                "strict": False,
                "clock": False,
                "lock_timeout": 10.0,
                **options,
            }
        )
        self.control.ask("use", database=name)
        self.url = self.url_of(server.user, self.password)
        self.direct_url = server.url(name)
        self.clients: list[Bare] = []

    def url_of(self, user: str, password: str) -> str:
        return Address(LOOPBACK, self.port, user, password).url(self.name)

    @contextlib.contextmanager
    def test(self, name: str = "test_x", *refusals: str) -> Iterator[None]:
        """One test, which is refused what ``refusals`` name, and nothing else."""
        self.control.tell("begin", test=name, isolation="rollback")
        yield
        assert self.end() == list(refusals)

    def end(self) -> list[str]:
        return [kind for kind, _ in self.control.ask("end")["refusals"]]

    def close(self) -> None:
        for client in self.clients:
            client.close()
        self.control.close()

    def status(self, field: str) -> int:
        """A figure of the process: ``VmRSS`` and ``VmHWM`` in KiB, ``Threads``."""
        found = re.search(
            rf"^{field}:\s+(\d+)", Path(f"/proc/{self.control.pid}/status").read_text(), re.MULTILINE
        )
        assert found
        return int(found[1])

    def descriptors(self) -> int:
        """How many files and sockets the process has open."""
        return len(list(Path(f"/proc/{self.control.pid}/fd").iterdir()))

    def connect(self) -> socket.socket:
        """A bare connection, which gives up after ten seconds."""
        return socket.create_connection((LOOPBACK, self.port), 10)


class Bare:
    """A client that says what it is told, message by message."""

    def __init__(self, proxied: Proxied, *, user: str = "", **parameters: str) -> None:
        self.socket = proxied.connect()
        proxied.clients.append(self)
        self._data = b""
        user = user or proxied.server.user
        self.send(wire.startup_message({"user": user, "database": proxied.name, **parameters}))
        login = auth.Client(proxied.password)
        self.expect(b"R")
        first = auth.SCRAM.encode() + b"\0" + struct.pack("!I", len(login.first)) + login.first
        self.send(wire.message(b"p", first))
        self.send(wire.message(b"p", login.last(self.expect(b"R")[4:])))
        while (message := self.read())[0] != b"Z":
            if message[0] == b"K":
                self.pid, self.secret = struct.unpack_from("!I", message[1])[0], message[1][4:]

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read(self) -> tuple[bytes, bytes]:
        """The next message.

        Raises:
            OSError: The connection has ended, or nothing has come for long.
        """
        while True:
            messages, _ = wire.frames(self._data)
            if messages:
                kind, body = messages[0]
                self._data = self._data[wire.HEADER + len(body) :]
                return kind, body
            more = self.socket.recv(65536)
            if not more:
                raise ConnectionResetError
            self._data += more

    def expect(self, kind: bytes) -> bytes:
        found, body = self.read()
        assert found == kind, (found, body)
        return body

    def answer(self) -> list[str]:
        """What comes up to the next ReadyForQuery: rows, tags, codes of errors."""
        said = []
        while (message := self.read())[0] != b"Z":
            kind, body = message
            if kind == b"D":
                said.append(str((wire.row_values(body)[0] or b"").decode()))
            elif kind == b"C":
                said.append(body[:-1].decode())
            elif kind == b"E":
                said.append(wire.fields(body)["C"])
        return said

    def query(self, sql: str) -> list[str]:
        self.send(wire.query(sql))
        return self.answer()

    def close(self) -> None:
        self.socket.close()


class Beside:
    """Runs something in a thread, and hands on what it answers or raises."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work = work
        self._answer: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._answer = self._work()
        except BaseException as error:  # noqa: BLE001 - raised where the answer is asked for
            self._error = error

    def answer(self, seconds: float = 10) -> Any:
        """What the work has answered.

        Raises:
            TimeoutError: It has not ended.
        """
        self._thread.join(seconds)
        if self._thread.is_alive():
            raise TimeoutError(f"nothing has come within {seconds} s")
        if self._error is not None:
            raise self._error
        return self._answer


def until(holds: Callable[[], Any], seconds: float = 10) -> Any:
    """What ``holds`` answers once it is true."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not true within {seconds} s")
        time.sleep(0.005)
    return found
