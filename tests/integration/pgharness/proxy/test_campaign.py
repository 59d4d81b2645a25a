"""Two thousand connections that say anything but what they should, and ten thousand tests."""

from __future__ import annotations

import contextlib
import os
import random
import struct
from typing import Any

import psycopg
import pytest

from pgharness.proxy.core import wire
from tests.support.proxied import Bare, Proxied, until

pytestmark = pytest.mark.pg(allow_hosts=["127.0.0.1"])
_CONNECTIONS = int(os.environ.get("PGHARNESS_TEST_CONNECTIONS", "2000"))
_ROUNDS = int(os.environ.get("PGHARNESS_TEST_ROUNDS", "10000"))
_LOGGED_IN = 5
"""Of so many connections one logs in before it goes wrong."""


_VERSIONS = [196608, 196610, 196700, 131072]
_SCRAM_FIRST = [
    wire.message(b"p", mechanism + b"\0\0\0\0\x20" + first)
    for mechanism in (b"SCRAM-SHA-256", b"SCRAM-SHA-256-PLUS", b"\xff")
    for first in (b"n,,n=,r=x", b"y,,", b"n,,n=,r=\xff", b"p=tls-server-end-point,,n=,r=x")
]
_SCRAM_LAST = [wire.message(b"p", last) for last in (b"c=biws,r=x,p=eA==", b"\xff,p=\xff", b"")]


def _first(random_: random.Random, proxied: Proxied) -> bytes:
    """What a connection begins with."""
    user = {"user": proxied.server.user, "database": proxied.name}
    kind = random_.randrange(10)
    return (
        random_.randbytes(random_.randrange(200)),
        struct.pack("!II", 8, wire.SSL_REQUEST) * random_.randrange(1, 4) + random_.randbytes(20),
        struct.pack("!II", 8, wire.GSS_REQUEST) * random_.choice([1, 3000]),
        struct.pack("!II", 8, wire.CANCEL_REQUEST),
        wire.cancel_request(random_.randrange(20), random_.randbytes(random_.choice([0, 4, 32]))),
        wire.startup_message({**user, "options": "-c " + random_.choice(["a.b=\udcff", "x='", "", "-"])}),
        wire.startup_message({"user": random_.choice(["", "\udcfe", "nobody", "a" * 300])}),
        wire.startup_message(user) + wire.message(b"p", random_.randbytes(random_.randrange(40))),
        wire.startup_message(user) + random_.choice(_SCRAM_FIRST) + random_.choice(_SCRAM_LAST),
        struct.pack("!II", random_.choice([9, 10000, 2**31]), random_.choice(_VERSIONS)),
    )[kind]


_GROUPS = [
    wire.query("BEGIN; INSERT INTO t VALUES (1); SAVEPOINT a"),
    wire.query("COPY t FROM STDIN") + wire.message(b"d", b"1\n2\n"),
    wire.query("SELECT generate_series(1, 1000)"),
    wire.parse(b"s", b"SELECT $1\0\0\0") + wire.describe(b"S", b"s") + wire.SYNC,
    wire.bind(b"p", b"s", b"\0\0\0\1\0\0\0\1x\0\0") + wire.execute(b"p", b"\0\0\0\1") + wire.FLUSH,
    wire.query("DECLARE c CURSOR FOR SELECT 1; SELECT 1/0"),
    wire.parse(b"", b"BEGIN\0\0\0")
    + wire.bind(b"", b"", b"\0" * 6)
    + wire.execute(b"", b"\0" * 4)
    + wire.SYNC,
    wire.query("SELECT set_config('app.x', 'y', true), pg_sleep(0.001)"),
]


def _then(random_: random.Random) -> bytes:
    """What a client says once it is one: messages that are cut, reordered, and of random bytes."""
    data = b"".join(random_.choices(_GROUPS, k=random_.randrange(1, 5)))
    messages = [wire.message(kind, body) for kind, body in wire.frames(data)[0]]
    for _ in range(random_.randrange(4)):
        change, at = random_.randrange(4), random_.randrange(len(messages))
        if change == 0:
            messages[at] = wire.message(bytes([random_.choice(b"PBDECFHSdcfQzX\0")]))
        elif change == 1:
            kind = bytes([random_.choice(b"PBDECFHSdcfQ")])
            messages[at] = wire.message(kind, random_.randbytes(random_.randrange(30)))
        elif change == 2:
            messages[at] = messages[at][: random_.randrange(len(messages[at]) + 1)]
        else:
            random_.shuffle(messages)
    return b"".join(messages)


def test_random_bytes_from_two_thousand_connections(proxied: Proxied) -> None:
    random_ = random.Random(13)  # noqa: S311 - no secret
    steady = Bare(proxied)
    with proxied.test("warm"):
        steady.query("SELECT 1")
    before, files = proxied.status("VmRSS"), proxied.descriptors()
    proxied.control.tell("begin", test="test_x", isolation="rollback")
    for number in range(_CONNECTIONS):
        with contextlib.suppress(OSError):
            if number % _LOGGED_IN:
                with proxied.connect() as opened:
                    opened.sendall(_first(random_, proxied))
                    opened.settimeout(0.001)
                    opened.recv(1)
            else:
                client = Bare(proxied)
                client.send(_then(random_))
                client.socket.settimeout(0.003)
                with contextlib.suppress(OSError):
                    client.socket.recv(65536)
                client.close()
                proxied.clients.remove(client)
        if number % 100 == 0:
            assert steady.query(f"SELECT {number}") in ([str(number), "SELECT 1"], ["0A000"])
    proxied.end()

    with proxied.test("test_y"):
        assert steady.query("SELECT x FROM t") == ["SELECT 0"]
        fresh = Bare(proxied)
        assert fresh.query("INSERT INTO t VALUES (1)") == ["INSERT 0 1"]
        fresh.close()
    until(lambda: proxied.descriptors() <= files)
    assert proxied.status("VmRSS") < before + 16_000


def test_ten_thousand_tests_leave_nothing(proxied: Proxied, direct: psycopg.Connection[Any]) -> None:
    insert = (
        wire.parse(b"", b"INSERT INTO words (v) VALUES ($1)\0\0\0")
        + wire.bind(b"", b"", b"\0\0\0\1\0\0\0\1x\0\0") + wire.execute(b"", b"\0\0\0\0") + wire.SYNC
    )  # fmt: skip
    one = Bare(proxied)
    kept = Bare(proxied)
    kept.send(wire.parse(b"kept", b"SELECT count(*) FROM words\0\0\0") + wire.SYNC)
    kept.answer()
    held = []
    for number in range(_ROUNDS):
        if number in (_ROUNDS // 2, _ROUNDS - 1):
            held.append(proxied.status("VmRSS"))
        proxied.control.tell("begin", test=f"test_{number}", isolation="rollback")
        one.send(insert)
        assert one.answer() == ["INSERT 0 1"]
        if number % 1000 == 0:
            kept.send(wire.bind(b"", b"kept", b"\0" * 6) + wire.execute(b"", b"\0" * 4) + wire.SYNC)
            assert kept.answer() == ["1", "SELECT 1"]
            for other in (psycopg.connect(proxied.url, prepare_threshold=0), psycopg.connect(proxied.url)):
                other.execute("SELECT %s", [number])
                other.close()
        assert proxied.end() == []
    with proxied.test():
        prepared = kept.query("SELECT count(*) FROM pg_prepared_statements")
        locks = kept.query("SELECT count(*) FROM pg_locks WHERE relation = 't'::regclass")

    assert int(prepared[0]) <= 5
    assert locks[0] == "0"
    assert held[1] - held[0] < 1_000
    assert direct.execute("SELECT count(*) FROM words").fetchone() == (0,)
