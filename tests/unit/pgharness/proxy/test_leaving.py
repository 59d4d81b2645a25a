"""Clients that vanish, that cancel, and that wait too long, in every state."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pgharness.proxy.core import wire
from pgharness.proxy.core.refusals import Refused
from tests.support.wired import Sender, Wired, bind, execute, extended, parse

SYNC = wire.SYNC
FIVE = ["columns", "row 5", "SELECT 1", "ready I"]
ROWS = ["columns", "SELECT 0", "ready I"]
CANCELLED = "error 57014 canceling statement due to user request"


@pytest.fixture
def wired() -> Wired:
    return Wired()


def _begins_to_copy(client: Sender) -> None:
    client.put(wire.query("COPY t FROM STDIN"))


def _begins_to_copy_extended(client: Sender) -> None:
    client.put(extended("COPY t FROM STDIN") + SYNC)


def _holds_simple(client: Sender) -> None:
    client.put(wire.query("INSERT INTO t VALUES (1)"))


def _holds_script(client: Sender) -> None:
    client.put(wire.query("BEGIN; INSERT INTO t VALUES (1); SELECT 1/0; SELECT 2; COMMIT"))


def _holds_extended(client: Sender) -> None:
    client.query("BEGIN")
    client.put(extended("INSERT INTO t VALUES (1)") + extended("COMMIT") + SYNC + extended("SELECT 2") + SYNC)


def _waits(client: Sender) -> None:
    client.wired.client().put(wire.query("SELECT 7"))
    client.put(wire.query("INSERT INTO t VALUES (1)"))


def _waits_in_a_block(client: Sender) -> None:
    client.query("BEGIN; INSERT INTO t VALUES (1); SAVEPOINT a; INSERT INTO t VALUES (2)")
    client.wired.client().put(wire.query("SELECT 7"))
    client.put(wire.query("COMMIT"))


def _in_a_block(client: Sender) -> None:
    client.query("BEGIN; INSERT INTO t VALUES (1)")


def _has_failed(client: Sender) -> None:
    client.query("BEGIN; INSERT INTO t VALUES (1); SELECT 1/0")


def _has_flushed(client: Sender) -> None:
    client.send(extended("INSERT INTO t VALUES (1)") + wire.FLUSH)


def _has_no_sync(client: Sender) -> None:
    client.put(extended("INSERT INTO t VALUES (1)"))


def _copies_in(client: Sender) -> None:
    client.query("COPY t FROM STDIN")


def _copies_some(client: Sender) -> None:
    client.query("BEGIN; COPY t FROM STDIN")
    client.send(wire.message(b"d", b"1\n"))


def _copies_all(client: Sender) -> None:
    client.query("BEGIN; COPY t FROM STDIN; COMMIT")
    client.put(wire.message(b"d", b"1\n") + wire.message(b"c"))


def _copies_extended(client: Sender) -> None:
    client.send(extended("BEGIN") + extended("COPY t FROM STDIN") + SYNC)


def _has_a_portal(client: Sender) -> None:
    client.query("BEGIN; INSERT INTO t VALUES (1); DECLARE c CURSOR FOR SELECT 1; PREPARE q AS SELECT 1")
    client.send(parse("SELECT generate_series(1, 9)", "s") + bind("s", "p") + execute("p", 2) + SYNC)


def _is_another(client: Sender) -> None:
    client.query("SET ROLE reader")
    client.query("BEGIN; SET LOCAL app.x = '1'; INSERT INTO t VALUES (1)")


STATES = [
    _holds_script, _holds_extended, _waits, _waits_in_a_block, _in_a_block, _has_failed, _has_flushed,
    _has_no_sync, _begins_to_copy, _begins_to_copy_extended, _copies_in, _copies_some, _copies_extended,
    _has_a_portal, _is_another,
]  # fmt: skip


@pytest.mark.parametrize("state", [*STATES, _holds_simple, _copies_all])
@pytest.mark.parametrize("waits", [False, True])
def test_a_client_that_vanishes_hinders_nobody(
    wired: Wired, state: Callable[[Sender], None], *, waits: bool
) -> None:
    one, two = wired.client(), wired.client()
    state(one)
    if waits:
        two.put(wire.query("SELECT 5"))

    one.leave()

    assert two.answers() == (FIVE if waits else [])
    assert [two.query("SELECT 5"), two.send(extended("SELECT 5") + SYNC)[2:]] == [FIVE, FIVE[1:]]
    assert wired.shared.channel.idle
    assert one.client.pid not in wired.shared.clients
    assert wired.end() == []
    assert (wired.server.session.rows, wired.server.portals) == ([], {})
    assert set(wired.server.prepared) <= {"pgh_1", "pgh_2", "pgh_3", "pgh_4"}


@pytest.mark.parametrize("state", STATES)
def test_what_a_client_has_not_committed_goes_with_it(wired: Wired, state: Callable[[Sender], None]) -> None:
    one, two = wired.client(), wired.client()
    state(one)

    one.leave()

    assert two.query("SELECT x FROM t") == ROWS


@pytest.mark.parametrize("state", STATES)
def test_what_others_hold_stays(wired: Wired, state: Callable[[Sender], None]) -> None:
    one, two = wired.client(), wired.client()
    two.query("BEGIN")
    two.query("INSERT INTO t VALUES (8)")
    state(one)

    one.leave()

    assert two.query("SELECT x FROM t") == ["columns", "row 8", "SELECT 1", "ready T"]
    assert two.query("COMMIT") == ["COMMIT", "ready I"]
    assert wired.end() == []


def test_what_is_left_of_a_script_is_not_done(wired: Wired) -> None:
    one = wired.client()
    one.put(wire.query("INSERT INTO t VALUES (1); COMMIT; INSERT INTO t VALUES (2)"))

    one.leave()

    assert "Q INSERT INTO t VALUES (2)" not in wired.take_sent()


# -- requests to cancel --------------------------------------------------------------------------


def test_a_client_that_waits_is_answered_that_it_is_cancelled(wired: Wired) -> None:
    one, two, three = wired.client(), wired.client(), wired.client()
    one.put(wire.query("SELECT 5"))
    two.put(wire.query("INSERT INTO t VALUES (1)"))
    three.put(extended("INSERT INTO t VALUES (1)") + SYNC)

    found = [wired.shared.leaving.cancel_waiting(client.client) for client in (one, two, three)]
    wired.settle()

    assert found == [False, True, True]
    assert [client.answers() for client in (one, two, three)] == [FIVE, *[[CANCELLED, "ready I"]] * 2]
    assert one.query("SELECT x FROM t") == ROWS


def test_a_cancelled_client_is_in_a_failed_transaction(wired: Wired) -> None:
    one, two = wired.client(), wired.client()
    two.query("BEGIN; INSERT INTO t VALUES (1)")
    one.put(wire.query("SELECT 5"))
    two.put(wire.query("SELECT 6"))

    wired.shared.leaving.cancel_waiting(two.client)
    wired.settle()

    assert two.answers() == [CANCELLED, "ready E"]
    assert two.query("COMMIT") == ["ROLLBACK", "ready I"]
    assert two.query("SELECT x FROM t") == ROWS


def test_only_what_a_client_waits_for_is_cancelled(wired: Wired) -> None:
    one, two = wired.client(), wired.client()
    one.put(wire.query("SELECT 5"))
    two.put(extended("SELECT 6") + SYNC + extended("SELECT 7") + SYNC)

    wired.shared.leaving.cancel_waiting(two.client)
    wired.settle()

    assert two.answers() == [CANCELLED, "ready I", "parsed", "bound", "row 7", "SELECT 1", "ready I"]


def test_what_a_client_has_not_ended_is_skipped_when_cancelled(wired: Wired) -> None:
    one, two = wired.client(), wired.client()
    one.put(wire.query("SELECT 5"))
    two.put(extended("SELECT 6"))

    wired.shared.leaving.cancel_waiting(two.client)
    wired.settle()

    assert two.answers() == [CANCELLED]
    assert two.send(extended("SELECT 7") + SYNC) == ["ready I"]
    assert two.query("SELECT 5") == FIVE


def test_nobody_is_sent_anything_while_a_request_to_cancel_is_on_its_way(wired: Wired) -> None:
    one, two = wired.client(), wired.client()
    one.put(wire.query("SELECT 5"))
    two.put(wire.query("SELECT 5"))
    wired.shared.held = True

    wired.settle()
    during = two.answers()
    wired.shared.held = False
    wired.shared.pump()
    wired.settle()

    assert (one.answers(), during, two.answers()) == (FIVE, [], FIVE)


# -- patience ------------------------------------------------------------------------------------


def test_a_client_that_has_waited_too_long_is_refused(wired: Wired) -> None:
    one, two = wired.client(), wired.client()
    one.put(wire.query("SELECT 5"))
    two.put(wire.query("SELECT 6"))

    wired.shared.leaving.busy(two.client)
    wired.shared.leaving.busy(one.client)
    wired.settle()

    assert (one.answers(), two.answers()) == (FIVE, ["error 0A000 refused: busy", "ready I"])
    assert wired.end() == [
        ("busy", "connection 2", 10.0, "SELECT 5", "connection 1, 'SELECT 5'"),
    ]


def test_turns_come_in_the_order_of_asking(wired: Wired) -> None:
    clients = [wired.client() for _ in range(5)]
    for number, client in enumerate(clients):
        client.put(wire.query(f"SELECT {number}") * 2)

    wired.settle()

    asked = [line for line in wired.take_sent() if line.startswith("Q SELECT")]
    assert asked == [f"Q SELECT {number}" for number in range(5)] * 2


def test_a_client_that_waits_is_told_of_a_lost_connection_and_may_leave(wired: Wired) -> None:
    one, two = wired.client(), wired.client()
    one.put(wire.query("SELECT 5"))
    two.put(wire.query("SELECT 6"))
    wired.shared.lost(Refused("connection_lost"))

    one.leave()
    two.leave()

    assert wired.shared.clients == {}
