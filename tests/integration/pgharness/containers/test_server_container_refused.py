"""A server in a container that cannot be had: what it says of the reason."""

from __future__ import annotations

import gc
from collections.abc import Callable

import docker  # type: ignore[import-untyped]  # docker has no types
import pytest

from pgharness.errors import ServerError
from pgharness.server import container, engine
from pgharness.server.base import Address
from pgharness.server.reservation import bind
from pgharness.server.settings import SETTINGS
from tests.support.engine import ENGINE
from tests.support.server_runs import failure, make_config

pytestmark = [
    pytest.mark.pg(allow_hosts=["127.0.0.1", "unix:*"]),
    pytest.mark.skipif(ENGINE is None, reason="no Docker engine answers"),
]


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


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # docker's own socket
def test_an_engine_that_vanishes_after_it_was_found() -> None:
    gone = engine.Engine("unix:///nonexistent/docker.sock")

    with pytest.raises(ServerError) as caught:
        container.start(make_config(), Address("127.0.0.1", 1, "postgres", "secret"), gone)

    assert caught.value.failed == "the Docker engine did not start a container of postgres:17."
    del caught
    gc.collect()
