"""What guards the project: ``./dev`` runs all of it, ``./dev --list`` says what there is.

Arguments after ``--`` go to the tool of the session. Everything is installed from ``locks/``, by
hash; ``./dev lock`` writes those files anew from ``pyproject.toml``.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
import tarfile
import zipfile
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"

TIERS = ("unit", "integration", "api")
PACKAGES = {"pgharness": "src/pgharness/*", "service": "service/*"}
# The modules that adopters import from.
PUBLIC = tuple(f"pgharness.{name}" for name in ("config", "errors", "fixtures", "live", "plugin"))
TOTAL_GATE = 80
PACKAGE_GATE = 95
PARALLEL = ("-n", "auto", "--maxprocesses=4")
# With the project's own dependencies; the others hold a dependency group alone.
LOCKS = {
    "test": True,
    "typing": True,
    "truth": True,
    "service": False,
    "telemetry": False,
    "lint": False,
    "build": False,
    "dev": False,
}
ROOT = Path(__file__).parent
STOP_SECONDS = 20.0

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell's background job ignores Ctrl-C, and so would the runs that the tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def install_locked(session: nox.Session, group: str) -> None:
    """Install ``locks/<group>.txt``; what differs from its hashes is refused."""
    session.install("--require-hashes", "-r", f"locks/{group}.txt")


def install_project(session: nox.Session) -> None:
    """Install pgharness itself, editable, beside the locked packages it needs."""
    session.install("--no-deps", "--no-build-isolation", "-e", ".")


def data_file(name: str) -> Path:
    """Where the data of a tier are: not ``.coverage.*``, which every report takes in and deletes."""
    return ROOT / ".coverage-data" / name


def run_tier(session: nox.Session, tier: str, *options: str) -> None:
    """Run a tier under coverage and leave its one data file.

    With arguments of the user's own the run is not measured, for it may be a part of the tier;
    a path in tests/ among them takes the place of the tier's directory.
    """
    session.env["PYTHONDONTWRITEBYTECODE"] = "1"
    if session.posargs:
        named = any(argument.startswith("tests") for argument in session.posargs)
        where = () if named else (f"tests/{tier}",)
        run_pytest(session, "pytest", *where, *options, *session.posargs)
        return
    data = data_file(tier)
    data.parent.mkdir(exist_ok=True)
    for left in data.parent.glob(f"{data.name}*"):
        left.unlink()
    env = {"COVERAGE_FILE": str(data)}
    try:
        run_pytest(session, "coverage", "run", "-m", "pytest", f"tests/{tier}", *options, env=env)
    finally:
        session.run("coverage", "combine", "--quiet", env=env)


def run_pytest(session: nox.Session, *command: str, env: dict[str, str] | None = None) -> None:
    """Run pytest and leave it time to stop its server when interrupted."""
    session.run(*command, env=env, interrupt_timeout=STOP_SECONDS, terminate_timeout=STOP_SECONDS)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and formatting with ruff; ``-- --fix`` mends what it can."""
    install_locked(session, "lint")
    session.run("ruff", "check", *session.posargs)
    session.run("ruff", "format", *([] if "--fix" in session.posargs else ["--check"]))


@nox.session
def typing(session: nox.Session) -> None:
    """Check types: all code with mypy --strict, the public package's completeness with pyright."""
    install_locked(session, "typing")
    install_project(session)
    session.run("mypy", *session.posargs)
    command = ("pyright", "--ignoreexternal", "--verifytypes", "pgharness", "--outputjson")
    report = json.loads(str(session.run(*command, silent=True, success_codes=[0, 1])))
    symbols = [s for s in report["typeCompleteness"]["symbols"] if s["name"].startswith(PUBLIC)]
    for symbol in (incomplete := [s for s in symbols if not s["isTypeKnown"] or s["isTypeAmbiguous"]]):
        session.warn(f"{symbol['name']}: {[d['message'] for d in symbol['diagnostics']]}")
    if incomplete or not symbols:
        session.error(f"{len(incomplete)} of {len(symbols)} public symbols have no complete type")
    session.log(f"all {len(symbols)} public symbols have complete types")


@nox.session
def build(session: nox.Session) -> None:
    """Build wheel and sdist into dist/ and check what is in them."""
    install_locked(session, "build")
    target = ROOT / "dist"
    shutil.rmtree(target, ignore_errors=True)
    session.run("python", "-m", "build", "--no-isolation", *session.posargs)
    wheel, sdist = next(target.glob("*.whl")), next(target.glob("*.tar.gz"))
    session.run("twine", "check", "--strict", str(wheel), str(sdist))
    with zipfile.ZipFile(wheel) as archive:
        strangers = [
            name for name in archive.namelist() if not re.match(r"pgharness(-[\d.]+dist-info)?/", name)
        ]
        typed = "pgharness/py.typed" in archive.namelist()
    with tarfile.open(sdist) as archive:
        strangers += [
            name for name in archive.getnames() if re.match(r"[^/]+/(service|tests|migrations|truth)\b", name)
        ]
    if strangers or not typed:
        session.error(f"py.typed {'is there' if typed else 'is missing'}; does not belong: {strangers}")
    session.log(f"{wheel.name} and {sdist.name} hold pgharness and nothing else")


@nox.session
def unit(session: nox.Session) -> None:
    """Test pure logic: no socket, no server."""
    install_locked(session, "test")
    install_project(session)
    run_tier(session, "unit")


@nox.session
def integration(session: nox.Session) -> None:
    """Test code and PostgreSQL together, in parallel, on a server that the run starts itself."""
    install_locked(session, "test")
    install_project(session)
    run_tier(session, "integration", *PARALLEL)


@nox.session
def api(session: nox.Session) -> None:
    """Test the whole service from the request to the row, in parallel."""
    install_locked(session, "test")
    install_project(session)
    run_tier(session, "api", *PARALLEL)


@nox.session
def coverage(session: nox.Session) -> None:
    """Combine the tiers' data, running those that have none, and fail under the gates."""
    install_locked(session, "test")
    missing = [tier for tier in TIERS if not data_file(tier).exists()]
    if missing:
        install_project(session)
    for tier in missing:
        run_tier(session, tier, *(() if tier == "unit" else PARALLEL))
    session.env["COVERAGE_FILE"] = str(data_file("all"))
    session.run("coverage", "combine", "--quiet", "--keep", *(str(data_file(tier)) for tier in TIERS))
    session.run("coverage", "report", *session.posargs)
    gates = [("total", TOTAL_GATE, "*")]
    gates += [(package, PACKAGE_GATE, pattern) for package, pattern in PACKAGES.items()]
    under = []
    for name, gate, pattern in gates:
        command = ("coverage", "report", "--format=total", f"--include={pattern}")
        percent = float(str(session.run(*command, silent=True)))
        session.log(f"coverage of {name}: {percent:.2f} % (gate {gate} %)")
        if percent < gate:
            under.append(name)
    if under:
        session.error(f"coverage is under the gate: {', '.join(under)}")


@nox.session(default=False)
def serve(session: nox.Session) -> None:
    """Serve the service at http://127.0.0.1:8000/docs on a migrated PostgreSQL of its own, until Ctrl-C."""
    install_locked(session, "test")
    install_project(session)
    session.run(
        *("pgharness", "run", "--"),
        *("uvicorn", "--factory", "service.app:create_app", "--host", "127.0.0.1", "--port", "8000"),
        *session.posargs,
        interrupt_timeout=STOP_SECONDS,
        terminate_timeout=STOP_SECONDS,
    )


@nox.session(default=False)
def openapi(session: nox.Session) -> None:
    """Accept the service's OpenAPI document as it is now: write tests/api/service/openapi.json anew."""
    install_locked(session, "test")
    session.run("python", "-m", "service.openapi", "tests/api/service/openapi.json", *session.posargs)


@nox.session(default=False)
def docs(session: nox.Session) -> None:
    """Write docs/reference/options.md anew from the table of options."""
    install_locked(session, "test")
    install_project(session)
    session.run("python", "docs/write_options.py", *session.posargs)


@nox.session(default=False)
def truth(session: nox.Session) -> None:
    """Print what each way of isolating tests makes of each behaviour; ``-- --write`` writes the page too."""
    install_locked(session, "truth")
    install_project(session)
    session.env["PYTHONDONTWRITEBYTECODE"] = "1"
    session.run(
        *("python", "-m", "truth.run", *session.posargs),
        interrupt_timeout=STOP_SECONDS,
        terminate_timeout=STOP_SECONDS,
    )


@nox.session(default=False, venv_backend="none")
def lock(session: nox.Session) -> None:
    """Write locks/*.txt anew from pyproject.toml; ``-- --upgrade`` takes newer versions."""
    for group, with_project in LOCKS.items():
        session.run(
            *(
                sys.executable,
                "-m",
                "uv",
                "pip",
                "compile",
                "--quiet",
                "--universal",
                "--python-version=3.11",
                "--generate-hashes",
            ),
            *("--no-emit-index-url", "--no-emit-find-links", f"--output-file=locks/{group}.txt"),
            *(("pyproject.toml",) if with_project else ()),
            f"--group=pyproject.toml:{group}",
            *session.posargs,
            env={**os.environ, "UV_CUSTOM_COMPILE_COMMAND": "./dev lock"},
            external=True,
        )
