"""The proxy of a run: its end, however that comes, TLS, and the port that the app is given."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests.integration.pgharness.conftest import MakeProject
from tests.support.project import Project
from tests.support.server_runs import wait_gone

KILLS = """
import os, psutil, pytest
from sqlalchemy import text

def proxy():
    children = psutil.Process().children()
    return next(child for child in children if "proxy.server.process" in " ".join(child.cmdline()))

async def test_before(db_session):
    assert (await db_session.execute(text("SELECT 1"))).scalar() == 1

async def test_kills(db_session):
    await db_session.execute(text("SELECT 1"))
    proxy().kill()
    with pytest.raises(Exception):
        await db_session.execute(text("SELECT 1"))

async def test_after(db_session):
    assert (await db_session.execute(text("SELECT 1"))).scalar() == 1
"""
ENDED = "the proxy of this run has ended."


def is_proxy(process: psutil.Process) -> bool:
    return "pgharness.proxy.server.process" in " ".join(process.cmdline())


@pytest.mark.parametrize("options", [[], ["-n2"]], ids=" ".join)
def test_a_proxy_that_is_killed_ends_the_run(project: MakeProject, options: list[str]) -> None:
    adopter = project("tiers")
    adopter.write("tests/api/test_kills.py", KILLS)

    result = adopter.pytest("tests/api/test_kills.py", "-p", "no:randomly", *options, timeout=60)

    cause = "It was killed, or it failed; every connection of the tests goes through it."
    said = [line.lstrip("E ") for line in result.lines if line.startswith("E  ")]
    assert said == [f"pgharness.errors.HarnessError: pgharness: {ENDED}", cause, "To fix this: run again"]
    if not options:
        assert (result.code, result.outcomes) == (1, {"passed": 2, "error": 1}), result.output
        assert f"! {ENDED} !" in result.output


WAITS = """
import asyncio, pathlib
from sqlalchemy import text

async def test_waits(db_session):
    await db_session.execute(text("SELECT 1"))
    pathlib.Path("ready").touch()
    await asyncio.sleep(120)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_it_ends_with_its_parent(project: MakeProject, number: signal.Signals) -> None:
    adopter = project("tiers")
    adopter.write("tests/api/test_waits.py", WAITS)
    with subprocess.Popen(
        adopter.command("tests/api/test_waits.py"),
        cwd=adopter.path,
        env=adopter.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as run:
        while not (adopter.path / "ready").exists():
            assert run.poll() is None
            time.sleep(0.02)
        [proxy] = [child for child in psutil.Process(run.pid).children() if is_proxy(child)]

        run.send_signal(number)
        run.wait(60)

        assert wait_gone(proxy) == []


ASKS = """
import os, ssl
import asyncpg, psycopg, psycopg2, pytest
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine

URL, AUTHORITY = os.environ["DATABASE_URL"], os.environ["AUTHORITY"]

@pytest.mark.parametrize("mode", ["require", "verify-full"])
async def test_asyncpg(pg_database, mode):
    context = ssl.create_default_context(cafile=AUTHORITY)
    connection = await asyncpg.connect(pg_database.url, ssl=context if mode == "verify-full" else mode)
    assert await connection.fetchval("SELECT 1") == 1
    await connection.close()

@pytest.mark.parametrize("driver", [psycopg, psycopg2])
def test_libpq(pg_database, driver):
    connection = driver.connect(pg_database.url, sslmode="verify-full", sslrootcert=AUTHORITY)
    assert connection.info.ssl_in_use if driver is psycopg2 else connection.pgconn.ssl_in_use
    connection.close()
"""


def test_clients_that_verify(project: MakeProject) -> None:
    adopter = project("tiers")
    adopter.write("tests/api/test_asks.py", ASKS)

    result = adopter.pytest(
        "tests/api/test_asks.py",
        "--pg-env=DATABASE_URL={asyncpg_url}",
        "--pg-env=AUTHORITY={sslrootcert}",
        "-p",
        "no:randomly",
    )

    assert result.outcomes == {"passed": 4}, result.output


def test_no_certificate_can_be_made(project: MakeProject, tmp_path: Path) -> None:
    adopter = project("tiers")
    (tmp_path / "sitecustomize.py").write_text(
        "import sys, importlib.util\n"
        "found = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'trustme' else found(name, *rest)\n"
    )

    result = adopter.pytest("--pg-env=A={sslrootcert}", PATH="/nowhere", PYTHONPATH=str(tmp_path))

    assert result.code == 4, result.output
    assert (
        "ERROR: pgharness: pg_env names {sslrootcert}, and there is nothing to make a certificate with.\n"
        "To fix this, either:\n"
        "  - install openssl\n"
        '  - pip install "pgharness[tls]"\n'
    ) in result.output


PORT = """
import os

async def test_port(db_session):
    assert os.environ["DATABASE_URL"].partition("@")[2].partition("/")[0] == "{host}:{port}"
    await db_session.connection()
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as made:
        return int(made.getsockname()[1])


def write_port_test(adopter: Project, host: str, port: int) -> None:
    adopter.write("tests/api/test_port.py", PORT.format(host=host, port=port))


def test_the_app_is_given_the_port_that_is_asked_for(project: MakeProject) -> None:
    adopter, port = project("tiers"), free_port()
    given = ("tests/api/test_port.py", f"--pg-port={port}", "--pg-env=DATABASE_URL={asyncpg_url}")

    write_port_test(adopter, "127.0.0.1", port)
    alone = adopter.pytest(*given)
    write_port_test(adopter, "127.0.0.2", port)
    parallel = adopter.pytest(*given, "-n1")

    assert alone.outcomes == {"passed": 1}, alone.output
    assert parallel.outcomes == {"passed": 1}, parallel.output


def test_a_port_that_is_taken(project: MakeProject) -> None:
    adopter = project("tiers")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = adopter.pytest("tests/api", f"--pg-port={port}")

    assert result.code == 4, result.output
    assert f"ERROR: pgharness: port {port} on 127.0.0.1 is taken." in result.output
