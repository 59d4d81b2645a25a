"""Configurations, directories and controller processes for the tests of servers."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest

import pgharness
from pgharness import config
from pgharness.config import Config
from pgharness.errors import ServerError
from pgharness.server import choose
from pgharness.server.background import background
from pgharness.server.base import Address
from pgharness.server.binaries import User

SOURCE = Path(pgharness.__file__).parent.parent
NOBODY = User("nobody", 65534, 65534)

CONTROLLER = """
import json, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from pgharness import config
from pgharness.server import choose
options = json.loads(sys.argv[2])
resolved = config.resolve(command_line=options.get, ini=lambda name: None, environ={}, root=Path("/"))
server = choose.start(resolved, choose.reserve(resolved))
# Before a word is said: a KeyboardInterrupt within fork's hooks would be ignored.
if sys.argv[3] == "fork" and os.fork() == 0:
    sys.stdin.read()  # a child that holds every pipe of its parent, and lives on
    os._exit(0)
print(json.dumps([server.backend, server.version, server.address.port]), flush=True)
sys.stdin.read()
server.stop()
"""


def make_config(**options: str) -> config.Config:
    """The configuration of ``options`` as if given on the command line; nothing else has a say."""
    given = {f"pg_{name}": value for name, value in options.items()}
    return config.resolve(command_line=given.get, ini=lambda _: None, environ={}, root=Path("/"))


@contextlib.contextmanager
def open_directory(mode: int = 0o755) -> Iterator[Path]:
    """A directory that every user may enter; what a test's servers leave behind is found in it."""
    with tempfile.TemporaryDirectory(
        prefix="pgharness-test-", dir="/tmp", ignore_cleanup_errors=True
    ) as name:
        Path(name).chmod(mode)
        yield Path(name)


@contextlib.contextmanager
def mounted(directory: Path, options: str) -> Iterator[Path]:
    """A tmpfs with ``options`` on ``directory``; for root."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", directory], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", "-l", directory], check=True)


@dataclasses.dataclass(frozen=True)
class Controller:
    """A process that started a server, as the controller of a run does, and waits."""

    process: subprocess.Popen[str]
    backend: str
    version: str
    port: int

    @property
    def keeper(self) -> psutil.Process:
        return next(
            child
            for child in psutil.Process(self.process.pid).children()
            if "keeper" in "".join(child.cmdline())
        )

    @property
    def postgres(self) -> psutil.Process:
        return self.keeper.children()[0]


@contextlib.contextmanager
def controller(
    options: Mapping[str, str],
    *,
    python: str = sys.executable,
    user: User | None = None,
    extra: str = "",
    environment: Mapping[str, str] | None = None,
) -> Iterator[Controller]:
    """A controller whose server answers. It is killed at the end, its keeper cleans up."""
    given = {f"pg_{name}": value for name, value in options.items()}
    drop: dict[str, Any] = {"user": user.uid, "group": user.gid, "extra_groups": []} if user else {}
    process = subprocess.Popen(
        [python, "-c", CONTROLLER, str(SOURCE), json.dumps(given), extra],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd="/",
        env={**os.environ, **(environment or {})},
        **drop,
    )
    with process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                assert process.stderr is not None
                raise AssertionError(process.stderr.read())
            yield Controller(process, *json.loads(line))
        finally:
            process.kill()


@contextlib.contextmanager
def open_to_all(directory: Path) -> Iterator[Path]:
    """``directory`` where ordinary users can read it: in its own place, else mounted in another; for root."""
    if NOBODY.may_read(directory):
        yield directory
        return
    with open_directory() as place:
        subprocess.run(["mount", "--bind", directory, place], check=True)
        try:
            yield place
        finally:
            subprocess.run(["umount", "-l", place], check=True)


@contextlib.contextmanager
def interpreter_for_all() -> Iterator[tuple[str, dict[str, str]]]:
    """A Python that ordinary users may run, and the environment it needs to find our packages; for root.

    A checkout below root's own directory is closed to them as a whole.
    """
    real = Path(sys.executable).resolve()
    packages = [Path(path) for path in sys.path if path.endswith("-packages")]
    with contextlib.ExitStack() as stack:
        home, *readable = [
            stack.enter_context(open_to_all(path)) for path in (real.parent.parent, SOURCE, *packages)
        ]
        environment = {"PYTHONPATH": os.pathsep.join(map(str, readable)), "HOME": "/nonexistent"}
        if home != real.parent.parent:
            environment["LD_LIBRARY_PATH"] = str(home / "lib")
        yield str(home / "bin" / real.name), environment


def wait_gone(*processes: psutil.Process) -> list[psutil.Process]:
    """Those of ``processes`` that still live after a while."""
    alive: list[psutil.Process]
    _, alive = psutil.wait_procs(processes, timeout=30)
    return alive


ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount, or needs to drop privileges")


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


def programs(directory: Path, **scripts: str) -> None:
    for name, script in scripts.items():
        path = directory / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
