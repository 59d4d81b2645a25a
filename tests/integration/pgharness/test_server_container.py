"""PostgreSQL in a container, on a real engine."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import docker  # type: ignore[import-untyped]  # docker has no types
import pytest
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import Reaper

from pgharness.background import background
from pgharness.config import Config
from pgharness.errors import ServerError
from pgharness.server import choose, container, engine
from pgharness.server.base import Address
from pgharness.server.keeper import GOODBYE, Control, keep, remove_container
from pgharness.server.liveness import Identity
from pgharness.server.reservation import bind
from pgharness.server.settings import SETTINGS
from tests.support.server_runs import SOURCE, controller, make_config, wait_gone

ENGINE, _TRIED = engine.find(os.environ, engine.home_directory())
pytestmark = [
    pytest.mark.pg(allow_hosts=["127.0.0.1", "unix:*"]),
    pytest.mark.skipif(ENGINE is None, reason="no Docker engine answers"),
]


@pytest.fixture(autouse=True)
def without_reaper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(testcontainers_config, "ryuk_disabled", True)


@pytest.fixture
def client() -> Iterator[docker.DockerClient]:
    assert ENGINE is not None
    client = docker.DockerClient(base_url=ENGINE.url)
    yield client
    client.close()


def containers_of(client: docker.DockerClient, pid: int) -> list[str]:
    found = client.containers.list(all=True, filters={"label": f"pgharness.run.pid={pid}"})
    return [one.name for one in found]


@pytest.fixture
def ours(client: docker.DockerClient) -> Callable[[], list[str]]:
    """The containers that this process has made since the test began."""
    before = containers_of(client, os.getpid())
    return lambda: [name for name in containers_of(client, os.getpid()) if name not in before]


def failure(config: Config) -> ServerError:
    with pytest.raises(ServerError) as caught:
        choose.start(config, choose.reserve(config))
    return caught.value


def settings(address: Address, *names: str) -> list[str]:
    async def ask() -> list[str]:
        connection = await asyncpg.connect(address.url())
        try:
            return [await connection.fetchval(f"show {name}") for name in names]
        finally:
            await connection.close()

    return background.run(ask())


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
    made = container._prepared("postgres:17", reservation.address)
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


def test_an_image_that_cannot_be_had() -> None:
    with bind(0) as closed:
        image = f"127.0.0.1:{closed.getsockname()[1]}/nosuch:1"

        error = failure(make_config(backend="container", image=image))

    assert error.cause.endswith("connection refused")
    assert str(error) == (
        f"pgharness: image {image} is not there and cannot be pulled.\n"
        f"{error.cause}\n"
        "To fix this, either:\n"
        f"  - pull it where there is a network: docker pull {image}\n"
        "  - name an image that is there: --pg-image=IMAGE\n"
        "  - use local binaries: --pg-backend=local"
    )


def test_an_image_without_postgres(ours: Callable[[], list[str]]) -> None:
    error = failure(make_config(backend="container", image="python:3.13-slim"))

    assert '"postgres": executable file not found' in error.cause
    assert str(error) == (
        "pgharness: the Docker engine did not start a container of python:3.13-slim.\n"
        f"{error.cause}\n"
        "To fix this, either:\n"
        "  - try what it complains about with docker run\n"
        "  - use local binaries: --pg-backend=local"
    )
    assert ours() == []


def test_a_container_that_ends_at_once(
    monkeypatch: pytest.MonkeyPatch, ours: Callable[[], list[str]]
) -> None:
    monkeypatch.setitem(SETTINGS, "no_such_setting", "1")

    error = failure(make_config(backend="container"))

    assert 'FATAL:  unrecognized configuration parameter "no_such_setting"' in error.checked[-1]
    lines = "".join(f"  - {line}\n" for line in error.checked)
    assert str(error) == (
        "pgharness: the container of postgres:17 ended before PostgreSQL answered.\n"
        "Its last lines say why.\n"
        f"Checked:\n{lines}"
        "To fix this: check that the image takes POSTGRES_PASSWORD and PGDATA as postgres:17 does, "
        "or --pg-image=IMAGE"
    )
    assert ours() == []


def test_another_major_than_the_one_required(
    client: docker.DockerClient, ours: Callable[[], list[str]]
) -> None:
    client.images.get("postgres:17").tag("pgharness-test", "seventeen")
    try:
        error = failure(make_config(backend="container", image="pgharness-test:seventeen", version="16"))
    finally:
        client.images.remove("pgharness-test:seventeen")

    version = error.failed.rpartition(" ")[2].rstrip(".")
    assert version.startswith("17.")
    assert str(error) == (
        "pgharness: PostgreSQL 16 is required (pg_version), "
        f"but the server in pgharness-test:seventeen is {version}.\n"
        "To fix this, either:\n"
        "  - name an image of that major: --pg-image=postgres:16\n"
        "  - require what is there, or any: --pg-version=17 or --pg-version=0"
    )
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
    root = Path(__file__).parents[3]
    command = ["unshare", "-n", sys.executable, "-c", IN_A_NETWORK_OF_ITS_OWN, str(SOURCE), str(root)]
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


def test_a_server_that_never_answers(ours: Callable[[], list[str]]) -> None:
    error = failure(make_config(backend="container", start_timeout="0.01"))

    lines = "".join(f"  - {line}\n" for line in error.checked)
    assert str(error) == (
        "pgharness: PostgreSQL in the container of postgres:17 did not answer within 0.01 s.\n"
        "Its last lines may say why.\n"
        f"Checked:\n{lines}"
        "To fix this: give it longer: --pg-start-timeout=SECONDS"
    )
    assert ours() == []


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


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # docker's own socket
def test_an_engine_that_vanishes_after_it_was_found() -> None:
    gone = engine.Engine("unix:///nonexistent/docker.sock")

    with pytest.raises(ServerError) as caught:
        container.start(make_config(), Address("127.0.0.1", 1, "postgres", "secret"), gone)

    assert caught.value.failed == "the Docker engine did not start a container of postgres:17."
    del caught
    gc.collect()
