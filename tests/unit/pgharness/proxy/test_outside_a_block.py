"""What is wanted of a transaction block, characteristics of a transaction, and what outlives neither."""

from __future__ import annotations

import pytest

from pgharness.proxy.core import wire
from pgharness.proxy.core.client import Client
from pgharness.proxy.core.direct import Direct
from tests.support.wired import Wired, answers, extended, parse

SYNC = wire.SYNC


@pytest.fixture
def wired() -> Wired:
    return Wired()


@pytest.mark.parametrize(
    ("sql", "command"), [("LOCK TABLE t", "LOCK TABLE"), ("DECLARE c CURSOR FOR SELECT 1", "DECLARE CURSOR")]
)
@pytest.mark.parametrize("how", ["simple", "extended"])
def test_what_wants_a_block_fails_outside_one(wired: Wired, sql: str, command: str, how: str) -> None:
    client = wired.client()

    said = client.query(sql) if how == "simple" else client.send(extended(sql) + SYNC)

    assert said[-2:] == [f"error 25P01 {command} can only be used in transaction blocks", "ready I"]


def test_set_local_outside_a_block_is_warned_of(wired: Wired) -> None:
    client = wired.client()

    said = client.query("SET LOCAL timezone = 'Asia/Tokyo'")

    assert said[0] == "notice 25P01 SET LOCAL can only be used in transaction blocks"
    assert client.query("SHOW timezone")[1] == "row UTC"


@pytest.mark.parametrize(
    ("sql", "shown"),
    [
        ("SET transaction_isolation = 'serializable'", "serializable"),
        ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "serializable"),
    ],
)
def test_a_level_is_shown_as_it_was_asked_for_however_it_is_spelled(
    wired: Wired, sql: str, shown: str
) -> None:
    client = wired.client()
    client.query("BEGIN")
    client.query(sql)

    wired.take_sent()
    client.query("SHOW TRANSACTION ISOLATION LEVEL")

    asked = "SELECT pg_catalog.current_setting('pgharness.isolation') AS transaction_isolation"
    sent = wired.take_sent()
    assert sent[-1] == f"Q {asked}"
    assert f"'pgharness.isolation', '{shown}'" in sent[0]


def test_a_transaction_that_was_read_only_leaves_the_next_as_it_is(wired: Wired) -> None:
    client = wired.client()
    client.query("BEGIN")
    client.query("SET transaction_read_only = on")
    refused = client.query("INSERT INTO t VALUES (1)")
    client.query("ROLLBACK")

    assert refused[0].startswith("error 25006")
    assert client.query("INSERT INTO t VALUES (1)") == ["INSERT 0 1", "ready I"]


def test_the_level_it_has_can_be_asked_for_inside_a_savepoint(wired: Wired) -> None:
    client = wired.client()
    client.query("BEGIN ISOLATION LEVEL REPEATABLE READ")
    client.query("SAVEPOINT a")

    said = client.query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")

    assert said == ["SET", "ready T"]


def test_a_characteristic_by_a_call_is_refused(wired: Wired) -> None:
    client = wired.client()

    said = client.query("SELECT set_config('transaction_read_only', 'on', true)")

    assert said == ["error 0A000 refused: session_state", "ready I"]


def test_a_lock_is_not_had_twice_with_nowait(wired: Wired) -> None:
    one, two = wired.client(), wired.client()
    one.query("BEGIN")
    one.query("LOCK TABLE t IN SHARE MODE")
    two.query("BEGIN")
    shared = two.query("LOCK TABLE t IN SHARE MODE NOWAIT")
    one.query("LOCK TABLE ONLY public.t")

    said = two.query("LOCK t NOWAIT")

    assert shared == ["LOCK TABLE", "ready T"]
    assert said == ["error 0A000 refused: not_skipped", "ready E"]


def test_answers_are_kept_until_the_client_asks_for_them(wired: Wired) -> None:
    client = wired.client()
    client.put(extended("SELECT 1"))
    wired.settle()
    before = client.client.holding

    said = client.send(SYNC)

    assert before
    assert not client.client.holding
    assert said == ["parsed", "bound", "row 1", "SELECT 1", "ready I"]


def test_a_query_may_follow_a_parse_without_a_sync_on_a_connection_of_ones_own() -> None:
    client = Client(1, b"key!", user="owner")
    direct = Direct(client)

    direct.take(wire.frames(parse("SELECT $1") + wire.FLUSH + wire.query("SELECT 2"))[0])
    direct.channel.receive(wire.PARSE_COMPLETE)
    direct.channel.receive(wire.row([b"2"]) + wire.complete("SELECT 1") + wire.READY[b"I"])

    assert answers(bytes(client.out)) == ["parsed", "row 2", "SELECT 1", "ready I"]
    assert direct.idle


@pytest.mark.parametrize("end", ["leave", "DISCARD TEMP", "DISCARD ALL"])
def test_temporary_tables_are_dropped_as_what_they_are(wired: Wired, end: str) -> None:
    one, two = wired.client(), wired.client()
    one.query("CREATE TEMP TABLE made (x int)")
    wired.take_sent()

    if end == "leave":
        one.leave()
    else:
        assert one.query(end) == [end, "ready I"]
    two.query("SELECT 1/0")
    two.query("SELECT 1")

    sent = " ".join(wired.take_sent())
    dropped = sent.index("relname = 'made'")
    assert sent.count("relname = 'made'") == 1
    assert dropped < sent.index("RELEASE SAVEPOINT pgh_2") < sent.index("SELECT 1/0")
