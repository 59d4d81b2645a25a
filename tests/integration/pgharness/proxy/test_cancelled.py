"""Requests to cancel, and clients that vanish while the server works for them."""

from __future__ import annotations

import random
import time
from typing import Any

import psycopg
import pytest

from pgharness.proxy.core import wire
from tests.support.proxied import Bare, Beside, Proxied, until

pytestmark = pytest.mark.pg(allow_hosts=["127.0.0.1"])
_ROUNDS = 300


def _cancel(proxied: Proxied, client: Bare, secret: bytes = b"") -> None:
    with proxied.connect() as asking:
        asking.sendall(wire.cancel_request(client.pid, secret or client.secret))
        assert asking.recv(1) == b""


def test_what_runs_is_cancelled_and_fails_its_own_transaction_alone(proxied: Proxied) -> None:
    with proxied.test():
        one, two = Bare(proxied), Bare(proxied)
        two.query("BEGIN")
        two.query("INSERT INTO t VALUES (2)")
        one.query("BEGIN")
        one.query("INSERT INTO t VALUES (1)")
        one.send(wire.query("SELECT pg_sleep(60)"))
        _cancel(proxied, one)

        assert one.answer() == ["57014"]

        assert one.query("SELECT 1") == ["25P02"]
        assert one.query("ROLLBACK") == ["ROLLBACK"]
        assert two.query("SELECT x FROM t") == ["2", "SELECT 1"]
        assert two.query("COMMIT") == ["COMMIT"]
        one.close()
        two.close()


def test_a_client_that_waits_is_cancelled(proxied: Proxied) -> None:
    with proxied.test():
        one, two = Bare(proxied), Bare(proxied)
        one.send(wire.query("SELECT pg_sleep(1)"))
        time.sleep(0.1)
        two.send(wire.query("INSERT INTO t VALUES (2)"))
        _cancel(proxied, two)
        began = time.monotonic()

        assert two.answer() == ["57014"]

        assert time.monotonic() - began < 0.7
        assert one.answer() == ["", "SELECT 1"]
        assert two.query("SELECT x FROM t") == ["SELECT 0"]
        one.close()
        two.close()


def test_who_does_not_know_the_secret_cancels_nothing(proxied: Proxied) -> None:
    with proxied.test():
        one = Bare(proxied)
        one.send(wire.query("SELECT pg_sleep(0.3)"))
        for secret in (b"\0\0\0\0", b"x", b"k" * 32):
            _cancel(proxied, one, secret)

        assert one.answer() == ["", "SELECT 1"]
        one.close()


def test_cancels_at_any_moment_leave_the_work_of_others_alone(proxied: Proxied) -> None:
    """Three hundred, at random microseconds: also while the savepoint of the statement is on its way."""
    random_ = random.Random(13)  # noqa: S311 - no secret
    cancelled = 0
    with proxied.test():
        one, two = Bare(proxied), Bare(proxied)
        for number in range(_ROUNDS):
            two.send(wire.query("BEGIN"))
            assert two.answer() == ["BEGIN"]
            assert two.query(f"INSERT INTO t VALUES ({number})") == ["INSERT 0 1"]
            if random_.random() < 0.5:
                one.query("SAVEPOINT a" if number % 2 else "BEGIN")
            one.send(wire.query(f"INSERT INTO words (v) SELECT '{number}' FROM pg_sleep(0.0005)"))
            time.sleep(random_.random() * 0.0015)
            _cancel(proxied, one)
            said = one.answer()
            cancelled += said == ["57014"]
            assert said in (["57014"], ["INSERT 0 1"]), (number, said)
            one.query("ROLLBACK")
            assert two.query("COMMIT") == ["COMMIT"]
        count = two.query("SELECT count(*) FROM t")
        one.close()
        two.close()

    assert count == [str(_ROUNDS), "SELECT 1"]
    assert cancelled > 0


@pytest.mark.parametrize("delay", [0, 0.02, 0.2])
def test_a_client_that_vanishes_holds_nobody_up(
    proxied: Proxied, direct: psycopg.Connection[Any], delay: float
) -> None:
    with proxied.test():
        one, two = Bare(proxied), Bare(proxied)
        two.query("INSERT INTO t VALUES (2)")
        one.send(wire.query("SELECT pg_sleep(60)"))
        time.sleep(delay)

        one.close()

        assert Beside(lambda: two.query("SELECT x FROM t")).answer(3) == ["2", "SELECT 1"]
        two.close()


@pytest.mark.parametrize("delay", [0, 0.05])
@pytest.mark.parametrize(
    "begins",
    [
        wire.query("COPY t FROM STDIN"),
        wire.query("COPY t FROM STDIN") + wire.message(b"d", b"1\n"),
        wire.query("COPY (SELECT generate_series(1, 100000000)) TO STDOUT"),
        wire.parse(b"", b"COPY t FROM STDIN\0\0\0") + wire.bind(b"", b"", b"\0" * 6)
        + wire.execute(b"", b"\0" * 4) + wire.SYNC,
        wire.query("SELECT generate_series(1, 100000000)"),
    ],
    ids=["in", "in with rows", "out", "in extended", "rows"],
)  # fmt: skip
def test_a_client_that_vanishes_while_it_copies_holds_nobody_up(
    proxied: Proxied, begins: bytes, delay: float
) -> None:
    with proxied.test():
        one, two = Bare(proxied), Bare(proxied)
        two.query("INSERT INTO t VALUES (2)")
        one.send(begins)
        time.sleep(delay)

        one.close()

        for _ in range(3):
            assert Beside(lambda: two.query("SELECT x FROM t")).answer(5) == ["2", "SELECT 1"]
        two.close()
    assert proxied.status("VmHWM") < 100_000


def test_nothing_is_left_of_clients_that_have_vanished(proxied: Proxied) -> None:
    before = proxied.descriptors()
    with proxied.test():
        for number in range(50):
            one = Bare(proxied)
            one.query("BEGIN")
            one.query(f"INSERT INTO t VALUES ({number})")
            one.query("SELECT 1/0" if number % 2 else "SAVEPOINT a")
            one.close()
        two = Bare(proxied)
        assert two.query("SELECT x FROM t") == ["SELECT 0"]
        two.close()

    until(lambda: proxied.descriptors() <= before)
