"""The harness's end of the keeper: start it, hear from it, let it clean up."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pgharness.server.keeper import GOODBYE

# A stand-in for the package keeps its __init__, and all that imports, out of the keeper.
_BOOT = """\
import sys, types
package = types.ModuleType("pgharness")
package.__path__ = [sys.argv[1]]
sys.modules["pgharness"] = package
from pgharness.server.keeper import main
main()
"""
_CLEAN_UP_SECONDS = 30.0


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """What the keeper said: ``ready``; ``failed`` in a ``step``; ``lost`` if it died or was silent."""

    name: str
    step: str = ""
    said: str = ""


class Keeper:
    """A running keeper. It cleans up when `stop` is called and when this process ends in any way.

    Args:
        order: What to keep, see `pgharness.server.keeper`.
    """

    def __init__(self, order: dict[str, Any]) -> None:
        self._process: subprocess.Popen[bytes] | None = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _BOOT, str(Path(__file__).parent.parent)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            # Ctrl-C in the terminal goes to the tests alone.
            start_new_session=True,
        )
        self._write(json.dumps(order).encode() + b"\n")

    @property
    def pid(self) -> int | None:
        """The keeper's process id; None after `stop`."""
        return self._process.pid if self._process is not None else None

    def event(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> Event:
        """The next event, or ``lost`` if none came in ``seconds``."""
        process = self._process
        if process is None or process.stdout is None:
            return Event("lost", said="it has been stopped")
        heard, deadline = b"", clock() + seconds
        while b"\n" not in heard or not heard.startswith(b"{"):
            readable, _, _ = select.select([process.stdout], [], [], max(0.0, deadline - clock()))
            chunk = os.read(process.stdout.fileno(), 65536) if readable else b""
            if not chunk:
                silence = heard.decode(errors="replace").strip() or "nothing"
                return Event("lost", said=silence)
            heard += chunk
        fields = json.loads(heard.partition(b"\n")[0])
        return Event(fields["event"], fields.get("step", ""), fields.get("said", ""))

    def stop(self, *, goodbye: bool = False) -> None:
        """Let it clean up and wait until it has. ``goodbye``: its container is already gone.

        Does nothing the second time.
        """
        process = self._process
        if process is None:
            return
        self._process = None
        if goodbye:
            self._write(GOODBYE, process)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_CLEAN_UP_SECONDS)

    def _write(self, data: bytes, process: subprocess.Popen[bytes] | None = None) -> None:
        process = process or self._process
        if process is not None and process.stdin is not None:
            with contextlib.suppress(OSError):  # it died: the next event says so
                process.stdin.write(data)
                process.stdin.flush()
