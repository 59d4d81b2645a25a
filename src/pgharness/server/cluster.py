"""A PostgreSQL cluster as the keeper makes, starts, watches and removes it; standard library alone."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path
from typing import Any, Protocol

from pgharness.server.directories import Directory, copy_binaries, sweep


class Failed(Exception):  # noqa: N818 - a step has failed, and is told as a ServerError
    """A step of the start did not succeed: ``args`` are the step and what it said."""


class Watched(Protocol):
    """Whoever wants the server."""

    def ended(self, seconds: float) -> bool:
        """Whether it is gone; waits up to ``seconds`` to see it go."""
        ...


class Cluster:
    """What ``order`` asks for, see `pgharness.server.local`."""

    def __init__(self, order: dict[str, Any], owner: Watched) -> None:
        self._order = order
        self._owner = owner
        self._base = Path(order["base"])
        self._directories: list[Directory] = []
        self._initdb: subprocess.Popen[bytes] | None = None
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Return when the server accepts connections.

        Raises:
            Failed: It does not, or its owner is gone.
        """
        try:
            self._prepare()
        except OSError as error:
            raise Failed("directory", f"{error.filename or self._base}: {error.strerror}") from None
        self._create()
        self._server = self._run(self._order["server"], "log")
        # pg_ctl waits for the same word: the eighth line of this file.
        pid_file = self._base / "data" / "postmaster.pid"
        while self._server.poll() is None:
            with contextlib.suppress(OSError):
                lines = pid_file.read_text().splitlines()
                if len(lines) > 7 and lines[7].strip() == "ready":  # noqa: PLR2004 - the eighth line of postmaster.pid
                    return
            self._pause(0.01)
        raise Failed("postgres", self._tail("log"))

    def stop(self) -> None:
        """Stop whatever runs and remove every directory."""
        if self._initdb is not None and self._initdb.poll() is None:
            os.killpg(self._initdb.pid, signal.SIGKILL)
            self._initdb.wait()
        if self._server is not None:
            for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
                self._server.send_signal(number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._server.wait(5)
                    break
        for directory in reversed(self._directories):
            directory.remove()

    def _prepare(self) -> None:
        order = self._order
        for path in order["directories"]:
            sweep(Path(path).parent)
            self._directories.append(Directory(Path(path), 0o700 if order["uid"] is None else 0o755))
        for source, target in order["copies"]:
            copy_binaries(Path(source), Path(target))
        for name in ("data", "socket"):
            (self._base / name).mkdir(mode=0o700)
            self._give(self._base / name)
        password = self._base / "password"
        with os.fdopen(os.open(password, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(order["secret"] + "\n")
        self._give(password)

    def _give(self, path: Path) -> None:
        if self._order["uid"] is not None:
            os.chown(path, self._order["uid"], self._order["gid"])

    def _create(self) -> None:
        """Run the first of the initdb commands whose locale this machine knows."""
        said = ""
        try:
            for number, command in enumerate(self._order["initdb"]):
                self._initdb = self._run(command, f"initdb{number}")
                while self._initdb.poll() is None:
                    self._pause(0.005)
                if self._initdb.returncode == 0:
                    return
                said = self._tail(f"initdb{number}")
                if "invalid locale" not in said:
                    break
            raise Failed("initdb", said)
        finally:
            (self._base / "password").unlink(missing_ok=True)

    def _pause(self, seconds: float) -> None:
        if self._owner.ended(seconds):
            raise Failed("order", "whoever wanted the server is gone")

    def _run(self, command: list[str], log: str) -> subprocess.Popen[bytes]:
        order = self._order
        drop: dict[str, Any] = {}
        if order["uid"] is not None:
            drop = {"user": order["uid"], "group": order["gid"], "extra_groups": []}
        with (self._base / log).open("wb") as file:
            try:
                return subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=file,
                    cwd=self._base,
                    env=order["environment"],
                    umask=0o077,
                    process_group=0,
                    **drop,
                )
            except OSError as error:
                raise Failed("run", f"{command[0]}: {error.strerror}") from None

    def _tail(self, log: str) -> str:
        text = (self._base / log).read_text(errors="replace")
        return "\n".join(text.splitlines()[-20:])
