"""Whatever ends a run, nothing it started is left: server, databases, files."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.integration.pgharness.conftest import MakeProject
from tests.support.project import Project

WAIT_SECONDS = 60
BLOCK = """
import asyncio, pathlib
from sqlalchemy import text

async def test_first(db_session): await db_session.execute(text("SELECT 1"))

async def test_blocks(db_session):
    await db_session.execute(text("CREATE TABLE leftover (x int)"))
    pathlib.Path("reached").touch()
    await asyncio.sleep(120)
"""


@pytest.fixture
def data() -> Iterator[Path]:
    """A directory for the server's data that its user, who may not be ours, can enter."""
    with tempfile.TemporaryDirectory(prefix="pgh-test-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture
def blocked(project: MakeProject) -> Project:
    """A project on a local server of its own whose second test does not end."""
    adopter = project("tiers")
    adopter.url = ""
    adopter.write("tests/integration/test_database.py", BLOCK)
    return adopter


@contextlib.contextmanager
def started(adopter: Project, data: Path, *args: str) -> Iterator[subprocess.Popen[str]]:
    """Pytest in a process group of its own, from when the blocking test runs."""
    process = subprocess.Popen(
        adopter.command("--pg-backend=local", f"--pg-tmpdir={data}", "tests/integration", *args),
        cwd=adopter.path,
        env=adopter.environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    with process:
        try:
            wait_for(lambda: (adopter.path / "reached").exists() or process.poll() is not None)
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def servers(data: Path) -> list[int]:
    """The processes of the run's server, by the data directory they name."""
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if any(str(data) in word for word in process.info["cmdline"] or ())
    ]


@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda s: s.name)
def test_a_run_that_is_cut_off_leaves_nothing(
    blocked: Project, data: Path, ending: signal.Signals, workers: str
) -> None:
    with started(blocked, data, "-n", workers, "-p", "no:randomly") as process:
        assert servers(data), process.communicate()[0]

        if ending is signal.SIGINT:
            os.killpg(process.pid, ending)  # as a terminal does: to pytest, its workers and what they started
        else:
            process.send_signal(ending)
        output, _ = process.communicate(timeout=WAIT_SECONDS)

        wait_for(lambda: not servers(data) and not list(data.iterdir()))
    assert process.returncode != 0, output
    if ending is signal.SIGINT:
        assert "KeyboardInterrupt" in output or "Interrupted" in output, output


def test_a_failed_run_leaves_nothing(blocked: Project, data: Path) -> None:
    blocked.write(
        "tests/integration/test_database.py",
        "async def test_fails(pg_database): assert False\nasync def test_not_run(pg_database): pass\n",
    )

    result = blocked.pytest("--pg-backend=local", f"--pg-tmpdir={data}", "-x", "tests/integration")

    assert result.outcomes == {"failed": 1}, result.output
    assert (servers(data), list(data.iterdir())) == ([], [])


WHERE = """
import os, pathlib, pytest

@pytest.mark.parametrize("run", range(4))
def test_where(pg_server, run):
    pathlib.Path(os.environ["PYTEST_XDIST_WORKER"]).write_text(pg_server.url)
"""


def test_workers_share_the_server_that_the_controller_has_started(blocked: Project, data: Path) -> None:
    blocked.write("tests/integration/test_database.py", WHERE)

    result = blocked.pytest("--pg-backend=local", f"--pg-tmpdir={data}", "-n", "2", "tests/integration")

    assert result.outcomes == {"passed": 4}, result.output
    assert len({(blocked.path / worker).read_text() for worker in ("gw0", "gw1")}) == 1
