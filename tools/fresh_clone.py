"""Clones what is committed, as a stranger would, and runs the README's first commands in the clone."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def commands(readme: str) -> list[str]:
    """The commands of the first shell block of the README."""
    block = re.search(r"```sh\n(.*?)```", readme, re.DOTALL)
    lines = block[1].splitlines() if block else []
    return [command for line in lines if (command := line.partition("#")[0].strip())]


def main() -> int:
    """Returns the exit code of the first command that failed, else 0. Arguments are other commands."""
    with tempfile.TemporaryDirectory(prefix="fresh-clone-") as directory:
        clone = Path(directory) / "clone"
        subprocess.run(["git", "clone", "--quiet", "--no-local", str(ROOT), str(clone)], check=True)
        for command in sys.argv[1:] or commands((clone / "README.md").read_text(encoding="utf-8")):
            print(f"$ {command}", flush=True)
            began = time.monotonic()
            code = subprocess.run(["sh", "-c", command], cwd=clone, check=False).returncode
            print(f"$ {command}: exit code {code} after {time.monotonic() - began:.0f} s", flush=True)
            if code:
                return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
