"""Whole pytest runs of generated suites, timed from inside."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from pgharness.config import resolve
from pgharness.server.base import Server
from pgharness.server.choose import reserve, start

INI = """\
[pytest]
asyncio_mode = auto
asyncio_default_test_loop_scope = session
asyncio_default_fixture_loop_scope = session
addopts = -q -p no:cacheprovider -p no:randomly -p no:hypothesispytest -p no:pytest_alembic -W ignore
"""
TIMER = """
import json, os, resource, time
import pytest

CLOCK, TIMES, WAITS = time.perf_counter, [], []

@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item):
    began = CLOCK()
    result = yield
    TIMES.append(CLOCK() - began)
    if len(TIMES) % 1000 == 0:
        MEMORY.append(rss())
    return result

@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item):
    began = CLOCK()
    result = yield
    WAITS.append(CLOCK() - began)
    return result

@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item):
    began = CLOCK()
    result = yield
    WAITS[-1] += CLOCK() - began
    return result

MEMORY = []

def rss():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20

def pytest_unconfigure():
    with open(os.environ["BENCHMARK_RESULT"], "w") as file:
        json.dump({"times": TIMES, "waits": WAITS, "memory": MEMORY}, file)
"""


@dataclasses.dataclass(frozen=True)
class Suite:
    """A generated suite: its name in the table, its tests, its conftest and its further ini lines."""

    name: str
    tests: str
    conftest: str = ""
    ini: str = ""
    plugins: tuple[str, ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    """Further files: name and text."""


@dataclasses.dataclass(frozen=True)
class Timing:
    """Seconds of each test in the order they ran, of its set-up and teardown alone, and the resident
    memory in MiB after each thousand."""

    times: list[float]
    waits: list[float]
    memory: list[float]


def run(suite: Suite, directory: Path, environment: dict[str, str]) -> Timing:
    """Run ``suite`` in a fresh process; stops the benchmark if one of its tests does not pass."""
    folder = directory / suite.name.replace(" ", "_").replace("/", "_")
    folder.mkdir(exist_ok=True)
    (folder / "pytest.ini").write_text(INI + suite.ini)
    (folder / "conftest.py").write_text(TIMER + suite.conftest)
    (folder / "test_suite.py").write_text(suite.tests)
    for file, text in suite.files:
        (folder / file).write_text(text)
    result = folder / "result.json"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *suite.plugins],
        cwd=folder,
        env={**os.environ, **environment, "BENCHMARK_RESULT": str(result)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"{suite.name}:\n{done.stdout[-3000:]}")
    return Timing(**json.loads(result.read_text()))


@contextlib.contextmanager
def local_server() -> Iterator[Server]:
    """A server of local binaries, its data on tmpfs where there is one, durability off."""
    config = resolve(
        command_line={"pg_backend": "local"}.get, ini=lambda _: None, environ={}, root=Path.cwd()
    )
    reservation = reserve(config)
    server = start(config, reservation)
    try:
        yield server
    finally:
        server.stop()
        reservation.close()
