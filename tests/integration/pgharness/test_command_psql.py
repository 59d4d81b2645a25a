"""``pgharness psql`` beside a test that waits: it is inside the transaction of the test."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgharness.cli.main import main
from pgharness.errors import HarnessError
from pgharness.proxy import registry
from pgharness.server.base import Address
from tests.integration.pgharness.conftest import MakeProject
from tests.support.project import Project

WAITS = """
import pathlib, time
from sqlalchemy import text

async def test_waits(db_session):
    await db_session.execute(text("CREATE TABLE seen (x int)"))
    await db_session.execute(text("INSERT INTO seen VALUES (1)"))
    await db_session.commit()
    pathlib.Path("ready").touch()
    while not pathlib.Path("done").exists():
        time.sleep(0.01)
    assert (await db_session.execute(text("SELECT x FROM seen ORDER BY x"))).scalars().all() == [1, 2]
"""
ADDRESS = Address("127.0.0.1", 1, "postgres", "s3cret")
needs_psql = pytest.mark.skipif(shutil.which("psql") is None, reason="psql is a program of PostgreSQL")


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of running proxies of this test's own."""
    found = tmp_path / "runtime"
    found.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(found))
    return found


def psql(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pgharness.cli", "psql", *arguments]
    return subprocess.run(
        command,
        env=project.environment(),
        cwd=project.path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@needs_psql
def test_it_is_inside_the_running_test(project: MakeProject, runtime: Path) -> None:
    adopter = project("tiers")
    adopter.write("tests/api/test_waits.py", WAITS)
    run = subprocess.Popen(
        adopter.command("tests/api/test_waits.py"),
        cwd=adopter.path,
        env=adopter.environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        while not (adopter.path / "ready").exists():
            assert run.poll() is None, run.communicate()[0]
            time.sleep(0.02)

        seen = psql(adopter, "--", "-At", "-c", "INSERT INTO seen VALUES (2)", "-c", "TABLE seen ORDER BY x")
        other = psql(adopter, "1", "--", "-c", "SELECT 1")
        (adopter.path / "done").touch()
        output, _ = run.communicate(timeout=60)
    finally:
        run.kill()

    assert (seen.returncode, seen.stdout.split()) == (0, ["INSERT", "0", "1", "1", "2"]), seen
    assert (other.returncode, other.stderr) == (
        4,
        "pgharness: process 1 is no run with a database; there are:\n"
        f"  pgharness psql {run.pid}    {adopter.path}\n",
    )
    assert run.returncode == 0, output
    after = psql(adopter)
    assert after.returncode == 4
    assert after.stderr.startswith("pgharness: no run of this user has a database now;")
    assert list(runtime.rglob("*proxy.json")) == []


@pytest.fixture
def announced(runtime: Path) -> Iterator[list[registry.Folder]]:
    folders = [registry.Folder() for _ in range(2)]
    for folder in folders:
        folder.announce(ADDRESS, "pgh_x_main_test")
    yield folders
    for folder in folders:
        folder.remove()


def test_of_several_it_asks_which(
    announced: list[registry.Folder], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["psql"]) == 4

    line = f"  pgharness psql {os.getpid()}    {Path.cwd()}\n"
    assert capsys.readouterr().err == f"pgharness: several runs have a database; say which:\n{line}{line}"
    announced[0].remove()
    assert len(registry.running(os.environ)) == 1


def test_without_psql(
    announced: list[registry.Folder], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    announced[0].remove()
    monkeypatch.setenv("PATH", "/nowhere")

    assert main(["psql", "--", "-c", "SELECT 1"]) == 127
    assert capsys.readouterr().err == "pgharness: there is no psql on PATH\n"


def test_what_a_run_that_was_killed_has_left_is_passed_over(runtime: Path) -> None:
    left = registry.directory(os.environ) / "pgharness-7-left"
    left.mkdir()
    (left / "proxy.json").write_text(json.dumps({"pid": 7}))
    left.with_name("pgharness-7-left.lock").touch()

    assert registry.running(os.environ) == []
    assert not left.exists()


def test_a_directory_that_others_may_read_is_not_used(
    runtime: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = registry.directory(os.environ)
    found.chmod(0o755)

    with pytest.raises(HarnessError) as raised:
        registry.directory(os.environ)
    assert main(["psql"]) == 4

    assert str(raised.value) == (
        f"pgharness: {found} is not this user's own.\n"
        "The addresses of running tests are kept there, with their passwords.\n"
        "To fix this, either:\n"
        "  - remove it\n"
        "  - set XDG_RUNTIME_DIR to a directory of your own"
    )
    assert capsys.readouterr().err == f"{raised.value}\n"
    folder = registry.Folder()
    folder.announce(ADDRESS, "pgh_x_main_test")  # no test needs it
    folder.remove()
