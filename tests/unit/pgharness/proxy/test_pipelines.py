"""Pipelines and Flush in the extended protocol."""

from __future__ import annotations

import pytest

from pgharness.proxy.core import wire
from tests.support.wired import Wired, bind, describe, execute, extended, parse

SYNC, FLUSH = wire.SYNC, wire.FLUSH


@pytest.fixture
def wired() -> Wired:
    return Wired()


def test_an_error_skips_up_to_the_sync(wired: Wired) -> None:
    one, two = wired.client(), wired.client()

    said = one.send(
        extended("INSERT INTO t VALUES (1)") + extended("SELECT 1/0") + extended("SELECT 2") + SYNC
        + extended("SELECT 3") + SYNC
    )  # fmt: skip

    assert said == [
        "parsed", "bound", "INSERT 0 1", "parsed", "bound", "error 22012 division by zero", "ready I",
        "parsed", "bound", "row 3", "SELECT 1", "ready I",
    ]  # fmt: skip
    assert two.query("SELECT x FROM t") == ["columns", "SELECT 0", "ready I"]


def test_a_pipeline_may_begin_and_commit(wired: Wired) -> None:
    one, two = wired.client(), wired.client()

    said = one.send(
        extended("BEGIN") + extended("INSERT INTO t VALUES ($1)", "1") + extended("COMMIT")
        + extended("SELECT 2") + SYNC
    )  # fmt: skip

    assert said == [
        "parsed", "bound", "BEGIN", "parsed", "bound", "INSERT 0 1", "parsed", "bound", "COMMIT",
        "parsed", "bound", "row 2", "SELECT 1", "ready I",
    ]  # fmt: skip
    assert two.query("SELECT x FROM t") == ["columns", "row 1", "SELECT 1", "ready I"]


def test_what_fails_behind_a_begin_in_a_pipeline_fails_the_block(wired: Wired) -> None:
    client = wired.client()

    said = client.send(extended("BEGIN") + SYNC + extended("SELECT 1/0") + SYNC + extended("COMMIT") + SYNC)

    assert [line for line in said if line not in ("parsed", "bound")] == [
        "BEGIN", "ready T", "error 22012 division by zero", "ready E", "ROLLBACK", "ready I",
    ]  # fmt: skip


def test_control_statements_are_described(wired: Wired) -> None:
    client = wired.client()

    said = client.send(parse("BEGIN", "b") + describe("S", "b") + bind("b", "p") + describe("P", "p") + SYNC)

    assert said == ["parsed", "parameters", "no data", "bound", "no data", "ready I"]
    assert wired.take_sent() == []


def test_a_parse_that_fails_prepares_nothing(wired: Wired) -> None:
    client = wired.client()

    said = client.send(parse("nonsense", "s") + parse("SELECT 1", "r") + SYNC)

    assert said == ["error 42601 syntax error at 'nonsense', at 1", "ready I"]
    for name in ("s", "r"):
        assert client.send(bind(name) + SYNC)[0] == f'error 26000 prepared statement "{name}" does not exist'


def test_several_statements_cannot_be_prepared(wired: Wired) -> None:
    said = wired.client().send(parse("SELECT 1; SELECT 2") + SYNC)

    assert said == ["error 42601 cannot insert multiple commands into a prepared statement, at 1", "ready I"]


@pytest.mark.parametrize(
    "message",
    [
        wire.message(b"P", b"no end"),
        wire.message(b"P", b"s\0no end"),
        wire.message(b"P", b"s\0SELECT 1\0"),
        wire.message(b"B", b""),
        wire.message(b"B", b"p\0"),
        wire.message(b"B", b"\0s\0"),
        wire.message(b"B", b"\0s\0\0\1"),
        wire.message(b"E", b"no end"),
        wire.message(b"E", b"\0"),
        wire.message(b"D", b"X\0"),
        wire.message(b"D", b""),
    ],
)
@pytest.mark.parametrize("waits", [False, True])
def test_a_malformed_message_is_an_error_of_its_client(wired: Wired, message: bytes, *, waits: bool) -> None:
    one, two = wired.client(), wired.client()
    one.send(parse("SELECT 7", "s") + SYNC)
    if waits:
        two.put(wire.query("SELECT 5"))

    said = one.send(message + SYNC)

    assert said[-1] == "ready I"
    assert said[-2].startswith("error ")
    assert two.answers() == (["columns", "row 5", "SELECT 1", "ready I"] if waits else [])
    assert one.send(bind("s") + execute() + SYNC) == ["bound", "row 7", "SELECT 1", "ready I"]


# -- Flush ---------------------------------------------------------------------------------------


def test_a_flush_holds_nobody_up(wired: Wired) -> None:
    one, two = wired.client(), wired.client()

    flushed = one.send(parse("INSERT INTO t VALUES (1)") + describe("S") + FLUSH)
    other = two.query("SELECT 5")
    rest = one.send(bind() + execute() + SYNC)

    assert flushed == ["parsed", "parameters", "no data"]
    assert other == ["columns", "row 5", "SELECT 1", "ready I"]
    assert rest == ["bound", "INSERT 0 1", "ready I"]


def test_a_portal_is_bound_in_one_packet_and_executed_in_the_next(wired: Wired) -> None:
    client = wired.client()

    said = [client.send(part) for part in (parse("SELECT 5") + bind() + FLUSH, execute() + SYNC)]

    assert said == [["parsed", "bound"], ["row 5", "SELECT 1", "ready I"]]


def test_an_error_before_the_sync_is_told_at_once(wired: Wired) -> None:
    one, two = wired.client(), wired.client()

    said = [one.send(part) for part in (extended("SELECT 1/0") + FLUSH, extended("SELECT 1") + FLUSH, SYNC)]

    assert said == [["parsed", "bound", "error 22012 division by zero"], [], ["ready I"]]
    assert two.query("SELECT 5") == ["columns", "row 5", "SELECT 1", "ready I"]


def test_what_was_flushed_and_never_ended_is_undone_with_its_client(wired: Wired) -> None:
    one, two = wired.client(), wired.client()
    one.send(extended("INSERT INTO t VALUES (1)") + FLUSH)
    two.query("SELECT 5")

    one.leave()

    assert two.query("SELECT x FROM t") == ["columns", "SELECT 0", "ready I"]
    assert wired.end() == []
