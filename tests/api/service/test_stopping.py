"""SIGTERM: the process says that it stops, goes on for a while, and loses no request."""

import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest

from tests.support.processes import SERVE, environment

# The process listens where it likes, so any port of this machine.
pytestmark = pytest.mark.pg(allow_hosts=["127.0.0.1"])

BUSY_CLIENTS = 4
PER_CLIENT = 50


@contextmanager
def replica(*, drain_seconds: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process of the service and its address. It is killed if the test leaves it running."""
    env = environment(
        DATABASE_URL="postgresql+asyncpg://localhost/board", PORT="0", DRAIN_SECONDS=drain_seconds
    )
    with subprocess.Popen(SERVE, env=env, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            address = next(found for line in process.stderr if (found := re.search(r"http://[\d.:]+", line)))
            yield process, address[0]
        finally:
            process.kill()


@pytest.fixture
def draining() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A replica that has been told to stop and has not stopped yet; its end is the test's to ask for."""
    with replica(drain_seconds="600") as (process, address):
        process.send_signal(signal.SIGTERM)
        with httpx.Client(base_url=address) as client:
            while client.get("/health").headers.get("connection") != "close":
                pass
        yield process, address


def test_a_process_that_stops_is_healthy_and_not_ready(
    draining: tuple[subprocess.Popen[str], str],
) -> None:
    health = httpx.get(f"{draining[1]}/health")
    ready = httpx.get(f"{draining[1]}/ready")

    assert health.status_code == 200
    assert (ready.status_code, ready.json()["detail"]) == (503, "This process has been told to stop.")


def test_a_second_signal_ends_the_wait(draining: tuple[subprocess.Popen[str], str]) -> None:
    process, _ = draining

    process.send_signal(signal.SIGTERM)

    assert process.wait(timeout=30) == 0


def test_without_a_drain_the_process_stops_at_once() -> None:
    with replica(drain_seconds="0") as (process, _):
        process.send_signal(signal.SIGTERM)

        assert process.wait(timeout=30) == 0


def test_no_request_is_lost_while_a_busy_process_is_told_to_stop() -> None:
    begun = threading.Barrier(BUSY_CLIENTS + 1)

    def answered(address: str) -> int:
        with httpx.Client(base_url=address) as client:
            client.get("/health")
            begun.wait()
            return [client.get("/health").status_code for _ in range(PER_CLIENT)].count(200)

    with replica(drain_seconds="600") as (process, address), ThreadPoolExecutor() as threads:
        clients = [threads.submit(answered, address) for _ in range(BUSY_CLIENTS)]
        begun.wait()
        process.send_signal(signal.SIGTERM)
        counts = [client.result() for client in clients]
        process.send_signal(signal.SIGTERM)

        assert process.wait(timeout=30) == 0
    assert counts == [PER_CLIENT] * BUSY_CLIENTS
