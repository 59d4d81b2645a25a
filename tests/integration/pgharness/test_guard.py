"""The guard on real sockets: what passes, what is refused, and that everything is given back."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import psycopg
import psycopg2
import pytest

from pgharness.errors import TierError
from pgharness.tiers import guard
from pgharness.tiers.guard import Policy


@contextlib.contextmanager
def running(policy: Policy | None) -> Iterator[None]:
    """The sockets watched for ``policy``, instead of for this test's own."""
    own, guard.current = guard.current, policy
    try:
        yield
    finally:
        guard.current = own


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A server of somebody else, as far as the guard knows."""
    with socket.create_server(("127.0.0.1", 0)) as made:
        guard._listening.discard(made.getsockname()[1])
        yield made


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_an_allowed_port_is_reached_by_any_name_of_loopback(
    listener: socket.socket, name: str, host: str
) -> None:
    port = listener.getsockname()[1]
    policy = Policy("t", "integration", frozenset({f"{name}:{port}"}))

    with running(policy), socket.create_connection((host, port), 5) as made:
        assert made.getpeername()[1] == port

    assert policy.violations == []


def test_another_server_on_this_machine_is_refused(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    policy = Policy("t", "integration", frozenset({"127.0.0.1:1"}))

    with running(policy), pytest.raises(TierError) as caught:
        socket.create_connection(("127.0.0.1", port), 5)

    assert str(caught.value) == str(TierError.foreign_host("t", "integration", f"127.0.0.1:{port}"))


def test_a_server_that_the_process_itself_started_is_reached() -> None:
    policy = Policy("t", "api")

    with (
        running(policy),
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname(), 5),
    ):
        pass

    assert policy.violations == []


def test_a_name_stands_for_the_address_it_was_found_at(listener: socket.socket) -> None:
    address, name = "127.0.0.1", "localhost.localdomain"
    port = listener.getsockname()[1]
    real, guard._originals["getaddrinfo"] = (
        guard._originals["getaddrinfo"],
        lambda host, *rest, **more: real(address if host == name else host, *rest, **more),
    )
    try:
        with running(Policy("t", "integration", frozenset({f"{name}:{port}"}))):
            with socket.create_connection((name, port), 5):
                pass
            with pytest.raises(TierError):
                socket.create_connection((address, port + 1), 5)
    finally:
        guard._originals["getaddrinfo"] = real
        guard._names.pop(address, None)


def test_a_name_that_is_not_allowed_is_refused_before_it_is_looked_up() -> None:
    policy = Policy("t", "integration", frozenset({"search.internal"}))

    with running(policy), pytest.raises(TierError) as caught:
        socket.create_connection(("api.example.com", 443), 5)

    assert str(caught.value) == str(TierError.foreign_host("t", "integration", "api.example.com:443"))


def test_without_a_policy_everything_passes(listener: socket.socket) -> None:
    with running(None), socket.create_connection(listener.getsockname(), 5):
        pass


@pytest.mark.parametrize("owner", [psycopg, psycopg.Connection, psycopg.AsyncConnection, psycopg2])
def test_libpq_is_watched_where_it_is_told_to_connect(owner: Any) -> None:
    guard.watch_libpq()
    guard.watch_libpq()
    connect = owner.connect

    with running(policy := Policy("t", "integration", frozenset())):
        with pytest.raises(TierError, match=r"to db\.internal:5433\."):
            connect("host=db.internal port=5433")
        with pytest.raises(TierError, match=r"to localhost:1\."):
            connect("postgresql:///x", port=1)
        with pytest.raises(TierError, match="unix:/run/postgresql"):
            connect(host="/run/postgresql")
        with pytest.raises(TierError, match=r"to localhost:5432\."):
            connect("no address at all")
    assert len(policy.violations) == 4


def test_libpq_s_names_are_given_back() -> None:
    watched = psycopg2.connect
    guard.remove()
    try:
        assert psycopg2.connect is not watched
        assert psycopg2.connect.__module__ == "psycopg2"
    finally:
        guard.install()
        guard.watch_libpq()


def test_the_sockets_are_given_back() -> None:
    was_watched, listening = bool(guard._originals), set(guard._listening)
    guard.remove()
    names = ("connect", "connect_ex", "sendto", "listen")
    before = [getattr(socket.socket, name) for name in names], socket.getaddrinfo
    try:
        guard.remove()
        guard.install()
        guard.install()
        assert [getattr(socket.socket, name) for name in names] != before[0]
        guard.remove()
        assert ([getattr(socket.socket, name) for name in names], socket.getaddrinfo) == before
    finally:
        if was_watched:
            guard.install()
        guard._listening.update(listening)
