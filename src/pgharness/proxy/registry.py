"""Which proxies run on this machine: a small file for each, for who wants to look into a running test."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import secrets
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pgharness.errors import HarnessError
from pgharness.server.base import Address
from pgharness.server.directories import PREFIX, Directory, sweep

_FILE = "proxy.json"


def directory(environ: Mapping[str, str]) -> Path:
    """Where the files of this user lie; made if it is not there.

    Raises:
        HarnessError: It is somebody else's.
    """
    given = environ.get("XDG_RUNTIME_DIR", "")
    root = Path(given) if given and os.access(given, os.W_OK) else Path(tempfile.gettempdir())
    found = root / f"pgharness_{os.geteuid()}"
    found.mkdir(mode=0o700, exist_ok=True)
    status = found.lstat()
    if status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise HarnessError(
            f"{found} is not this user's own.",
            cause="The addresses of running tests are kept there, with their passwords.",
            fix=["remove it", "set XDG_RUNTIME_DIR to a directory of your own"],
        )
    return found


@dataclasses.dataclass(frozen=True)
class Running:
    """A proxy that runs: of which process and project, and how to log in."""

    pid: int
    project: str
    address: Address
    database: str


class Folder:
    """What the proxy of this process keeps on disk until `remove`; made when first asked for."""

    def __init__(self) -> None:
        self._kept: Directory | None = None

    @property
    def path(self) -> Path:
        """The folder.

        Raises:
            OSError: It cannot be made.
            HarnessError: The directory it is to lie in is somebody else's.
        """
        if self._kept is None:
            root = directory(os.environ)
            sweep(root)
            self._kept = Directory(root / f"{PREFIX}{os.getpid()}-{secrets.token_hex(4)}", 0o700)
        return self._kept.path

    def announce(self, address: Address, database: str) -> None:
        """Say where the proxy is, for `running`."""
        fields = {name: getattr(address, name) for name in Address.__slots__}
        content = {"pid": os.getpid(), "project": str(Path.cwd()), "address": fields, "database": database}
        with contextlib.suppress(OSError, HarnessError):  # no test needs it
            (self.path / _FILE).write_text(json.dumps(content), encoding="utf-8")

    def remove(self) -> None:
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.remove()


def running(environ: Mapping[str, str]) -> list[Running]:
    """The proxies of this user that run now, the oldest first."""
    root = directory(environ)
    sweep(root)
    found = []
    for path in sorted(root.glob(f"{PREFIX}*/{_FILE}"), key=lambda path: path.stat().st_mtime):
        with contextlib.suppress(OSError, ValueError):
            content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            address = Address(**content.pop("address"))
            found.append(Running(address=address, **content))
    return found
