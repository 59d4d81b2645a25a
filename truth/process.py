"""One pytest process of one contender."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from truth.contenders.registry import Contender
from truth.ground import Ground, free_port, remove_container
from truth.verdicts import Record

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 10.0
STARTING = 120.0
INI = """\
[pytest]
asyncio_mode = auto
asyncio_default_test_loop_scope = {loops}
asyncio_default_fixture_loop_scope = {loops}
addopts = -q --import-mode=importlib -p no:cacheprovider -W ignore
"""
CONTAINER = "pytest_databases_postgres"


class Process:
    """Runs behaviours of one contender, on a database of their own, until one does not go right.

    Args:
        contender: Whose fixtures.
        ground: Where the server is.
        directory: For the files of this process.
        loops: How long the loop of a test lives: ``session`` or ``function``.
    """

    def __init__(self, contender: Contender, ground: Ground, directory: Path, loops: str) -> None:
        self._contender = contender
        self._ground = ground
        self._loops = loops
        self._directory = Path(tempfile.mkdtemp(dir=directory))
        self._record = self._directory / "record.jsonl"

    def run(self, behaviours: list[str]) -> list[Record]:
        """What was recorded: of the first behaviours, as many as it came to."""
        ini = self._directory / "pytest.ini"
        ini.write_text(INI.format(loops=self._loops) + self._contender.ini, encoding="utf-8")
        plugins = ["pytest_asyncio.plugin", *self._contender.plugins, "truth.recorder"]
        command = [sys.executable, "-m", "pytest", f"-c{ini}", f"--rootdir={ROOT}"]
        command += [f"-p{plugin}" for plugin in plugins] + [str(ROOT / "truth" / "behaviours")]
        output = self._directory / "output.txt"
        with output.open("w") as file:
            process = subprocess.Popen(
                command,
                cwd=self._directory,
                env=self._environment(behaviours),
                stdout=file,
                stderr=subprocess.STDOUT,
            )
            try:
                process.wait(STARTING + LIMIT * 4 * len(behaviours))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._contender.database == "container":
            remove_container(CONTAINER)
        return self._records(behaviours[0], output.read_text(errors="replace"))

    def _environment(self, behaviours: list[str]) -> dict[str, str]:
        contender, address = self._contender, self._ground.server.address
        name = self._ground.name(contender.name) + contender.suffix
        environment = {
            **os.environ,
            **contender.environment,
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
            "DATABASE_URL": address.url(name, "asyncpg"),
            "sqlalchemy_url": address.url(name, "asyncpg"),
            "PGHARNESS_URL": address.url(),
            "TRUTH_CONTENDER": contender.module,
            "TRUTH_BEHAVIOURS": " ".join(behaviours),
            "TRUTH_RECORD": str(self._record),
            "TRUTH_LIMIT": str(LIMIT),
        }
        if contender.database == "prepared":
            self._ground.prepare(name)
        if contender.database == "container":
            port = free_port()
            url = f"postgresql+asyncpg://postgres:super-secret@127.0.0.1:{port}/pytest_databases"
            environment |= {
                "POSTGRES_PORT": str(port),
                "DATABASE_URL": url,
                "TRUTH_IMAGE": self._ground.image,
            }
        return environment

    def _records(self, first: str, output: str) -> list[Record]:
        if self._record.exists():
            lines = self._record.read_text(encoding="utf-8").splitlines()
            return [Record(**json.loads(line)) for line in lines]
        print(f"{self._contender.name} recorded nothing:\n{output[-3000:]}", file=sys.stderr)
        return [Record(first, "itself", "error", "the process ended before the test")]
