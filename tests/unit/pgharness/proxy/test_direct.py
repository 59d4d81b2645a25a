"""A client on a connection for itself: passed on as it is, but for statements that are prepared again."""

from __future__ import annotations

import pytest

from pgharness.proxy.core import wire
from pgharness.proxy.core.client import Client
from pgharness.proxy.core.direct import Direct
from tests.support.wire_server import WireServer
from tests.support.wired import answers, bind, close, describe, execute, extended, parse

SYNC = wire.SYNC


class Alone:
    """One client, and the connections that it is given one after the other."""

    def __init__(self) -> None:
        self.client = Client(1, b"key!", user="owner")
        self.move({})

    def move(self, settings: dict[str, str]) -> None:
        """Go on with a new connection."""
        self.server = WireServer()
        self.direct = Direct(self.client)
        self.direct.begin(settings)
        self._settle()

    def send(self, data: bytes, *, cut: int = 0) -> list[str]:
        messages, _ = wire.frames(data)
        self.direct.take(messages[:cut])
        self.direct.take(messages[cut:])
        self._settle()
        said = answers(bytes(self.client.out))
        self.client.out.clear()
        return said

    def query(self, sql: str) -> list[str]:
        return self.send(wire.query(sql))

    def _settle(self) -> None:
        while self.direct.channel.out:
            data = bytes(self.direct.channel.out)
            self.direct.channel.out.clear()
            self.direct.channel.receive(self.server.receive(data))


@pytest.fixture
def alone() -> Alone:
    return Alone()


def test_everything_is_passed_on_as_it_is(alone: Alone) -> None:
    data = parse("SELECT $1", "s") + describe("S", "s") + bind("s", "p", "7") + execute("p") + SYNC

    said = alone.send(data)

    assert said == ["parsed", "parameters", "columns", "bound", "row 7", "SELECT 1", "ready I"]
    assert alone.server.log == ["P s SELECT $1", "D S s", "B p s", "E p", "S"]


@pytest.mark.parametrize("cut", range(6))
def test_where_a_group_is_cut_makes_no_difference(alone: Alone, cut: int) -> None:
    said = alone.send(
        extended("SELECT 1") + SYNC + wire.query("SELECT 2") + extended("SELECT 3") + SYNC, cut=cut
    )

    assert said == [
        "parsed", "bound", "row 1", "SELECT 1", "ready I", "columns", "row 2", "SELECT 1", "ready I",
        "parsed", "bound", "row 3", "SELECT 1", "ready I",
    ]  # fmt: skip


def test_whether_it_is_idle_is_known(alone: Alone) -> None:
    seen = [alone.direct.idle]
    for data in (
        wire.query("BEGIN"),
        wire.query("SELECT 1/0"),
        wire.query("ROLLBACK"),
        parse("SELECT 1"),
        SYNC,
    ):
        alone.send(data)
        seen.append(alone.direct.idle)

    assert seen == [True, False, False, True, False, True]


def test_what_was_prepared_elsewhere_is_prepared_when_it_is_used(alone: Alone) -> None:
    alone.send(parse("SELECT $1", "s") + parse("SELECT 2", "r") + parse("SELECT 3") + SYNC)
    alone.move({})

    said = [
        alone.send(bind("s", "", "7") + execute() + SYNC),
        alone.send(describe("S", "s") + bind("s", "", "8") + execute() + SYNC),
        alone.send(bind("r") + execute() + SYNC),
    ]

    assert said == [
        ["bound", "row 7", "SELECT 1", "ready I"],
        ["parameters", "columns", "bound", "row 8", "SELECT 1", "ready I"],
        ["bound", "row 2", "SELECT 1", "ready I"],
    ]
    assert [line for line in alone.server.log if line.startswith("P ")] == ["P s SELECT $1", "P r SELECT 2"]


@pytest.mark.parametrize(
    "how", [close("S", "s") + SYNC, wire.query("DEALLOCATE s"), wire.query("DISCARD ALL")]
)
def test_what_has_been_given_up_is_not_prepared_again(alone: Alone, how: bytes) -> None:
    alone.send(parse("SELECT 1", "s") + SYNC)
    alone.direct.take(wire.frames(how)[0])
    alone.move({})

    assert alone.send(bind("s") + SYNC)[-2:] == [
        'error 26000 prepared statement "s" does not exist',
        "ready I",
    ]


def test_what_failed_to_be_prepared_is_not_either(alone: Alone) -> None:
    alone.send(parse("nonsense", "s") + parse("SELECT 1", "r") + SYNC)
    alone.move({})

    assert [alone.send(bind(name) + SYNC) for name in ("s", "r")] == [
        [f'error 26000 prepared statement "{name}" does not exist', "ready I"] for name in ("s", "r")
    ]


def test_what_is_prepared_again_in_a_failed_transaction_is_prepared_later(alone: Alone) -> None:
    alone.send(parse("SELECT 1", "s") + SYNC)
    alone.move({})
    alone.query("BEGIN; SELECT 1/0")

    failed = alone.send(bind("s") + execute() + SYNC)
    alone.query("ROLLBACK")

    assert failed == ["error 25P02 current transaction is aborted", "ready E"]
    assert alone.send(bind("s") + execute() + SYNC) == ["bound", "row 1", "SELECT 1", "ready I"]


def test_the_parameters_of_its_session_go_with_it(alone: Alone) -> None:
    alone.move({"role": "reader", "app.x": "it's", "session_authorization": "app"})

    seen = [alone.query(f"SHOW {name}")[1] for name in ("role", "session_authorization", "app.x")]

    assert seen == ["row reader", "row app", "row it's"]


def test_a_copy_is_passed_on(alone: Alone) -> None:
    data, done = wire.message(b"d", b"1\n"), wire.message(b"c")

    said = [
        alone.query("COPY t FROM STDIN"),
        alone.send(data + done),
        alone.send(extended("COPY t FROM STDIN") + SYNC),
        alone.send(wire.message(b"d", b"2\n") + done + SYNC),
        alone.query("SELECT x FROM t"),
    ]

    assert said == [
        ["copy in"],
        ["COPY 1", "ready I"],
        ["parsed", "bound", "copy in"],
        ["COPY 1", "ready I"],
        ["columns", "row 1", "row 2", "SELECT 2", "ready I"],
    ]
