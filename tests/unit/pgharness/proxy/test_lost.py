"""A shared connection that ends by itself: one error for each client, and the tests go on."""

from __future__ import annotations

import pytest

from pgharness.proxy.core import wire
from pgharness.proxy.core.refusals import Refused
from tests.support.wired import Wired, bind, execute, extended, parse

SYNC = wire.SYNC


@pytest.fixture
def wired() -> Wired:
    return Wired()


def _lose(wired: Wired) -> None:
    wired.shared.lost(Refused("connection_lost"))


def test_everybody_hears_once_that_the_connection_is_lost(wired: Wired) -> None:
    one, two, three = wired.client(), wired.client(), wired.client()
    one.put(wire.query("SELECT 1"))
    two.put(wire.query("SELECT 2"))
    three.put(extended("SELECT 3") + SYNC)

    _lose(wired)

    lost = ["error 0A000 refused: connection_lost", "ready I"]
    assert [client.answers() for client in (one, two, three)] == [lost] * 3
    assert wired.end()[0] == ("connection_lost",)


@pytest.mark.parametrize("then", ["SELECT pg_advisory_lock(1)", "SELECT 1/0", "INSERT INTO t VALUES (1)", ""])
def test_a_test_ends_though_the_connection_is_lost(wired: Wired, then: str) -> None:
    client = wired.client()
    if then:
        client.query(then)
    _lose(wired)

    wired.end()

    assert len(wired.reports) == 1


def test_a_connection_that_is_lost_at_the_end_ends_the_test(wired: Wired) -> None:
    wired.client().query("INSERT INTO t VALUES (1)")
    wired.shared.scopes.end(wired.reports.append)

    _lose(wired)

    assert len(wired.reports) == 1


def test_a_new_connection_begins_anew(wired: Wired) -> None:
    client = wired.client()
    client.send(parse("SELECT 1", "s") + SYNC)
    client.query("PREPARE p AS SELECT 2")
    _lose(wired)
    wired.end()
    wired.server = type(wired.server)()
    wired.shared.connect(wired.shared.facts, dict(wired.shared.defaults))
    wired.begin("test_y")

    assert client.query("SELECT 5") == ["columns", "row 5", "SELECT 1", "ready I"]
    assert client.send(bind("s") + execute() + SYNC) == ["bound", "row 1", "SELECT 1", "ready I"]
    assert wired.end() == []


@pytest.mark.parametrize("begun", ["", "BEGIN; SELECT 1"])
def test_a_read_that_is_sent_again_is_answered_though_the_connection_is_lost(
    wired: Wired, begun: str
) -> None:
    client = wired.client()
    client.send(parse("SELECT 1", "s") + bind("s") + execute() + SYNC)
    if begun:
        client.query(begun)
    client.put(bind("s") + execute() + SYNC)

    _lose(wired)

    state = "ready E" if begun else "ready I"
    assert client.answers() == ["error 0A000 refused: connection_lost", state]
    assert wired.end()[0] == ("connection_lost",)
