"""PostgreSQL in a container, on a real engine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable

import docker  # type: ignore[import-untyped]  # docker has no types
import pytest
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import Reaper

from pgharness.errors import ServerError
from pgharness.server import choose, container
from pgharness.server.base import Address
from pgharness.server.keeper import GOODBYE, Control, keep, remove_container
from pgharness.server.liveness import Identity
from pgharness.server.reservation import bind
from pgharness.server.settings import SETTINGS
from tests.support.engine import ENGINE, containers_of
from tests.support.project_files import ROOT
from tests.support.server_runs import SOURCE, controller, make_config, settings, wait_gone

pytestmark = [
    pytest.mark.pg(allow_hosts=["127.0.0.1", "unix:*"]),
    pytest.mark.skipif(ENGINE is None, reason="no Docker engine answers"),
]


@pytest.mark.parametrize("backend", ["auto", "container"])
def test_serves_on_loopback_with_data_in_memory_and_leaves_nothing(
    backend: str, client: docker.DockerClient, ours: Callable[[], list[str]]
) -> None:
    config = make_config(backend=backend)
    reservation = choose.reserve(config)
    environment = dict(os.environ)

    server = choose.start(config, reservation)

    try:
        assert (server.backend, server.major, server.owned) == ("container", 17, True)
        assert (server.address, server.detail) == (reservation.address, "in a container (postgres:17)")
        assert settings(server.address, "fsync", "data_directory") == ["off", "/var/lib/pgharness/data"]
        (name,) = ours()
        volumes = {mount["Name"] for mount in client.containers.get(name).attrs["Mounts"] if "Name" in mount}
        host = client.containers.get(name).attrs["HostConfig"]
        assert host["PortBindings"] == {
            "5432/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(server.address.port)}]
        }
        assert list(host["Tmpfs"]) == ["/var/lib/pgharness"]
        assert server.address.password not in str(client.containers.get(name).attrs)
    finally:
        server.stop()
        server.stop()
    assert ours() == []
    assert volumes & {volume.id for volume in client.volumes.list()} == set()
    assert dict(os.environ) == environment


@pytest.mark.parametrize("number", [9, 15, 2], ids=["SIGKILL", "SIGTERM", "SIGINT"])
def test_a_killed_run_leaves_no_container(number: int, client: docker.DockerClient) -> None:
    with controller({"backend": "container"}, environment={"TESTCONTAINERS_RYUK_DISABLED": "true"}) as run:
        assert len(containers_of(client, run.process.pid)) == 1
        keeper = run.keeper

        run.process.send_signal(number)
        code = run.process.wait(10)

        assert code == -number
        assert wait_gone(keeper) == []
        assert containers_of(client, run.process.pid) == []


def test_the_sweep_removes_what_dead_processes_left_and_nothing_else(client: docker.DockerClient) -> None:
    own = Identity.own()
    labels = {
        "dead": {"pgharness.run": own.host, "pgharness.run.pid": str(own.pid), "pgharness.run.started": "1"},
        "alive": {
            "pgharness.run": own.host,
            "pgharness.run.pid": str(own.pid),
            "pgharness.run.started": own.started,
        },
        "elsewhere": {
            "pgharness.run": "another host",
            "pgharness.run.pid": "1",
            "pgharness.run.started": "1",
        },
    }
    made = {name: client.containers.create("postgres:17", labels=each) for name, each in labels.items()}
    try:
        container._sweep(client)

        left = {one.id for one in client.containers.list(all=True)}
        assert {name for name, one in made.items() if one.id in left} == {"alive", "elsewhere"}
    finally:
        for name in ("alive", "elsewhere"):
            made[name].remove(v=True)


def test_the_keeper_removes_a_container_by_name(client: docker.DockerClient) -> None:
    assert ENGINE is not None
    made = client.containers.create("postgres:17", name=f"pgharness-test-{os.getpid()}")

    remove_container({"url": ENGINE.url, "certificates": "", "name": made.name})

    with pytest.raises(docker.errors.NotFound):
        made.reload()
    remove_container({"url": ENGINE.url, "certificates": "", "name": made.name}, patience=0)


@pytest.mark.parametrize("goodbye", [True, False])
def test_the_keeper_removes_its_container_unless_told_that_it_is_gone(
    goodbye: bool, client: docker.DockerClient
) -> None:
    assert ENGINE is not None
    made = client.containers.create("postgres:17")
    reading, control = os.pipe()
    events, reporting = os.pipe()
    order = {"kind": "container", "url": ENGINE.url, "certificates": "", "name": made.name}
    os.write(control, json.dumps(order).encode() + b"\n" + (GOODBYE if goodbye else b""))
    os.close(control)

    keep(Control(reading), reporting)

    assert json.loads(os.read(events, 100)) == {"event": "ready"}
    for descriptor in (reading, events, reporting):
        os.close(descriptor)
    left = [one.id for one in client.containers.list(all=True)]
    assert (made.id in left) is goodbye
    if goodbye:
        made.remove(v=True)


def test_a_container_that_is_removed_while_it_starts(client: docker.DockerClient) -> None:
    assert ENGINE is not None
    reservation = choose.reserve(make_config())
    made = container._prepared("postgres:17", reservation.address, SETTINGS)
    run = container._Run(made, ENGINE)
    run.start("postgres:17", reservation.address)
    client.containers.get(made.get_wrapped_container().id).remove(force=True, v=True)

    with pytest.raises(ServerError) as caught:
        container._wait(made, "postgres:17", reservation.address, 10)

    run.stop()
    reservation.close()
    assert caught.value.failed == "the container of postgres:17 ended before PostgreSQL answered."
    assert caught.value.checked == ("the container is gone",)


def test_stop_is_content_if_somebody_else_removed_the_container(
    client: docker.DockerClient, ours: Callable[[], list[str]]
) -> None:
    config = make_config(backend="container")
    server = choose.start(config, choose.reserve(config))
    client.containers.get(ours()[0]).remove(force=True, v=True)

    server.stop()

    assert ours() == []


def test_the_port_is_taken_in_the_last_moment(ours: Callable[[], list[str]]) -> None:
    assert ENGINE is not None
    with bind(0) as taken:
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(ServerError, match=rf"port {port} on 127\.0\.0\.1 is taken\."):
            container.start(make_config(), Address("127.0.0.1", port, "postgres", "secret"), ENGINE)
    assert ours() == []


IN_A_NETWORK_OF_ITS_OWN = """
import sys
sys.path[:0] = sys.argv[1:]
from tests.support.server_runs import make_config
from pgharness.errors import ServerError
from pgharness.server import choose
config = make_config(backend="container")
reservation = choose.reserve(config)
try:
    choose.start(config, reservation)
except ServerError as error:
    print(str(error).replace(f":{reservation.address.port}.", ":PORT."))
"""


@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="only root can leave the network")
def test_pytest_in_a_container_of_its_own() -> None:
    command = ["unshare", "-n", sys.executable, "-c", IN_A_NETWORK_OF_ITS_OWN, str(SOURCE), str(ROOT)]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("TESTCONTAINERS_")}
    environment["TESTCONTAINERS_RYUK_DISABLED"] = "true"

    said = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)

    assert said.stdout == (
        "pgharness: PostgreSQL in a container of postgres:17 is ready, but not reached at 127.0.0.1:PORT.\n"
        "pytest probably runs inside a container itself, where the engine's ports are on another host.\n"
        "To fix this, either:\n"
        "  - set TESTCONTAINERS_HOST_OVERRIDE to the host that publishes ports, often host.docker.internal\n"
        "  - use local binaries: --pg-backend=local\n"
    )


def test_a_reaper_that_cannot_start_is_said_and_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise OSError("no such host")

    monkeypatch.setattr(testcontainers_config, "ryuk_disabled", False)
    monkeypatch.setattr(Reaper, "get_instance", refuse)
    config = make_config(backend="container")

    server = choose.start(config, choose.reserve(config))

    server.stop()
    assert server.tried == ("ryuk (did not start; pgharness removes its container itself)",)
    assert testcontainers_config.ryuk_disabled is False
