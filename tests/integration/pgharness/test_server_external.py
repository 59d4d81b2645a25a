"""A server that somebody else runs."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import asyncpg
import pytest

from pgharness.config import Config
from pgharness.errors import ServerError
from pgharness.server import choose, failures
from pgharness.server.background import background
from pgharness.server.base import Address, Server
from pgharness.server.external import _explained
from pgharness.server.reservation import bind
from tests.support.server_runs import make_config

pytestmark = pytest.mark.pg(allow_hosts=["127.0.0.1", "nosuchhost.invalid"])


@pytest.fixture(scope="module")
def somebodys() -> Iterator[Server]:
    config = make_config(backend="local")
    server = choose.start(config, choose.reserve(config))
    try:
        execute(
            server.address, "create role plain login password 'p%40 ss'", "create role maker login createdb"
        )
        execute(server.address, "alter role maker password 'm'")
        yield server
    finally:
        server.stop()


def execute(address: Address, *statements: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(address.url())
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    background.run(run())


def config_for(
    server: Server, *, user: str, password: str, database: str = "postgres", **options: str
) -> Config:
    address = Address(server.address.host, server.address.port, user, password, database)
    return make_config(url=address.url(), **options)


def failure(config: Config) -> ServerError:
    with pytest.raises(ServerError) as caught:
        choose.start(config, choose.reserve(config))
    return caught.value


@pytest.mark.parametrize("backend", ["auto", "external"])
def test_a_url_is_used_and_the_server_never_stopped(somebodys: Server, backend: str) -> None:
    config = config_for(somebodys, user="maker", password="m", backend=backend)

    server = choose.start(config, choose.reserve(config))
    server.stop()

    assert (server.backend, server.version, server.owned) == ("external", somebodys.version, False)
    assert server.detail == f"at 127.0.0.1:{somebodys.address.port}"
    assert choose.start(config, choose.reserve(config)).version == somebodys.version


def test_a_dead_url() -> None:
    with bind(0) as silent:
        port = silent.getsockname()[1]

        assert str(failure(make_config(url=f"postgresql://u:secret@127.0.0.1:{port}/d"))) == (
            f"pgharness: no PostgreSQL server answers at 127.0.0.1:{port} (pg_url).\n"
            "The system says: Connection refused\n"
            "To fix this, either:\n"
            "  - start it, or correct host and port in --pg-url\n"
            "  - let the harness start one: drop pg_url"
        )


def test_a_host_that_does_not_exist() -> None:
    error = failure(make_config(url="postgresql://u:secret@nosuchhost.invalid/d"))

    assert error.failed == "no PostgreSQL server answers at nosuchhost.invalid:5432 (pg_url)."


def test_a_url_behind_which_nobody_speaks() -> None:
    with bind(0) as mute:
        mute.listen()
        port = mute.getsockname()[1]

        error = failure(make_config(url=f"postgresql://u:secret@127.0.0.1:{port}/d", start_timeout="0.2"))

    assert str(error) == (
        f"pgharness: no PostgreSQL server answers at 127.0.0.1:{port} (pg_url).\n"
        "The system says: no answer within 0.2 s\n"
        "To fix this, either:\n"
        "  - start it, or correct host and port in --pg-url\n"
        "  - let the harness start one: drop pg_url"
    )


def test_a_wrong_password(somebodys: Server) -> None:
    error = failure(config_for(somebodys, user="maker", password="wrong-secret"))

    assert str(error) == (
        f"pgharness: the server at 127.0.0.1:{somebodys.address.port} (pg_url) refuses user 'maker'.\n"
        'The server says: password authentication failed for user "maker"\n'
        "To fix this: correct user and password in --pg-url (special characters percent-encoded)"
    )


def test_a_database_that_is_not_there(somebodys: Server) -> None:
    error = failure(config_for(somebodys, user="maker", password="m", database="nosuch"))

    assert str(error) == (
        f"pgharness: the server at 127.0.0.1:{somebodys.address.port} (pg_url) has no database 'nosuch'.\n"
        "The harness connects to an existing database, and makes those of the tests from there.\n"
        "To fix this: name one that exists, usually postgres, in --pg-url"
    )


def test_a_user_who_may_not_create_databases(somebodys: Server) -> None:
    error = failure(config_for(somebodys, user="plain", password="p%40 ss"))

    assert str(error) == (
        f"pgharness: user 'plain' may not create databases on 127.0.0.1:{somebodys.address.port} (pg_url).\n"
        "Every run makes databases of its own and touches no other.\n"
        "To fix this, either:\n"
        '  - as a superuser: ALTER ROLE "plain" CREATEDB\n'
        "  - name another user in --pg-url"
    )


def test_another_major_than_the_one_required(somebodys: Server) -> None:
    error = failure(config_for(somebodys, user="maker", password="m", version="99"))

    assert str(error) == (
        "pgharness: PostgreSQL 99 is required (pg_version), but the server at "
        f"127.0.0.1:{somebodys.address.port} (pg_url) is {somebodys.version}.\n"
        "To fix this, either:\n"
        "  - give the address of a PostgreSQL 99 in --pg-url\n"
        f"  - require what is there, or any: --pg-version={somebodys.major} or --pg-version=0"
    )


def test_a_server_that_lets_nobody_in_for_a_reason_of_its_own(somebodys: Server) -> None:
    execute(somebodys.address, "alter role maker connection limit 0")
    try:
        error = failure(config_for(somebodys, user="maker", password="m"))
    finally:
        execute(somebodys.address, "alter role maker connection limit -1")

    assert str(error) == (
        f"pgharness: the server at 127.0.0.1:{somebodys.address.port} (pg_url) does not let the harness in.\n"
        'The server says: too many connections for role "maker"\n'
        "To fix this, either:\n"
        "  - put right what it complains about\n"
        "  - let the harness start one: drop pg_url"
    )


@contextlib.contextmanager
def starting_up(refusals: float) -> Iterator[int]:
    """The port of a server that says ``refusals`` times that it is starting up, then closes connections."""
    refusal = b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0"
    listener = bind(0)
    listener.listen()

    def serve(left: float) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    while (request := connection.recv(1024)) and request[4:8] == b"\x04\xd2\x16\x2f":
                        connection.sendall(b"N")  # no TLS here
                    if request and left > 0:
                        left -= 1
                        connection.sendall(b"E" + (len(refusal) + 4).to_bytes(4, "big") + refusal)

    thread = threading.Thread(target=serve, args=(refusals,))
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()


def test_a_server_that_starts_up_is_waited_for() -> None:
    with starting_up(2) as port:
        error = failure(make_config(url=f"postgresql://u:secret@127.0.0.1:{port}/d", start_timeout="20"))

    assert error.cause == "The system says: the connection was closed during the login"


def test_a_server_that_starts_up_for_ever() -> None:
    with starting_up(float("inf")) as port:
        error = failure(make_config(url=f"postgresql://u:secret@127.0.0.1:{port}/d", start_timeout="1"))

    assert error.failed == f"the server at 127.0.0.1:{port} (pg_url) does not let the harness in."
    assert error.cause == "The server says: the database system is starting up"


def test_what_has_no_words_is_named_by_its_kind() -> None:
    address = Address("h", 1, "u", "secret")

    error = _explained(address, asyncpg.InterfaceError(""), 1.0)

    assert str(error) == str(failures.unexpected(address, "InterfaceError"))
