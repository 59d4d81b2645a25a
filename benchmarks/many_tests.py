"""Ten thousand trivial database tests in one process: time per test and memory, first to last.

    python benchmarks/many_tests.py [--tests 10000]

Beside it the same number of async tests without the plugin, empty and with one fixture upon another:
pytest keeps a report of every test, and the fixtures it asked for. Memory is flat if it grows no faster
than that.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from common import Suite, Timing, run

TEST = """
import os, pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
engine = create_async_engine(os.environ["DATABASE_URL"])

@pytest.mark.parametrize("n", range({count}))
async def test(n, pg_database):
    async with engine.begin() as connection:
        await connection.execute(text("INSERT INTO item (name) VALUES ('one')"))
"""
EMPTY = """
import pytest

@pytest.mark.parametrize("n", range({count}))
async def test(n):
    pass
"""

FIXTURES = """
import pytest

@pytest.fixture(scope="session")
def server():
    return 1

@pytest.fixture
def database(server):
    yield server

@pytest.mark.parametrize("n", range({count}))
async def test(n, database):
    pass
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tests", type=int, default=10_000)
    count = parser.parse_args().tests
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        schema = directory / "schema.sql"
        schema.write_text("CREATE TABLE item (id serial PRIMARY KEY, name text UNIQUE);\n")
        ini = f"pg_backend = local\npg_env = DATABASE_URL={{asyncpg_url}}\npg_sql = {schema}\n"
        show("pgharness", run(Suite("database", TEST.format(count=count), ini=ini), directory, {}))
        without = ("-p", "no:pgharness")
        for title, tests in {"empty": EMPTY, "fixtures alone": FIXTURES}.items():
            suite = Suite(title, tests.format(count=count), plugins=without)
            show(title, run(suite, directory, {}))


def show(title: str, timing: Timing) -> None:
    tenth = max(1, len(timing.times) // 10)
    parts = [timing.times[start : start + tenth] for start in range(0, len(timing.times), tenth)]
    medians = " ".join(f"{statistics.median(part) * 1000:.2f}" for part in parts)
    quiet = " ".join(f"{statistics.quantiles(part, n=10)[0] * 1000:.2f}" for part in parts)
    grown = timing.memory[-1] - timing.memory[0] if timing.memory else 0.0
    print(f"{title}: median ms of each tenth: {medians}")
    print(f"{title}: ms of the fastest tenth within each, past the machine's noise: {quiet}")
    print(f"{title}: {timing.memory[0]:.0f} MiB after the first thousand, {grown:+.1f} MiB by the last")


if __name__ == "__main__":
    main()
