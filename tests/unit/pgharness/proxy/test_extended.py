"""The extended protocol through the shared core: statements and portals of several clients."""

from __future__ import annotations

import pytest

from pgharness.proxy.core import wire
from tests.support.wired import Wired, bind, close, describe, execute, extended, parse

SYNC = wire.SYNC


@pytest.fixture
def wired() -> Wired:
    return Wired()


# -- statements and portals -----------------------------------------------------------------------


def test_a_statement_is_prepared_described_and_executed(wired: Wired) -> None:
    client = wired.client()

    prepared = client.send(parse("SELECT $1", "s") + describe("S", "s") + SYNC)
    executed = [client.send(bind("s", "", value) + execute() + SYNC) for value in ("7", "8")]

    assert prepared == ["parsed", "parameters", "columns", "ready I"]
    assert executed == [["bound", f"row {value}", "SELECT 1", "ready I"] for value in ("7", "8")]
    assert wired.take_sent()[:3] == ["Q BEGIN; SAVEPOINT pgh_1", "P pgh_1 SELECT $1", "D S pgh_1"]


def test_the_same_names_are_each_clients_own(wired: Wired) -> None:
    one, two = wired.client(), wired.client()
    one.send(parse("SELECT 1") + parse("SELECT 3", "s") + SYNC)
    two.send(parse("SELECT 2") + parse("SELECT 4", "s") + SYNC)

    said = [client.send(bind() + execute() + bind("s", "p") + execute("p") + SYNC) for client in (one, two)]

    assert [[line for line in lines if line.startswith("row")] for lines in said] == [
        ["row 1", "row 3"],
        ["row 2", "row 4"],
    ]


def test_a_simple_query_drops_the_unnamed_statement_of_its_client_alone(wired: Wired) -> None:
    one, two = wired.client(), wired.client()
    for client in (one, two):
        client.send(parse("SELECT 1") + SYNC)
    one.query("SELECT 5")

    assert one.send(bind() + SYNC) == ["error 26000 unnamed prepared statement does not exist", "ready I"]
    assert two.send(bind() + execute() + SYNC) == ["bound", "row 1", "SELECT 1", "ready I"]


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        (bind("nope"), 'error 26000 prepared statement "nope" does not exist'),
        (describe("S", "nope"), 'error 26000 prepared statement "nope" does not exist'),
        (describe("P", "nope"), 'error 34000 portal "nope" does not exist'),
        (execute("nope"), 'error 34000 portal "nope" does not exist'),
        (execute(), 'error 34000 portal "" does not exist'),
        (describe("P"), 'error 34000 portal "" does not exist'),
    ],
)
def test_an_unknown_name_is_an_error(wired: Wired, messages: bytes, said: str) -> None:
    one, two = wired.client(), wired.client()
    two.query("BEGIN")
    two.send(parse("SELECT 1", "nope") + bind("nope", "nope") + parse("SELECT 1") + bind() + SYNC)

    assert one.send(messages + SYNC) == [said, "ready I"]


def test_a_name_that_is_taken_is_an_error(wired: Wired) -> None:
    client = wired.client()
    client.query("BEGIN")
    client.send(parse("SELECT 1", "s") + bind("s", "p") + SYNC)

    assert client.send(parse("SELECT 2", "s") + SYNC) == [
        'error 42P05 prepared statement "s" already exists',
        "ready E",
    ]
    client.query("ROLLBACK")
    client.query("BEGIN")
    assert client.send(bind("s", "p") + bind("s", "p") + SYNC) == [
        "bound",
        'error 42P03 cursor "p" already exists',
        "ready E",
    ]


@pytest.mark.parametrize("kind", [b"D", b"C"])
def test_a_zero_within_a_name_ends_it(wired: Wired, kind: bytes) -> None:
    said = wired.client().send(wire.message(kind, b"Sa\0\xef\0") + SYNC)

    assert said == [
        'error 26000 prepared statement "a" does not exist' if kind == b"D" else "closed",
        "ready I",
    ]


@pytest.mark.parametrize("name", [b"\xff", b"\xc3", "ä".encode(), b'"', b"pgh_1"])
def test_a_name_may_be_any_bytes(wired: Wired, name: bytes) -> None:
    client = wired.client()
    made = wire.parse(name, b"SELECT 1\0\0\0")

    assert client.send(made + SYNC) == ["parsed", "ready I"]
    assert client.send(made + SYNC)[0].startswith("error 42P05 ")
    assert client.send(wire.close(b"S", name) + SYNC) == ["closed", "ready I"]
    assert client.send(made + SYNC) == ["parsed", "ready I"]


def test_a_portal_is_executed_in_parts(wired: Wired) -> None:
    one, two = wired.client(), wired.client()
    one.query("BEGIN")
    one.send(parse("SELECT generate_series(1, 3)", "s") + bind("s", "p") + SYNC)

    said = []
    for _ in range(2):
        said.append(one.send(execute("p", 2) + SYNC))
        two.query("SELECT 5")

    assert said == [
        ["row 1", "row 2", "suspended", "ready T"],
        ["row 3", "SELECT 3", "ready T"],
    ]


def test_a_portal_ends_with_its_transaction(wired: Wired) -> None:
    client = wired.client()
    client.query("BEGIN")
    client.send(parse("SELECT 1", "s") + bind("s", "p") + SYNC)
    client.query("COMMIT")

    assert client.send(execute("p") + SYNC) == ['error 34000 portal "p" does not exist', "ready I"]
    client.query("SELECT 1")
    assert wired.server.portals == {}


def test_a_portal_outside_of_a_block_ends_with_the_sync(wired: Wired) -> None:
    client = wired.client()
    client.send(parse("SELECT 1", "s") + bind("s", "p") + SYNC)

    assert client.send(execute("p") + SYNC) == ['error 34000 portal "p" does not exist', "ready I"]


def test_a_closed_statement_leaves_the_server(wired: Wired) -> None:
    client = wired.client()
    for _ in range(5):
        client.send(parse("SELECT 1", "s") + bind("s") + execute() + close("S", "s") + SYNC)
    client.send(extended("SELECT 2") + SYNC)

    assert [prepared.sql for prepared in wired.server.prepared.values()] == ["SELECT 2"]


def test_an_unnamed_statement_takes_the_place_of_the_last(wired: Wired) -> None:
    client = wired.client()
    for number in range(20):
        client.send(extended(f"SELECT {number}") + SYNC)

    assert len(wired.server.prepared) <= 2
    assert wired.server.portals == {}


def test_an_empty_statement_is_one(wired: Wired) -> None:
    assert wired.client().send(extended("") + SYNC) == ["parsed", "bound", "empty", "ready I"]
