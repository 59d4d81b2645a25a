"""How the process that tests starts a proxy and gives it orders, and what it says where that fails."""

from __future__ import annotations

import os
from collections.abc import Iterator

import psycopg
import pytest

from pgharness.errors import HarnessError
from pgharness.proxy.control import Control
from pgharness.server.base import Address

pytestmark = pytest.mark.pg(allow_hosts=["127.0.0.1"])  # proxies beside the suite's own


@pytest.fixture
def control() -> Iterator[Control]:
    made = Control()
    yield made
    made.close()


def options(address: Address) -> dict[str, object]:
    server = {"host": address.host, "port": address.port, "user": address.user, "password": address.password}
    return {
        "server": {**server, "tls": False},
        "database": "tests",
        "user": address.user,
        "strict": False,
        "clock": False,
        "lock_timeout": 5.0,
    }


def test_it_serves_from_when_it_is_told_where_the_server_is(
    control: Control, server_address: Address
) -> None:
    assert not control.is_open
    control.tell("refuse", test="nobody hears this")
    control.launch()
    control.launch()
    assert control.is_open
    control.configure(options(server_address))
    control.ask("use", database="postgres")

    login = f"user={server_address.user} password={control.password} dbname=tests"
    with psycopg.connect(f"host={control.host} port={control.port} {login}") as connection:
        assert connection.execute("SELECT current_database()").fetchone() == ("postgres",)

    control.close()
    control.close()
    assert not control.is_open
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(f"host={control.host} port={control.port} {login}")


def test_what_it_cannot_do_it_says(control: Control, server_address: Address) -> None:
    control.launch()
    control.configure(options(server_address))

    with pytest.raises(HarnessError) as raised:
        control.ask("use", database="pgh_nowhere")

    assert str(raised.value) == (
        "pgharness: the proxy could not carry out 'use': database \"pgh_nowhere\" does not exist"
    )
    assert not control.has_ended


def test_a_proxy_that_fails_leaves_its_last_words(control: Control) -> None:
    control.launch()
    control.configure({})

    with pytest.raises(HarnessError) as raised:
        control.ask("use", database="postgres")

    assert str(raised.value) == (
        "pgharness: the proxy of this run has ended.\n"
        "It was killed, or it failed; every connection of the tests goes through it.\n"
        "Checked:\n"
        "  - it has said: KeyError: 'server'\n"
        "To fix this: run again"
    )
    assert control.has_ended


def test_a_child_of_a_fork_gives_no_orders(control: Control, server_address: Address) -> None:
    control.launch()
    control.configure(options(server_address))
    read, write = os.pipe()

    child = os.fork()
    if child == 0:
        os.write(write, b"open" if control.is_open else b"closed")
        os._exit(0)
    os.waitpid(child, 0)

    assert os.read(read, 10) == b"closed"
    assert control.ask("tls") == {"n": 1}
    os.close(read)
    os.close(write)


def test_a_port_is_its_own() -> None:
    one = Control()
    other = Control(port=one.port)
    try:
        one.launch()  # it listens there soon
        assert (one.is_taken, other.port) == (False, one.port)
    finally:
        one.close()
        other.close()
