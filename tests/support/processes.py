"""The programs of the service, run as processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys

SERVE = [sys.executable, "-m", "service"]
WORK = [sys.executable, "-m", "service.worker"]
MIGRATE = [sys.executable, "-m", "service.migrate"]
ROTATE = [sys.executable, "-m", "service.webhooks.rotate"]


def environment(**settings: str) -> dict[str, str]:
    """This process's environment, with these settings of the service and no other."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("SERVICE_")}
    return {**others, **{f"SERVICE_{name}": value for name, value in settings.items()}}


def line(process: subprocess.Popen[str], wanted: str) -> str:
    """Read what the process logs up to the first line with ``wanted``."""
    assert process.stderr is not None
    return next(said for said in process.stderr if wanted in said)
