"""Directories that do not outlive their owner, and binaries that every user may run.

Standard library alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

PREFIX = "pgharness-"


class Directory:
    """A new directory ``path`` of ``mode``, to be removed when its owner is gone.

    A locked file beside it says that the owner lives: the lock ends with the process, whatever
    ended it, and holds across containers that share the file system.

    Raises:
        OSError: It cannot be made.
    """

    def __init__(self, path: Path, mode: int) -> None:
        self.path = path
        self._lock_path = Path(f"{path}.lock")
        self._lock = _locked(self._lock_path)
        try:
            path.mkdir(mode=0o700)
        except OSError:
            self._unlock()
            raise
        path.chmod(mode)

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        self._unlock()

    def _unlock(self) -> None:
        self._lock_path.unlink(missing_ok=True)
        os.close(self._lock)


def _locked(path: Path) -> int:
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        # A sweep may have removed the file between the two calls.
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(fd).st_ino:
                return fd
        os.close(fd)


def sweep(root: Path) -> None:
    """Remove the directories in ``root`` whose owner, of this user, is dead, and the servers in them."""
    for lock in root.glob(f"{PREFIX}*.lock"):
        with contextlib.suppress(OSError):  # the owner lives, or is another user
            _sweep_one(lock)


def _sweep_one(lock: Path) -> None:
    fd = os.open(lock, os.O_RDWR | os.O_NOFOLLOW)
    try:
        if os.fstat(fd).st_uid == os.geteuid():
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left = lock.with_suffix("")
            _kill_server(left / "data")
            shutil.rmtree(left, ignore_errors=True)
            lock.unlink(missing_ok=True)
    finally:
        os.close(fd)


def _kill_server(data: Path) -> None:
    try:
        pid = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return
    for _ in range(500):
        if str(data) not in _command_line(pid):
            return
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGQUIT)
        time.sleep(0.01)


def _command_line(pid: int) -> str:
    """The command of a process, empty when there is none: a number alone may be another's by now."""
    try:
        if sys.platform == "linux":
            return Path(f"/proc/{pid}/cmdline").read_text()
        command = ["/bin/ps", "-o", "command=", "-p", str(pid)]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except OSError:
        return ""


def copy_binaries(source: Path, target: Path) -> None:
    """Copy a tree of server binaries so that every user may read and run it."""
    target.parent.mkdir(exist_ok=True)
    target.parent.chmod(0o755)
    unneeded = shutil.ignore_patterns("include", "*.a", "__pycache__")
    shutil.copytree(source, target, symlinks=True, ignore=unneeded)
    for folder, _, names in os.walk(target):
        Path(folder).chmod(0o755)
        for path in (Path(folder, name) for name in names):
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
