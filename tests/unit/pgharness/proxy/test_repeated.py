"""A read that is sent again is answered by the short way as by the long one, whatever has happened before."""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pgharness.proxy.core import wire
from pgharness.proxy.core.client import Prepared
from pgharness.proxy.core.refusals import Refused
from pgharness.proxy.core.running import Facts
from pgharness.proxy.core.statements import SetConfig, read
from tests.support.wired import FACTS, Sender, Wired, bind, describe, execute, parse

SYNC = wire.SYNC
AGAIN = bind("s") + execute() + SYNC
DESCRIBED = bind("s") + describe("P") + execute() + SYNC
Steps = Iterator[object]
Scenario = Callable[[Wired, Sender, Sender], Steps]


def prepare(client: Sender, sql: str) -> list[str]:
    """Prepare ``sql`` as ``s``, and run it once."""
    return client.send(parse(sql, "s") + bind("s") + execute() + SYNC)


def play(scenario: Scenario, facts: Facts, *, short: bool) -> tuple[list[object], int]:
    """What the clients are answered, the report of the test, and how often the short way was taken."""
    wired = Wired(facts)
    taken = 0
    take = wired.shared.repeated.take
    times = itertools.count()
    wired.shared.now = lambda: f"moment {next(times)}"

    def counted(client: Any) -> bool:
        nonlocal taken
        done = short and take(client)
        taken += done
        return done

    wired.shared.repeated.take = counted  # type: ignore[method-assign]  # to know when it is taken
    said: list[object] = list(scenario(wired, wired.client(), wired.client()))
    said.append([args[0] for args in wired.end()])
    return said, taken


# -- the short way is taken ----------------------------------------------------------------------------


def alone(_: Wired, one: Sender, two: Sender) -> Steps:
    prepare(one, "SELECT 5")
    for group in (AGAIN, DESCRIBED, AGAIN):
        yield one.send(group)
    yield two.query("SELECT 6")


def in_a_block(_: Wired, one: Sender, two: Sender) -> Steps:
    prepare(one, "SELECT 5")
    yield one.query("BEGIN; INSERT INTO t VALUES (1)")
    for group in (AGAIN, DESCRIBED, AGAIN):
        yield one.send(group)
    yield one.query("COMMIT")
    yield two.query("SELECT x FROM t")


def failing_alone(_: Wired, one: Sender, two: Sender) -> Steps:
    yield one.query("INSERT INTO t VALUES (1)")
    yield prepare(one, "SELECT 1/0")
    for _turn in range(2):
        yield two.query("SELECT 6")
        yield one.send(AGAIN)
        yield two.query("SELECT x FROM t")


def failing_in_a_block(_: Wired, one: Sender, two: Sender) -> Steps:
    one.send(parse("SELECT 1/0", "s") + SYNC)
    yield two.query("INSERT INTO t VALUES (1)")
    yield one.query("BEGIN; INSERT INTO t VALUES (2)")
    yield one.send(AGAIN)
    yield one.send(AGAIN)
    yield two.query("SELECT x FROM t")
    yield one.query("COMMIT")
    yield two.query("SELECT x FROM t")


def failing_after_a_savepoint(_: Wired, one: Sender, two: Sender) -> Steps:
    one.send(parse("SELECT 1/0", "s") + SYNC)
    yield one.query("BEGIN; SELECT 1")
    yield one.send(AGAIN)
    yield one.query("ROLLBACK")
    yield two.query("SELECT 6")


def of_one_row(_: Wired, one: Sender, two: Sender) -> Steps:
    """As asyncpg's fetchrow and fetchval have it."""
    one.send(parse("SELECT generate_series(1, 3)", "s") + SYNC)
    for _turn in range(3):
        yield one.send(bind("s") + execute("", 1) + SYNC)
        yield two.query("SELECT 6")


@pytest.mark.parametrize(
    "scenario",
    [alone, in_a_block, failing_alone, failing_in_a_block, failing_after_a_savepoint, of_one_row],
)
def test_the_short_way_leads_where_the_long_one_does(scenario: Scenario) -> None:
    long, _ = play(scenario, FACTS, short=False)

    short, taken = play(scenario, FACTS, short=True)

    assert short == long
    assert taken >= 1


def test_the_short_way_sends_nothing_but_the_read() -> None:
    wired = Wired()
    one = wired.client()
    prepare(one, "SELECT 5")
    wired.take_sent()

    one.send(AGAIN)

    assert len(wired.take_sent()) == len(["Bind", "Execute", "Close", "Sync"])


# -- it is not taken where something has to be decided ------------------------------------------------------


def of_rows_that_are_left(_: Wired, one: Sender, two: Sender) -> Steps:
    prepare(one, "SELECT generate_series(1, 3)")
    yield one.query("BEGIN; SELECT 1")
    for group in (bind("s") + execute("", 1), execute("", 1), bind("s") + execute()):
        yield one.send(group + SYNC)
        yield one.send(execute("", 1) + SYNC)


def of_another_portal(_: Wired, one: Sender, two: Sender) -> Steps:
    prepare(one, "SELECT 5")
    yield one.query("BEGIN; SELECT 1")
    yield one.send(bind("s", "p") + SYNC)
    yield one.send(bind("s") + execute("p") + SYNC)


def of_what_is_cut_off(_: Wired, one: Sender, two: Sender) -> Steps:
    prepare(one, "SELECT 5")
    yield one.send(bind("s") + wire.execute(b"", b"\0\0") + SYNC)
    yield one.send(AGAIN)


def of_anothers_temporary_table(_: Wired, one: Sender, two: Sender) -> Steps:
    prepare(one, "SELECT x FROM tt")
    prepare(two, "SELECT 5")
    yield two.query("CREATE TEMP TABLE tt (x int)")
    yield two.send(AGAIN)
    yield one.send(AGAIN)


def of_what_no_sql_can_undo(wired: Wired, one: Sender, two: Sender) -> Steps:
    prepare(one, "SELECT 5")
    wired.shared.scope.stack.diverged = Refused("interrupted")
    yield one.send(AGAIN)
    yield two.query("SELECT 6")


@pytest.mark.parametrize(
    "scenario",
    [
        of_rows_that_are_left,
        of_another_portal,
        of_what_is_cut_off,
        of_anothers_temporary_table,
        of_what_no_sql_can_undo,
    ],
)
def test_where_something_has_to_be_decided_it_is_said_the_same(scenario: Scenario) -> None:
    long, _ = play(scenario, FACTS, short=False)

    short, _ = play(scenario, FACTS, short=True)

    assert short == long


READS = {
    "table": "SELECT x FROM t",
    "fails": "SELECT 1/0",
    "app": "SELECT current_setting('app.x', true)",
    "access": "SELECT current_setting('transaction_read_only', true)",
    "clock": "SELECT current_setting('pgharness.now', true)",
    "isolation": "SELECT current_setting('transaction_isolation', true)",
    "rows": "SELECT generate_series(1, 3)",
    "nothing": "",
    "writes": "INSERT INTO t VALUES (7)",
}
QUERIES = (
    *("SELECT 6", "SELECT x FROM t", "SELECT 1/0", "SELECT x FROM tt"),
    *("INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (2)", "INSERT INTO t VALUES (3)"),
    *("BEGIN", "BEGIN READ ONLY", "BEGIN; SELECT 1", "BEGIN READ ONLY; SELECT 1", "COMMIT", "ROLLBACK"),
    *("SAVEPOINT a", "ROLLBACK TO a", "RELEASE a", "BEGIN; INSERT INTO t VALUES (4)"),
    *("SET app.x = '1'", "SET LOCAL app.x = '2'", "RESET ALL", "CREATE TEMP TABLE tt (x int)"),
    *("DECLARE c CURSOR FOR SELECT x FROM t", "FETCH c"),
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ",
)
GROUPS: dict[str, Callable[[str], bytes]] = {
    "described": lambda name: bind(name) + describe("P") + execute() + SYNC,
    "flushed": lambda name: describe("S", name) + wire.FLUSH,
    "suspended": lambda name: bind(name) + execute("", 1) + SYNC,
    "resumed": lambda _: execute() + SYNC,
    "parsed": lambda name: parse(READS[name]) + bind() + execute() + SYNC,
    "synced": lambda _: SYNC,
}


def program(chance: random.Random, wired: Wired, *clients: Sender) -> Steps:
    """What two clients do, in a test and after it."""
    for client in clients:
        for name, sql in READS.items():
            client.send(parse(sql, name) + SYNC)
            client.send(bind(name) + execute() + SYNC)
    for _ in range(chance.randint(4, 14)):
        client, what, name = chance.choice(clients), chance.random(), chance.choice(list(READS))
        if what < 0.4:
            yield name, client.send(bind(name) + execute() + SYNC)
        elif what < 0.8:
            sql = chance.choice(QUERIES)
            yield sql, client.query(sql)
        elif what < 0.95:
            kind = chance.choice(list(GROUPS))
            yield kind, name, client.send(GROUPS[kind](name))
        elif what < 0.97:
            wired.shared.refused_test = chance.choice(["", "test_z"])
        elif wired.shared.scope.id:
            yield "end", [args[0] for args in wired.end()]
        else:
            wired.begin("test_y")


@pytest.mark.parametrize("clock", [False, True])
@pytest.mark.parametrize("first", range(0, 1000, 100))
def test_whatever_has_happened_both_ways_say_the_same(first: int, *, clock: bool) -> None:
    facts = dataclasses.replace(FACTS, strict=True, clock=clock)
    for seed in range(first, first + 100):

        def scenario(wired: Wired, one: Sender, two: Sender, seed: int = seed) -> Steps:
            return program(random.Random(seed), wired, one, two)  # noqa: S311 - a seed is what is wanted

        long, _ = play(scenario, facts, short=False)

        short, _ = play(scenario, facts, short=True)

        assert short == long, f"seed {seed}"


# -- it is not taken by a statement that does more than read -------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO t VALUES (1)",
        "SELECT set_config('app.x', '1', true)",
        "SELECT tenant(1)",
        "SELECT bump(1)",
        "SELECT x FROM t FOR UPDATE",
        "SELECT pg_advisory_lock(1)",
        "SELECT pg_notify('c', '')",
        "SELECT pg_terminate_backend(1)",
        "SHOW app.x",
    ],
)
def test_what_does_more_than_read_takes_the_long_way(sql: str) -> None:
    setting = (SetConfig("app.tenant", is_local=True),)
    wired = Wired(dataclasses.replace(FACTS, writers=frozenset({"bump"}), setters={"tenant": setting}))

    assert not wired.shared.repeated._only_reads(Prepared(b"", read(sql)))


def test_a_function_that_a_test_makes_is_known_from_then_on() -> None:
    wired = Wired()
    one = wired.client()
    prepare(one, "SELECT tenant(1)")
    prepared = one.client.statements[b"s"]
    before = wired.shared.repeated._only_reads(prepared)
    wired.shared.effects._made["tenant"] = (SetConfig("app.tenant", is_local=True),)
    wired.shared.effects.functions += 1

    assert (before, wired.shared.repeated._only_reads(prepared)) == (True, False)
