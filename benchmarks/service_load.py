"""The service under load, on loopback, with real commits: latencies, errors, and what its process computes.

``pgharness run -- python benchmarks/service_load.py [--before DIRECTORY]``. With another checkout, whose
migrations must be the same, rounds alternate between it and this one, and ratios are printed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import itertools
import json
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psutil

HERE = Path(__file__).parents[1]
WARM_UP = 200
PASSWORD = "seven lamps over a quiet harbour"
JSON = {"Content-Type": "application/json"}


@dataclasses.dataclass
class Round:
    """What one round measured, in milliseconds."""

    times: list[float]
    errors: int
    cpu: float
    """Of the service's process, for each request."""
    seconds: float

    @property
    def figures(self) -> dict[str, float]:
        cuts = statistics.quantiles(self.times, n=100)
        return {
            "p50": cuts[49],
            "p95": cuts[94],
            "p99": cuts[98],
            "CPU": self.cpu,
            "requests/s": len(self.times) / self.seconds,
        }


@contextlib.contextmanager
def serving(root: Path) -> Iterator[tuple[psutil.Process, int]]:
    """The service of a checkout, in a process of its own, once it is ready; and its port."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    env = {**os.environ, "PYTHONPATH": str(root), "SERVICE_PORT": str(port), "SERVICE_BREACH_URL": ""}
    command = [sys.executable, "-m", "service"]
    with subprocess.Popen(
        command, cwd=root, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            while True:
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/ready")
                    break
            yield psutil.Process(process.pid), port
        finally:
            process.terminate()


class Client:
    """One connection that is kept. It computes less than a library for HTTP would."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(
        self, method: str, path: str, headers: dict[str, str], body: bytes = b""
    ) -> tuple[int, bytes]:
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length:")[2].split("\r\n", 1)[0])
        return int(head.split(" ", 2)[1]), await self._reader.readexactly(length)


async def token(client: Client) -> dict[str, str]:
    """The header of a new user."""
    email = f"{uuid4().hex}@example.org"
    account = json.dumps({"email": email, "name": "Ada", "password": PASSWORD}).encode()
    await client.send("POST", "/api/v1/users", JSON, account)
    form = f"username={email}&password={PASSWORD}".encode()
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    _, answer = await client.send("POST", "/api/v1/auth/token", kind, form)
    return {"Authorization": f"Bearer {json.loads(answer)['access_token']}"}


async def load(process: psutil.Process, port: int, requests: int, clients: int) -> Round:
    """A mix of five requests, one after another on each of ``clients`` connections."""
    opened = [Client(*await asyncio.open_connection("127.0.0.1", port)) for _ in range(clients)]
    auth = await token(opened[0])
    post = json.dumps({"title": "Running databases", "content": "Elephants run. " * 20}).encode()
    for _ in range(20):
        await opened[0].send("POST", "/api/v1/posts", {**auth, **JSON}, post)
    task = json.dumps({"title": "Write the report"}).encode()
    mix = itertools.cycle(
        [
            ("GET", "/api/v1/users/me", auth, b""),
            ("GET", "/api/v1/tasks?limit=20", auth, b""),
            ("POST", "/api/v1/tasks", {**auth, **JSON}, task),
            ("GET", "/api/v1/posts?limit=5", {}, b""),
            ("GET", "/api/v1/search/posts?q=run&limit=5", {}, b""),
        ]
    )
    times: list[float] = []
    errors = 0

    async def send_all(client: Client, left: Iterator[int]) -> None:
        nonlocal errors
        for _ in left:
            began = time.perf_counter()
            status, _ = await client.send(*next(mix))
            times.append((time.perf_counter() - began) * 1000)
            errors += status >= 400

    async def run(number: int) -> None:
        left = iter(range(number))
        await asyncio.gather(*(send_all(client, left) for client in opened))

    await run(WARM_UP)
    times.clear()
    before, began = process.cpu_times(), time.perf_counter()
    await run(requests)
    seconds, after = time.perf_counter() - began, process.cpu_times()
    cpu = (after.user + after.system - before.user - before.system) * 1000 / requests
    return Round(times, errors, cpu, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--before", type=Path, help="another checkout")
    given = parser.parse_args()
    trees = {"before": given.before.resolve(), "now": HERE} if given.before else {"now": HERE}
    found: dict[str, list[Round]] = {name: [] for name in trees}
    for _ in range(given.rounds):
        for name, root in trees.items():
            with serving(root) as (process, port):
                found[name].append(asyncio.run(load(process, port, given.requests, given.clients)))
            shown = "  ".join(f"{figure} {value:.2f}" for figure, value in found[name][-1].figures.items())
            print(f"{name:7}{shown}  errors {found[name][-1].errors}", flush=True)
    if given.before:
        for figure in found["now"][0].figures:
            pairs = zip(found["now"], found["before"], strict=True)
            ratio = statistics.median(now.figures[figure] / before.figures[figure] for now, before in pairs)
            print(f"{figure}: {ratio:.2f} of before (median of {given.rounds} pairs)")


if __name__ == "__main__":
    main()
