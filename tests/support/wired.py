"""The proxy's shared core between clients and a PostgreSQL in memory, message by message."""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection
from typing import Any

from pgharness.proxy.core import wire
from pgharness.proxy.core.client import Client
from pgharness.proxy.core.refusals import Refused
from pgharness.proxy.core.running import Facts
from pgharness.proxy.core.scopes import Report
from pgharness.proxy.core.shared import Shared
from tests.support.wire_server import WireServer
from tests.support.wire_session import DEFAULTS

FACTS = Facts(owner="owner")
Seen = list[str]


class Wired:
    """Clients of a shared connection, in a test that has begun.

    Nothing moves by itself: what is sent is delivered to the server by `settle`.
    """

    def __init__(self, facts: Facts = FACTS, *, begin: str = "test_x") -> None:
        self.server = WireServer()
        defaults = {name: DEFAULTS[name] for name in ("role", "session_authorization", "timezone")}
        self.shared = Shared(facts, {}, sentence)
        self.shared.connect(facts, defaults)
        self.reports: list[Report] = []
        if begin:
            self.begin(begin)

    def begin(self, name: str = "test_x") -> None:
        self.shared.scopes.begin(name)
        self.settle()

    def end(self, held: Collection[int] = ()) -> list[tuple[Any, ...]]:
        """End the test; what it is refused for, as kinds with their arguments.

        ``held`` are the clients that fixtures of wider scope hold.
        """
        self.shared.scopes.end(self.reports.append, held)
        self.settle()
        return [refused.args for refused in self.reports[-1].refusals]

    def client(self, **options: Any) -> Sender:
        pid = len(self.shared.clients) + 1
        while pid in self.shared.clients:
            pid += 1
        for name in options.get("settings", {}):
            self.shared.defaults.setdefault(name, DEFAULTS[name])
        made = Client(pid, b"key!", user=options.pop("user", "owner"), **options)
        self.shared.clients[pid] = made
        return Sender(self, made)

    def settle(self) -> None:
        """Let the server answer until nobody has anything to say."""
        while self.shared.channel.out:
            self.exchange()

    def exchange(self) -> None:
        """Deliver what is to be sent now, and its answer, as the proxy's loop does."""
        channel, holder = self.shared.channel, self.shared.holder
        data = bytes(channel.out)
        channel.out.clear()
        channel.receive(self.server.receive(data))
        if holder is not None and holder.copying == "in" and holder.queue:
            self.shared.leaving.copy(holder)

    def take_sent(self) -> Seen:
        """What the server has been sent since this was last asked."""
        log, self.server.log = self.server.log, []
        return log


class Sender:
    """One client, and what it sends."""

    def __init__(self, wired: Wired, client: Client) -> None:
        self.wired = wired
        self.client = client

    def put(self, data: bytes) -> None:
        """Hand ``data`` to the core, and deliver nothing."""
        messages, _ = wire.frames(data)
        self.client.take(messages)
        if self.client.copying == "in":
            self.wired.shared.leaving.copy(self.client)
        else:
            self.wired.shared.feed(self.client)

    def send(self, data: bytes) -> Seen:
        """What is answered to ``data``."""
        self.put(data)
        self.wired.settle()
        return self.answers()

    def answers(self) -> Seen:
        """What has been answered since this was last asked."""
        data = bytes(self.client.out)
        self.client.out.clear()
        return answers(data)

    def query(self, sql: str) -> Seen:
        return self.send(wire.query(sql))

    def leave(self) -> None:
        self.wired.shared.leaving.leave(self.client)
        self.wired.settle()


def sentence(test: str, refused: Refused) -> tuple[str, str, str]:
    return f"refused: {refused.kind}", "", ""


# -- messages of clients -------------------------------------------------------------------------


def parse(sql: str, name: str = "") -> bytes:
    return wire.parse(name.encode(), sql.encode() + b"\0\0\0")


def bind(name: str = "", portal: str = "", *values: str) -> bytes:
    body = struct.pack("!HH", 0, len(values))
    for value in values:
        body += struct.pack("!I", len(value)) + value.encode()
    return wire.bind(portal.encode(), name.encode(), body + struct.pack("!H", 0))


def execute(portal: str = "", most: int = 0) -> bytes:
    return wire.execute(portal.encode(), struct.pack("!I", most))


def describe(what: str, name: str = "") -> bytes:
    return wire.describe(what.encode(), name.encode())


def close(what: str, name: str = "") -> bytes:
    return wire.close(what.encode(), name.encode())


def extended(sql: str, *values: str) -> bytes:
    """``sql`` as an unnamed statement, without the Sync."""
    return parse(sql) + bind("", "", *values) + execute()


# -- what they are answered ----------------------------------------------------------------------

_NAMES = {
    "1": "parsed", "2": "bound", "3": "closed", "n": "no data", "t": "parameters", "T": "columns",
    "I": "empty", "s": "suspended", "G": "copy in", "H": "copy out", "c": "copied",
}  # fmt: skip


def answers(data: bytes) -> Seen:
    """Messages of the server, each in words; a part of one is an error."""
    messages, at = wire.frames(data)
    assert at == len(data), f"{data[at:]!r} is no whole message"
    return [_answer(kind.decode(), body) for kind, body in messages]


def _answer(kind: str, body: bytes) -> str:
    shown = _SHOWN.get(kind)
    return shown(body) if shown is not None else _NAMES[kind]


def _row(body: bytes) -> str:
    return "row " + ",".join("-" if v is None else v.decode() for v in wire.row_values(body))


def _said(body: bytes) -> str:
    fields = wire.fields(body)
    return f"{fields['C']} {fields['M']}" + (f", at {fields['P']}" if "P" in fields else "")


def _status(body: bytes) -> str:
    name, value, _ = body.split(b"\0")
    return f"status {name.decode()}={value.decode()}"


_SHOWN: dict[str, Callable[[bytes], str]] = {
    "D": _row,
    "C": lambda body: body[:-1].decode(),
    "E": lambda body: f"error {_said(body)}",
    "N": lambda body: f"notice {_said(body)}",
    "Z": lambda body: f"ready {body.decode()}",
    "S": _status,
    "d": lambda body: f"data {body.decode().rstrip()}",
}


def shown(*clients: Sender) -> list[str]:
    """The value of app.x for each client; empty where there is none."""
    found = []
    for client in clients:
        said = client.query("SELECT current_setting('app.x', true)")
        found.append(said[1].removeprefix("row ").replace("-", ""))
    return found
