"""Fixtures of wider scope at the proxy: what they write is committed, and their connections stay."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

import pytest

from pgharness.proxy.core import wire
from tests.support.proxied import Bare, Beside, Proxied

pytestmark = pytest.mark.pg(allow_hosts=["127.0.0.1"])


@pytest.fixture
def wide(proxied: Proxied) -> Iterator[Bare]:
    """A client of a fixture that is being set up, and has written."""
    proxied.control.database = lambda: proxied.name
    client = Bare(proxied)
    proxied.control.tell("wide", fixture="db")
    assert client.query("INSERT INTO t VALUES (1)") == ["INSERT 0 1"]
    yield client
    proxied.control.tell("wide", fixture="db")
    client.query("DELETE FROM t")
    proxied.end()


def test_what_it_writes_is_committed(proxied: Proxied, wide: Bare) -> None:
    answer = proxied.control.ask("end")
    assert (answer["refusals"], answer["wrote"], answer["reached"]) == ([], True, True)

    for _ in range(2):
        with proxied.test():
            assert wide.query("SELECT x FROM t") == ["1", "SELECT 1"]
            assert wide.query("INSERT INTO t VALUES (2)") == ["INSERT 0 1"]


def test_a_statement_between_its_set_up_and_the_next_test_is_answered(proxied: Proxied, wide: Bare) -> None:
    assert proxied.end() == []

    asking = Beside(partial(wide.query, "SELECT x FROM t"))
    time.sleep(0.1)
    with proxied.test():
        assert asking.answer(2) == ["1", "SELECT 1"]


def test_a_short_statement_that_runs_as_its_set_up_ends_is_waited_for(proxied: Proxied, wide: Bare) -> None:
    wide.send(wire.query("SELECT pg_sleep(0.2)"))

    assert proxied.end() == []

    assert wide.answer() == ["", "SELECT 1"]
    with proxied.test():
        assert wide.query("SELECT x FROM t") == ["1", "SELECT 1"]


def test_a_long_one_is_ended_with_its_connection(proxied: Proxied, wide: Bare) -> None:
    began = time.monotonic()
    other = Bare(proxied)
    other.send(wire.query("SELECT pg_sleep(60)"))

    assert proxied.end() == []

    assert time.monotonic() - began < 5
    with pytest.raises(ConnectionError):
        other.answer()
    with proxied.test():
        assert wide.query("SELECT x FROM t") == ["1", "SELECT 1"]
