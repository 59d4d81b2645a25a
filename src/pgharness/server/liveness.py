"""Whether a process of an earlier run still lives, asked by the next run before it removes anything."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import subprocess
import sys
from pathlib import Path


@dataclasses.dataclass(frozen=True, slots=True)
class Identity:
    """A process, told apart from every other of any time.

    ``host`` is this boot of this machine and its process namespace: a process id means something
    within one of them only.
    """

    host: str
    pid: int
    started: str

    @classmethod
    def own(cls) -> Identity:
        return cls(_host(), os.getpid(), _started(os.getpid()))

    def is_dead(self) -> bool:
        """True only if it is known to be dead: it was on this host, and is no more."""
        return self.host == _host() != "" and _started(self.pid) != self.started


def _host() -> str:
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
            return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
        return ""
    return _said("/usr/sbin/sysctl", "-n", "kern.bootsessionuuid")


def _started(pid: int) -> str:
    """When process ``pid`` started, in the system's own words; empty if there is none."""
    if sys.platform == "linux":
        try:
            # The command, second field, is in parentheses and may hold anything.
            after = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return ""
        return "" if after[0] in "ZX" else after[19]
    return _said("/bin/ps", "-o", "lstart=", "-p", str(pid))


def _said(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""
