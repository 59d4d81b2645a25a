"""A read that is sent again is answered by the short way as by the long one, whatever has happened before."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pgharness.proxy.core import wire
from pgharness.proxy.core.client import Prepared
from pgharness.proxy.core.running import Facts
from pgharness.proxy.core.statements import SetConfig, read
from tests.support.wired import FACTS, Sender, Wired, bind, describe, execute, extended, parse

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


@pytest.mark.parametrize(
    "scenario", [alone, in_a_block, failing_alone, failing_in_a_block, failing_after_a_savepoint]
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


def of_a_flush(_: Wired, one: Sender, two: Sender) -> Steps:
    one.query("SELECT 1")
    prepare(one, "SELECT 5")
    yield one.send(describe("S", "s") + wire.FLUSH)
    yield one.send(AGAIN)
    yield two.query("INSERT INTO t VALUES (1)")
    yield one.send(parse("SELECT 1/0") + bind() + execute() + SYNC)
    yield two.query("SELECT x FROM t")


def above_anothers_commit(_: Wired, one: Sender, two: Sender) -> Steps:
    one.send(parse("SELECT 1/0", "s") + SYNC)
    yield one.query("BEGIN; SELECT 1")
    yield two.query("INSERT INTO t VALUES (1)")
    yield one.send(AGAIN)
    yield two.query("SELECT x FROM t")


def above_anothers_block(_: Wired, one: Sender, two: Sender) -> Steps:
    one.send(parse("SELECT 1/0", "s") + SYNC)
    yield one.query("BEGIN; SELECT 1")
    yield two.query("BEGIN; INSERT INTO t VALUES (1)")
    yield one.send(AGAIN)
    yield two.query("COMMIT")
    yield two.query("SELECT x FROM t")


def beside_an_open_block(_: Wired, one: Sender, two: Sender) -> Steps:
    prepare(two, "SELECT x FROM t")
    yield one.query("BEGIN; INSERT INTO t VALUES (1)")
    yield two.send(AGAIN)
    yield one.query("COMMIT")


def after_a_commit(_: Wired, one: Sender, two: Sender) -> Steps:
    two.send(parse("SELECT 1/0", "s") + SYNC)
    yield one.query("INSERT INTO t VALUES (1)")
    yield two.send(AGAIN)
    yield one.query("SELECT x FROM t")


def with_parameters(_: Wired, one: Sender, two: Sender) -> Steps:
    for client in (one, two):
        prepare(client, "SELECT current_setting('app.x', true)")
    yield one.query("SET app.x = '1'")
    for client in (two, one, two, two, one):
        yield client.send(AGAIN)


def with_local_parameters(_: Wired, one: Sender, two: Sender) -> Steps:
    for client in (one, two):
        prepare(client, "SELECT current_setting('app.x', true)")
    yield one.query("BEGIN; SET LOCAL app.x = '1'")
    yield one.send(AGAIN)
    yield one.query("COMMIT")
    for client in (one, two, one):
        yield client.send(AGAIN)


def with_characteristics(_: Wired, one: Sender, two: Sender) -> Steps:
    prepare(one, "SELECT current_setting('transaction_read_only', true)")
    yield two.query("SELECT 1")
    yield one.query("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
    for _turn in range(3):
        yield one.send(AGAIN)


def where_one_was_read_only(_: Wired, one: Sender, two: Sender) -> Steps:
    prepare(two, "SELECT current_setting('transaction_read_only', true)")
    yield one.query("BEGIN READ ONLY; SELECT 1/0")
    yield one.query("ROLLBACK")
    yield two.query("SELECT 1")
    yield two.send(AGAIN)


def in_a_failed_block(_: Wired, one: Sender, __: Sender) -> Steps:
    prepare(one, "SELECT 5")
    yield one.query("BEGIN; SAVEPOINT a; SELECT 1/0")
    yield one.send(AGAIN)
    yield one.query("ROLLBACK TO a")
    yield one.send(AGAIN)


def in_a_block_of_an_earlier_test(wired: Wired, one: Sender, _: Sender) -> Steps:
    prepare(one, "SELECT 5")
    yield one.query("BEGIN; SELECT 1")
    yield [args[0] for args in wired.end()]
    wired.begin("test_y")
    wired.client().query("SELECT 1")
    yield one.send(AGAIN)


def in_a_test_that_has_not_asked(wired: Wired, one: Sender, _: Sender) -> Steps:
    prepare(one, "SELECT 5")
    wired.shared.refused_test = "test_z"
    yield one.send(AGAIN)


def between_tests(wired: Wired, one: Sender, _: Sender) -> Steps:
    prepare(one, "SELECT 5")
    yield [args[0] for args in wired.end()]
    for _turn in range(2):
        yield one.send(AGAIN)
    wired.begin("test_y")
    yield one.send(AGAIN)


def of_anothers_temporary_table(_: Wired, one: Sender, two: Sender) -> Steps:
    prepare(two, "SELECT x FROM tt")
    yield one.query("CREATE TEMP TABLE tt (x int)")
    yield two.query("SELECT 1")
    yield two.send(AGAIN)


def where_all_is_lost(_: Wired, one: Sender, two: Sender) -> Steps:
    prepare(two, "SELECT 5")
    yield one.query("BEGIN; INSERT INTO t VALUES (1)")
    yield two.query("BEGIN; INSERT INTO t VALUES (2)")
    yield one.query("ROLLBACK")
    yield two.query("COMMIT")
    yield two.send(AGAIN)


def over_an_open_portal(_: Wired, one: Sender, __: Sender) -> Steps:
    prepare(one, "SELECT 5")
    yield one.query("BEGIN; SELECT 1")
    yield one.send(parse("SELECT generate_series(1, 3)") + bind() + execute("", 1) + SYNC)
    yield one.send(AGAIN)
    yield one.send(execute() + SYNC)


def of_some_rows(_: Wired, one: Sender, __: Sender) -> Steps:
    prepare(one, "SELECT generate_series(1, 3)")
    yield one.query("BEGIN; SELECT 1")
    yield one.send(bind("s") + execute("", 1) + SYNC)
    yield one.send(execute("", 1) + SYNC)


def of_what_is_not_prepared(_: Wired, one: Sender, __: Sender) -> Steps:
    yield one.send(AGAIN)
    yield one.send(extended("SELECT 5") + SYNC)


NOT_TAKEN: list[Scenario] = [
    *(of_a_flush, above_anothers_commit, above_anothers_block, beside_an_open_block, after_a_commit),
    *(with_parameters, with_local_parameters, with_characteristics, where_one_was_read_only),
    *(in_a_failed_block, in_a_block_of_an_earlier_test, in_a_test_that_has_not_asked, between_tests),
    *(of_anothers_temporary_table, where_all_is_lost, over_an_open_portal, of_some_rows),
    of_what_is_not_prepared,
]


@pytest.mark.parametrize("scenario", NOT_TAKEN)
def test_where_something_is_to_be_decided_both_ways_say_the_same(scenario: Scenario) -> None:
    facts = dataclasses.replace(FACTS, strict="error")
    long, _ = play(scenario, facts, short=False)

    short, _ = play(scenario, facts, short=True)

    assert short == long


def test_each_read_is_told_the_time() -> None:
    facts = dataclasses.replace(FACTS, clock=True)

    def with_a_clock(_: Wired, one: Sender, __: Sender) -> Steps:
        prepare(one, "SELECT current_setting('pgharness.now', true)")
        for _turn in range(3):
            yield one.send(AGAIN)

    assert play(with_a_clock, facts, short=True) == play(with_a_clock, facts, short=False)


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
