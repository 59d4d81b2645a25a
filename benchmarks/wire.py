"""What passing the proxy costs: round trips, connections, commits, requests, and large results.

    python benchmarks/wire.py [--pairs 10] [--only NAME]...

A server of local binaries (data on tmpfs, durability off) is started by this script, and a proxy before it as
the plugin starts one. Each measure is taken in alternating pairs, directly and through the proxy; the figure
is the median of the pairs' ratios, with the interval in which nine of ten resampled medians lie.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import asyncpg
import psycopg
import psycopg2
from common import local_server
from sqlalchemy import Engine, event, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from wire_api import Item, api_by_hand, api_joined

from pgharness.proxy.control import Control
from pgharness.server.base import Server

LINE = b"x" * 999 + b"\n"
MEGABYTES = 200
ROWS = "SELECT g, g::text, g * 1.5::float8 FROM generate_series(1, 1000000) AS g"


class Sides:
    """The same database, directly and through the proxy."""

    def __init__(self, server: Server) -> None:
        address = server.address
        self.direct = address.url("wire")
        self.control = Control()
        self.control.launch()
        self.control.configure(
            {
                "server": {
                    "host": address.host,
                    "port": address.port,
                    "user": address.user,
                    "password": address.password,
                    "tls": False,
                },
                "database": "wire",
                "user": address.user,
                "strict": False,
                "clock": False,
                "lock_timeout": 10.0,
            }
        )
        self.control.ask("use", database="wire")
        self.proxied = self.direct.replace(address.password, self.control.password).replace(
            f":{address.port}/", f":{self.control.port}/"
        )

    @contextlib.contextmanager
    def test(self) -> Iterator[None]:
        self.control.tell(
            "begin", test="benchmark", isolation="rollback", database="", reset=False, frozen=False
        )
        try:
            yield
        finally:
            self.control.ask("end")


def repeat(count: int, work: Callable[[], Awaitable[object]]) -> Callable[[], Awaitable[float]]:
    """The seconds that ``work`` takes, over ``count`` times."""

    async def run() -> float:
        for _ in range(min(count, 50)):
            await work()
        began = time.perf_counter()
        for _ in range(count):
            await work()
        return (time.perf_counter() - began) / count

    return run


async def bare_round_trip(url: str) -> float:
    connection = await asyncpg.connect(url)
    try:
        return await repeat(2000, lambda: connection.fetchval("SELECT 1"))()
    finally:
        await connection.close()


async def sqlalchemy_round_trip(url: str) -> float:
    engine = engine_of(url)
    one = text("SELECT 1")
    async with engine.connect() as connection:
        found = await repeat(1000, lambda: connection.scalar(one))()
    await engine.dispose()
    return found


async def connection(url: str) -> float:
    async def connect() -> None:
        opened = await asyncpg.connect(url)
        await opened.close()

    return await repeat(60, connect)()


async def million_rows(url: str) -> float:
    opened = await asyncpg.connect(url)
    began = time.perf_counter()
    await opened.fetch(ROWS)
    taken = time.perf_counter() - began
    await opened.close()
    return taken


async def million_rows_psycopg2(url: str) -> float:
    with contextlib.closing(psycopg2.connect(url)) as opened, opened.cursor() as cursor:
        began = time.perf_counter()
        cursor.execute(ROWS)
        cursor.fetchall()
        return time.perf_counter() - began


async def copied_in_and_out(url: str) -> float:
    with psycopg.connect(url) as opened, opened.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE large (line text)")
        began = time.perf_counter()
        with cursor.copy("COPY large FROM STDIN") as copy:
            for _ in range(MEGABYTES * 10):
                copy.write(LINE * 100)
        with cursor.copy("COPY large TO STDOUT") as copy:
            size = sum(len(block) for block in copy)
        taken = time.perf_counter() - began
        opened.rollback()
    assert size == MEGABYTES * 1_000_000
    return taken


def engine_of(url: str) -> AsyncEngine:
    return create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"))


async def insert_by_hand(engine: AsyncEngine, _: Sides) -> None:
    """The usual fixture: an outer transaction that is rolled back, and a session in its savepoints."""
    async with engine.connect() as opened, opened.begin() as outer:
        async with AsyncSession(opened, join_transaction_mode="create_savepoint") as session:
            session.add(Item(name="one"))
            await session.commit()
        await outer.rollback()


async def insert_joined(engine: AsyncEngine, sides: Sides) -> None:
    with sides.test():
        async with AsyncSession(engine) as session:
            session.add(Item(name="one"))
            await session.commit()


async def through_engine(
    url: str, count: int, work: Callable[[AsyncEngine, Sides], Awaitable[None]], sides: Sides
) -> float:
    engine = engine_of(url)

    @event.listens_for(Engine, "connect")
    def pinned(*_: object) -> None:
        """An engine has a listener in tests too: that of the plugin."""

    try:
        return await repeat(count, lambda: work(engine, sides))()
    finally:
        event.remove(Engine, "connect", pinned)
        await engine.dispose()


def measures(
    sides: Sides,
) -> dict[str, tuple[Callable[[], Awaitable[float]], Callable[[], Awaitable[float]]]]:
    """By name: the seconds directly, and through the proxy."""
    direct, proxied = sides.direct, sides.proxied

    def both(
        measure: Callable[[str], Awaitable[float]],
    ) -> tuple[Callable[[], Awaitable[float]], Callable[[], Awaitable[float]]]:
        async def joined() -> float:
            with sides.test():
                return await measure(proxied)

        return lambda: measure(direct), joined

    return {
        "insert": (
            lambda: through_engine(direct, 200, insert_by_hand, sides),
            lambda: through_engine(proxied, 200, insert_joined, sides),
        ),
        "api": (
            lambda: through_engine(direct, 20, api_by_hand, sides),
            lambda: through_engine(proxied, 20, api_joined, sides),
        ),
        "bare round trip": both(bare_round_trip),
        "SQLAlchemy round trip": both(sqlalchemy_round_trip),
        "connection": both(connection),
        "million rows, asyncpg": both(million_rows),
        "million rows, psycopg2": both(million_rows_psycopg2),
        f"{MEGABYTES} MB in and out": both(copied_in_and_out),
    }


async def many_clients(sides: Sides) -> None:
    """Two hundred clients of one worker: how evenly they are served, and how soon."""
    with sides.test():
        opened = await asyncio.gather(*(asyncpg.connect(sides.proxied) for _ in range(200)))
        done = [0] * len(opened)
        end = time.perf_counter() + 5.0

        async def work(number: int) -> None:
            while time.perf_counter() < end:
                await opened[number].fetchval("SELECT 1")
                done[number] += 1

        await asyncio.gather(*(work(number) for number in range(len(opened))))
        for each in opened:
            each.terminate()
    print(
        f"\n200 clients for 5 s: {min(done)} to {max(done)} statements each, "
        f"{sum(done) / 5:.0f} a second in all"
    )


def interval(ratios: list[float]) -> tuple[float, float]:
    """In which nine of ten resampled medians lie."""
    chance = random.Random(1)
    medians = sorted(statistics.median(chance.choices(ratios, k=len(ratios))) for _ in range(2000))
    return medians[100], medians[1900]


def high_water(control: Control) -> str:
    """The most memory that the proxy has had."""
    status = Path(f"/proc/{control.pid}/status").read_text()
    return f"{int(status.partition('VmHWM:')[2].split()[0]) / 1024:.0f} MiB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--only", action="append")
    arguments = parser.parse_args()
    with local_server() as server:
        with psycopg.connect(server.address.url(), autocommit=True) as admin:
            admin.execute("CREATE DATABASE wire")
        with psycopg.connect(server.address.url("wire"), autocommit=True) as admin:
            admin.execute(
                "CREATE TABLE item (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, name text)"
            )
        sides = Sides(server)
        print(f"PostgreSQL {server.version}, {arguments.pairs} pairs\n")
        print(f"{'':26}{'direct, ms':>12}{'proxy, ms':>12}{'ratio':>8}")
        try:
            for name, (direct, proxied) in measures(sides).items():
                if arguments.only and name not in arguments.only:
                    continue
                pairs = [
                    (asyncio.run(run(direct)), asyncio.run(run(proxied))) for _ in range(arguments.pairs)
                ]
                ratios = [after / before for before, after in pairs]
                low, high = interval(ratios)
                before, after = (statistics.median(side) * 1000 for side in zip(*pairs, strict=True))
                ratio = statistics.median(ratios)
                print(
                    f"{name:26}{before:12.3f}{after:12.3f}{ratio:8.2f}  [{low:.2f}, {high:.2f}]", flush=True
                )
            if not arguments.only:
                asyncio.run(many_clients(sides))
            print(f"the proxy's memory at its highest: {high_water(sides.control)}")
        finally:
            sides.control.close()


async def run(measure: Callable[[], Awaitable[float]]) -> float:
    return await measure()


if __name__ == "__main__":
    main()
