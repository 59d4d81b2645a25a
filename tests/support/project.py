"""A small project of an adopter, run whole by a pytest of its own."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

COUNT_AND_ADD = """
def count():
    with engine.begin() as connection:
        return connection.scalar(text("SELECT count(*) FROM item"))

def add():
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO item VALUES (DEFAULT)"))
"""
"""What small projects do with the ``engine`` and the table ``item`` that they have."""
EXAMPLES = Path(__file__).parent.parent / "examples"
_OURS = re.compile(r"PGHARNESS_(?!TEST)|_PGHARNESS|PYTEST_|SERVICE_DATABASE|COV_CORE")

# Not loaded, for they take longer to import than a small project takes to run.
_HEAVY = ("no:pytest_alembic", "no:hypothesispytest", "no:schemathesis", "no:faker")
_QUIET = ("-W", "ignore", *(word for name in ("no:cacheprovider", *_HEAVY) for word in ("-p", name)))


@dataclasses.dataclass(frozen=True)
class Result:
    """What a run printed and its exit code. ``lines`` are those of standard output."""

    code: int
    output: str
    outcomes: dict[str, int]

    @property
    def lines(self) -> list[str]:
        return self.output.splitlines()

    def line(self, start: str) -> str:
        """The last line that begins with ``start``; an empty string if there is none."""
        return next((line for line in reversed(self.lines) if line.startswith(start)), "")


class Project:
    """A project in a directory of its own; runs of it share the server at ``url`` if one is given."""

    def __init__(self, path: Path, url: str = "") -> None:
        self.path = path
        self.url = url

    @classmethod
    def of(cls, example: str, path: Path, url: str = "") -> Project:
        shutil.copytree(
            EXAMPLES / example, path / example, ignore=shutil.ignore_patterns("__pycache__", ".*")
        )
        return cls(path / example, url)

    def write(self, name: str, text: str) -> Path:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def environment(self, **extra: str) -> dict[str, str]:
        """This process's environment without what its own pytest has set."""
        clean = {name: value for name, value in os.environ.items() if not _OURS.match(name)}
        return {**clean, "PYTHONDONTWRITEBYTECODE": "1", **extra}

    def command(self, *args: str) -> list[str]:
        server = [f"--pg-url={self.url}"] if self.url else []
        return [sys.executable, "-m", "pytest", *_QUIET, *server, *args]

    def pytest(self, *args: str, timeout: float = 300, **environment: str) -> Result:
        """Run pytest in the project and wait for it; if it hangs, the test fails with what it has printed."""
        try:
            done = subprocess.run(  # noqa: PLW1510 - the exit code is part of what is tested
                self.command(*args),
                cwd=self.path,
                env=self.environment(**environment),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=timeout,
            )
        except subprocess.TimeoutExpired as hung:
            printed = (hung.output or b"").decode(errors="replace")
            pytest.fail(
                f"the run did not end within {timeout:.0f} s; it has printed:\n{printed}", pytrace=False
            )
        output = done.stdout.decode()
        return Result(done.returncode, output, _outcomes(output))


def _outcomes(output: str) -> dict[str, int]:
    """``{"passed": 3}`` from pytest's last line."""
    found = re.findall(r"(\d+) (passed|failed|errors?|skipped|deselected)", output.strip().splitlines()[-1])
    return {kind.rstrip("s") if kind.startswith("error") else kind: int(count) for count, kind in found}
