"""PostgreSQL in a container of an engine that is reached by TCP, as one on another machine.

127.0.0.2 stands for that machine: it is not the address at which a run of its own machine would look.
"""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import docker  # type: ignore[import-untyped]  # docker has no types
import pytest

from pgharness.server import choose
from tests.support.engine import ENGINE, containers_of
from tests.support.server_runs import controller, make_config, settings, wait_gone

REMOTE = "127.0.0.2"

AT_A_SOCKET = ENGINE is not None and ENGINE.url.startswith("unix:")

pytestmark = [
    pytest.mark.pg(allow_hosts=["127.0.0.2", "127.0.0.3", "unix:*"]),
    pytest.mark.skipif(not AT_A_SOCKET, reason="no Docker engine answers at a socket"),
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere 127.0.0.1 is the only loopback address"),
]


@pytest.fixture
def docker_host(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The engine's address over TCP, which is what the environment names: a relay to its socket."""
    assert ENGINE is not None
    with socket.create_server((REMOTE, 0)) as listener:
        relay = threading.Thread(target=_accept, args=(listener, ENGINE.url.removeprefix("unix://")))
        relay.start()
        url = f"tcp://{REMOTE}:{listener.getsockname()[1]}"
        monkeypatch.setenv("DOCKER_HOST", url)
        monkeypatch.delenv("TESTCONTAINERS_HOST_OVERRIDE", raising=False)
        yield url
        listener.shutdown(socket.SHUT_RDWR)
        relay.join()


def _accept(listener: socket.socket, path: str) -> None:
    pumps: list[threading.Thread] = []
    with suppress(OSError):  # the listener is shut down
        while True:
            client, _ = listener.accept()
            engine = socket.socket(socket.AF_UNIX)
            engine.connect(path)
            pair = threading.Thread(target=_relay, args=(client, engine))
            pair.start()
            pumps.append(pair)
    for pump in pumps:
        pump.join()


def _relay(client: socket.socket, engine: socket.socket) -> None:
    """Pass on what each says until both have said all."""
    with client, engine:
        answers = threading.Thread(target=_pump, args=(engine, client))
        answers.start()
        _pump(client, engine)
        answers.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):  # one of them has hung up
        while chunk := source.recv(65536):
            target.sendall(chunk)
        target.shutdown(socket.SHUT_WR)


def test_the_server_is_reached_at_the_host_of_the_engine(
    docker_host: str, client: docker.DockerClient, ours: Callable[[], list[str]]
) -> None:
    config = make_config(backend="auto")
    reservation = choose.reserve(config)

    server = choose.start(config, reservation)

    try:
        assert (server.backend, server.address.host) == ("container", REMOTE)
        assert settings(server.address, "data_directory") == ["/var/lib/pgharness/data"]
        (name,) = ours()
        assert client.containers.get(name).attrs["HostConfig"]["PortBindings"] == {
            "5432/tcp": [{"HostIp": REMOTE, "HostPort": str(server.address.port)}]
        }
    finally:
        server.stop()
    assert ours() == []


def test_another_host_may_be_named_for_the_ports(docker_host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESTCONTAINERS_HOST_OVERRIDE", "127.0.0.3")
    config = make_config(backend="container")

    server = choose.start(config, choose.reserve(config))

    try:
        assert server.address.host == "127.0.0.3"
        assert settings(server.address, "fsync") == ["off"]
    finally:
        server.stop()


def test_a_killed_run_leaves_no_container_there(docker_host: str, client: docker.DockerClient) -> None:
    with controller({"backend": "container"}, environment={"TESTCONTAINERS_RYUK_DISABLED": "true"}) as run:
        assert len(containers_of(client, run.process.pid)) == 1
        keeper = run.keeper

        run.process.kill()
        run.process.wait(10)

        assert wait_gone(keeper) == []
        assert containers_of(client, run.process.pid) == []
