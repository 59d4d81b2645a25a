"""``python -m tools.serve``, which `./dev serve` runs: the service and its worker, until Ctrl-C."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import httpx
import psutil
import pytest

from pgharness.fixtures import Database
from tests.support.processes import environment
from tests.support.receiver import receiving

# Other processes see what is committed, and nothing else; they listen on ports of this machine.
pytestmark = pytest.mark.pg(isolation="database", allow_hosts=["127.0.0.1"])

NO_DATABASE = "postgresql+asyncpg://localhost/board"
SERVE = [sys.executable, "-m", "tools.serve"]


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
    return port


@pytest.fixture
def serving(pg_database: Database, free_port: int) -> Iterator[subprocess.Popen[str]]:
    """`tools.serve`, once its two programs run. It is told to stop if the test has not done so."""
    env = environment(DATABASE_URL=pg_database.asyncpg_url, PORT=str(free_port), BREACH_URL="")
    with subprocess.Popen(
        SERVE, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        read_until(process, "listening", "Uvicorn running")
        yield process
        process.send_signal(signal.SIGINT)
        for _ in process.stderr or ():
            pass


def read_until(process: subprocess.Popen[str], *words: str) -> None:
    """Read what the process says until it has said all of ``words``, in any order."""
    left = set(words)
    assert process.stderr is not None
    for line in process.stderr:
        left -= {word for word in left if word in line}
        if not left:
            return
    raise AssertionError(f"ended without saying {left}")


async def test_a_change_reaches_a_receiver_on_this_machine(
    serving: subprocess.Popen[str], free_port: int
) -> None:
    ada = {"email": "ada@example.org", "name": "Ada", "password": "seven lamps over a quiet harbour"}
    async with (
        receiving() as receiver,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{free_port}/api/v1") as client,
    ):
        await client.post("/users", json=ada)
        form = {"username": ada["email"], "password": ada["password"]}
        token = (await client.post("/auth/token", data=form)).json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        await client.post("/webhooks", json={"url": receiver.url})
        await client.post("/tasks", json={"title": "Write the report"})

        (message,) = await receiver.received(1)

    assert message.json["task"]["title"] == "Write the report"


def test_ctrl_c_ends_both_and_leaves_nothing(serving: subprocess.Popen[str]) -> None:
    programs = psutil.Process(serving.pid).children()

    serving.send_signal(signal.SIGINT)

    assert serving.wait(timeout=60) == 0
    assert len(programs) == 2
    assert not any(program.is_running() for program in programs)


def test_a_program_that_is_killed_starts_again(serving: subprocess.Popen[str]) -> None:
    (worker,) = (
        program
        for program in psutil.Process(serving.pid).children()
        if program.cmdline()[-1] == "service.worker"
    )

    worker.kill()

    read_until(serving, "service.worker was killed by signal 9: starting it again", "listening")


def test_a_program_that_cannot_start_ends_all(free_port: int) -> None:
    env = environment(DATABASE_URL=NO_DATABASE, PORT=str(free_port), LOG_LEVEL="LOUD")

    ended = subprocess.run(SERVE, env=env, capture_output=True, text=True, check=False)

    assert ended.returncode == 2


def test_a_port_that_is_taken_is_named_with_the_way_to_another() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        env = environment(DATABASE_URL=NO_DATABASE, PORT=str(port))
        ended = subprocess.run(SERVE, env=env, capture_output=True, text=True, check=False)

    assert ended.returncode == 1
    assert ended.stderr == f"port {port} is taken; for another one: SERVICE_PORT={port + 1} ./dev serve\n"
