"""What says from outside whether a worker works: a file that holds until when it counts as well.

A file, and not a row: a worker that cannot reach the database is well, and starting it anew helps nobody.
Nothing of the service is imported here, because a process of its own asks every few seconds.
"""

import logging
import os
import sys
import tempfile
import time
from pathlib import Path

NAME = "task-board-worker"

log = logging.getLogger(__name__)


def path() -> Path:
    """Where the worker of this machine or container keeps its heartbeat; ``TMPDIR`` chooses the directory."""
    return Path(tempfile.gettempdir()) / NAME


class Heartbeat:
    """A worker's promise to be back within ``patience`` seconds, each time that it is made."""

    def __init__(self, patience: float) -> None:
        self._patience = patience

    def beat(self) -> None:
        """Count as well for the next ``patience`` seconds. Where nothing can be written, the work goes on."""
        try:
            new = path().with_suffix(f".{os.getpid()}")
            new.write_text(f"{time.time() + self._patience}", encoding="ascii")
            new.replace(path())  # whoever reads has the old one or the new one, never half of one
        except OSError as error:
            log.warning("the heartbeat could not be written", extra={"error": str(error)})


def check() -> int:
    """The exit code for whoever asks: 0 if the worker is well; else 1, with a sentence on standard error."""
    try:
        late = time.time() - float(path().read_text(encoding="ascii"))
    except (OSError, ValueError):
        sys.stderr.write(f"No worker has left a heartbeat in {path()}.\n")
        return 1
    if late >= 0:
        sys.stderr.write(f"The worker should have been back {late:.0f} s ago.\n")
        return 1
    return 0
