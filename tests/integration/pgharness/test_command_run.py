"""``pgharness run``: a command on a migrated database, and nothing left after it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable

import psutil
import pytest

from pgharness.fixtures import PgServer
from pgharness.server.urls import parse_url
from tests.integration.pgharness.conftest import MakeProject
from tests.support.project import Project
from tests.support.schema_projects import databases as databases_at

TELL = """
import asyncio, asyncpg, json, os

async def tell():
    connection = await asyncpg.connect()  # by PGHOST and its like alone
    tables = await connection.fetch("select relname from pg_class where relname = 'notes'")
    await connection.close()
    print(json.dumps({
        "database": os.environ["PGDATABASE"],
        "url": os.environ["DATABASE_URL"].rpartition("/")[2],
        "tables": [row[0] for row in tables],
    }))

asyncio.run(tell())
"""
WAIT = "import os, sys; print(os.getpid(), flush=True); sys.stdin.read()"


def command(project: Project, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "pgharness.cli", "run", f"--pg-url={project.url}", *arguments]


def databases(server: PgServer) -> set[str]:
    return databases_at(parse_url(server.url, ""))


@pytest.fixture
def run(project: MakeProject) -> Callable[..., subprocess.CompletedProcess[str]]:
    notes = project("asyncpg_app")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(notes, *arguments),
            cwd=notes.path,
            env=notes.environment(),
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_the_command_finds_a_migrated_database(run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = run("--", sys.executable, "-c", TELL)

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told == {"database": told["url"], "url": told["url"], "tables": ["notes"]}
    assert told["database"].startswith("pgh_")


def test_the_header_says_where_the_command_runs(
    run: Callable[..., subprocess.CompletedProcess[str]], pg_server: PgServer
) -> None:
    done = run("--", "sh", "-c", "echo $PGDATABASE at $PGHOST:$PGPORT")

    where = done.stdout.strip()
    assert done.stderr == f"pg: {pg_server.version} at {where.partition(' at ')[2]}, database {where}\n"


def test_the_command_reads_what_the_user_types(project: MakeProject) -> None:
    notes = project("asyncpg_app")

    done = subprocess.run(
        command(notes, "--", "cat"),
        cwd=notes.path,
        env=notes.environment(),
        input="select 1;",
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )

    assert done.stdout == "select 1;"


@pytest.mark.parametrize(("script", "code"), [("exit 7", 7), ("kill -9 $$", 128 + signal.SIGKILL)])
def test_the_exit_code_of_the_command_is_passed_on(
    run: Callable[..., subprocess.CompletedProcess[str]], script: str, code: int
) -> None:
    assert run("--", "sh", "-c", script).returncode == code


def test_the_database_is_gone_when_the_command_has_ended(
    run: Callable[..., subprocess.CompletedProcess[str]], pg_server: PgServer
) -> None:
    name = run("--", "sh", "-c", "echo $PGDATABASE").stdout.strip()

    assert name.startswith("pgh_")
    assert name not in databases(pg_server)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_command_and_drops_the_database(
    project: MakeProject, pg_server: PgServer, number: signal.Signals
) -> None:
    notes = project("asyncpg_app")
    with subprocess.Popen(
        command(notes, "--", sys.executable, "-c", WAIT),
        cwd=notes.path,
        env=notes.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())

        os.kill(process.pid, number)

        assert process.wait(30) == 128 + number
        assert process.stderr is not None
        made = re.search(r"database (pgh_\w+) at ", process.stderr.read().decode())
    assert not psutil.pid_exists(child)
    assert made is not None
    assert made[1] not in databases(pg_server)  # those of other runs on this server come and go


def test_a_command_that_is_not_there_starts_nothing(
    run: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    done = run("--", "no-such-command")

    assert (done.returncode, done.stderr) == (
        127,
        "pgharness: there is no command 'no-such-command' on PATH\n",
    )


def test_a_server_that_does_not_answer_is_said_and_the_command_not_run(project: MakeProject) -> None:
    notes = project("asyncpg_app")
    notes.url = "postgresql://user:geheim@127.0.0.1:1/postgres"

    done = subprocess.run(
        command(notes, "--", "echo", "never"),
        cwd=notes.path,
        env=notes.environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.startswith("ERROR: pgharness: no PostgreSQL server answers at 127.0.0.1:1 (pg_url).\n")
    assert "geheim" not in done.stderr


def test_without_the_plugin_there_is_nothing_to_read(
    run: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    done = run("-p", "no:pgharness", "-o", "addopts=", "--", "echo", "never")

    assert (done.returncode, done.stdout) == (4, "")
    assert "unrecognized arguments: --pg-url" in done.stderr


def test_a_plugin_that_is_kept_from_loading_is_an_error(project: MakeProject) -> None:
    notes = project("asyncpg_app")

    done = subprocess.run(
        [sys.executable, "-m", "pgharness.cli", "run", "-p", "no:pgharness", "--", "echo", "never"],
        cwd=notes.path,
        env=notes.environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == (
        "ERROR: pgharness: the plugin is not active, so there is no configuration to read.\n"
        "-p no:pgharness or PYTEST_DISABLE_PLUGIN_AUTOLOAD keeps it from loading.\n"
        "To fix this: give -p pgharness.plugin\n\n"
    )
