"""A throw-away PostgreSQL for the harness's own tests of schema and databases."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pgharness.server.base import Address

BIN = Path("/usr/lib/postgresql/15/bin")


class ScratchServer:
    """What `pgharness.server.base.Server` promises, as far as these tests go."""

    backend = "local"
    detail = "for these tests"
    tried: tuple[str, ...] = ()

    def __init__(self, address: Address, version: str, *, owned: bool = True) -> None:
        self.address = address
        self.version = version
        self.owned = owned

    @property
    def major(self) -> int:
        return int(self.version.partition(".")[0])


@contextlib.contextmanager
def scratch_server() -> Iterator[ScratchServer]:
    """PostgreSQL 15 on a free loopback port, with its data in memory; stopped and removed at the end."""
    data = Path(tempfile.mkdtemp(prefix="pgh-scratch-", dir="/dev/shm"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    login = "postgres" if os.getuid() == 0 else None
    if login:
        shutil.chown(data, login, login)
    secret = data / "secret"
    secret.write_text("scratch-p%w@rd")
    if login:
        shutil.chown(secret, login, login)
    cluster = data / "cluster"
    subprocess.run(
        [
            BIN / "initdb",
            "-D",
            cluster,
            "-U",
            "postgres",
            "-A",
            "scram-sha-256",
            f"--pwfile={secret}",
            "--no-sync",
            "-E",
            "UTF8",
            "--locale=C",
        ],
        check=True,
        capture_output=True,
        user=login,
        group=login,
        cwd=data,
    )
    settings = [
        "fsync=off",
        "full_page_writes=off",
        f"unix_socket_directories={data}",
        "listen_addresses=127.0.0.1",
    ]
    with (data / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                BIN / "postgres",
                "-D",
                cluster,
                "-p",
                str(port),
                *(part for line in settings for part in ("-c", line)),
            ],
            stdout=log,
            stderr=log,
            user=login,
            group=login,
            cwd=data,
        )
    try:
        _wait(cluster / "postmaster.pid", process)
        yield ScratchServer(Address("127.0.0.1", port, "postgres", "scratch-p%w@rd"), "15.0")
    finally:
        process.send_signal(2)
        process.wait(30)
        shutil.rmtree(data, ignore_errors=True)


def _wait(pidfile: Path, process: subprocess.Popen[bytes]) -> None:
    """Until the server says in its pid file that it takes connections."""
    while process.poll() is None:
        with contextlib.suppress(OSError):
            lines = pidfile.read_text().splitlines()
            if len(lines) > 7 and lines[7].strip() == "ready":
                return
    raise RuntimeError((pidfile.parent.parent / "log").read_text())
