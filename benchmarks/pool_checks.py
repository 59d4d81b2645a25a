"""What a check of a pooled connection costs: ``pgharness run -- python benchmarks/pool_checks.py``."""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import sys
import time
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

sys.path.insert(0, str(Path(__file__).parents[1]))
from service.pool import check_on_checkout

TIMES = 1500
ONE = text("SELECT 1")


async def transaction(engine: AsyncEngine) -> float:
    """Milliseconds of processor time that a transaction with one statement takes this process."""
    began = time.process_time()
    async with engine.begin() as connection:
        await connection.execute(ONE)
    return (time.process_time() - began) * 1000


async def main() -> None:
    url = os.environ["SERVICE_DATABASE_URL"]
    engines = {
        "pool_pre_ping": create_async_engine(url, pool_pre_ping=True),
        "service.pool": create_async_engine(url),
        "no check": create_async_engine(url),
    }
    check_on_checkout(engines["service.pool"])
    found: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(TIMES):
        for name in random.sample(list(engines), len(engines)):
            found[name].append(await transaction(engines[name]))
    for name, milliseconds in found.items():
        mean = statistics.mean(milliseconds)
        ratio = mean / statistics.mean(found["pool_pre_ping"])
        print(f"{name:14}{mean:6.2f} ms, {ratio:.2f} of pool_pre_ping")
    for engine in engines.values():
        await engine.dispose()


if __name__ == "__main__":
    asyncio.run(main())
