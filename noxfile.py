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
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"

TIERS = ("unit", "integration", "api")
# The modules that adopters import from.
PUBLIC = tuple(f"pgharness.{name}" for name in ("config", "errors", "fixtures", "plugin"))
PARALLEL = ("-n", "auto", "--maxprocesses=4")
# With the project's own dependencies; the others hold a dependency group alone.
LOCKS = {
    "test": True,
    "typing": True,
    "truth": True,
    "docs": True,
    "service": False,
    "lint": False,
    "build": False,
    "coverage": False,
    "telemetry": False,
    "dev": False,
}
ROOT = Path(__file__).parent
DATA = ROOT / ".coverage-data"  # not .coverage.*, which every report takes in and deletes
STOP_SECONDS = 20.0

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell's background job ignores Ctrl-C, and so would the runs that the tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def install_locked(session: nox.Session, group: str) -> None:
    """Install ``locks/<group>.txt``; what differs from its hashes is refused.

    Compiled at once, for the tests start many processes, and none of them leaves bytecode behind.
    """
    env = {"UV_COMPILE_BYTECODE": "1"} if group == "test" else {}
    session.install("--require-hashes", "-r", f"locks/{group}.txt", env=env)


def install_project(session: nox.Session) -> None:
    """Install pgharness beside what it needs: the wheel in ``$WHEEL_DIR`` if that is set, else editable."""
    if directory := os.environ.get("WHEEL_DIR"):
        wheels = [str(wheel) for wheel in Path(directory).glob("pgharness-*.whl")]
        if len(wheels) != 1:
            session.error(f"WHEEL_DIR={directory} holds {len(wheels)} wheels of pgharness, not one")
        session.install("--no-deps", "--force-reinstall", *wheels)
    else:
        session.install("--no-deps", "--no-build-isolation", "-e", ".")


def shard(session: nox.Session) -> tuple[str, list[str]]:
    """The name of the shard that ``-- --shard 2/4`` alone asks for, and pytest-split's options for it."""
    match session.posargs:
        case ["--shard", wanted]:
            found = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", wanted)
            if not found or int(found[1]) > int(found[2]):
                session.error(f"--shard {wanted}: write 2/4 for the second of four")
            options = [f"--group={found[1]}", f"--splits={found[2]}", "--durations-path=tests/durations.json"]
            # The one algorithm of pytest-split that does not depend on the order, which is random here.
            options.append("--splitting-algorithm=least_duration")
            return f"-shard-{found[1]}-of-{found[2]}", options
    return "", []


def run_tier(session: nox.Session, tier: str, *options: str) -> None:
    """Run a tier, or one shard of it, under coverage and leave its one data file.

    With other arguments of the user's own the run is not measured, for it may be a part of the
    tier; a path in tests/ among them takes the place of the tier's directory.
    """
    session.env["PYTHONDONTWRITEBYTECODE"] = "1"
    name, splitting = shard(session)
    if session.posargs and not name:
        named = any(argument.startswith("tests") for argument in session.posargs)
        where = () if named else (f"tests/{tier}",)
        run_pytest(session, "pytest", *where, *options, *session.posargs)
        return
    data = DATA / f"{tier}{os.environ.get('COVERAGE_SUFFIX', '')}{name}"
    data.parent.mkdir(exist_ok=True)
    for left in [
        *data.parent.glob(f"{data.name}.*"),
        data,
        *DATA.glob(f"{tier}-shard-*" if not name else tier),
    ]:
        left.unlink(missing_ok=True)
    env = {"COVERAGE_FILE": str(data)}
    command = ("coverage", "run", "-m", "pytest", f"tests/{tier}", *options, *splitting)
    try:
        run_pytest(session, *command, env=env)
    finally:
        session.run("coverage", "combine", "--quiet", env=env)


def run_pytest(session: nox.Session, *command: str, env: dict[str, str] | None = None) -> None:
    """Run pytest and leave it time to stop its server when interrupted."""
    session.run(*command, env=env, interrupt_timeout=STOP_SECONDS, terminate_timeout=STOP_SECONDS)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style with ruff, and workflows and deployment files by schema; ``-- --fix`` mends style."""
    install_locked(session, "lint")
    session.run("ruff", "check", *session.posargs)
    session.run("ruff", "format", *([] if "--fix" in session.posargs else ["--check"]))
    session.run("python", "-m", "tools.lint_files")


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
    """Build wheel and sdist into dist/, twice, and check that they are equal and what is in them."""
    install_locked(session, "build")
    for target in ("dist", "build/again"):
        shutil.rmtree(ROOT / target, ignore_errors=True)
        session.run("python", "-m", "build", "--no-isolation", f"--outdir={target}", *session.posargs)
    session.run("python", "-m", "tools.check_distributions", "dist", "build/again")


@nox.session
def docs(session: nox.Session) -> None:
    """Write the page of options anew and build the site into site/, strictly; ``-- serve`` shows it."""
    install_locked(session, "docs")
    install_project(session)
    session.run("python", "docs/write_options.py")
    session.run("mkdocs", *(session.posargs or ["build", "--strict"]))


@nox.session
def unit(session: nox.Session) -> None:
    """Test pure logic: no socket, no server."""
    install_locked(session, "test")
    install_project(session)
    run_tier(session, "unit")


@nox.session
def integration(session: nox.Session) -> None:
    """Test code and PostgreSQL together, on a server that the run starts itself; ``-- --shard 2/4``."""
    install_locked(session, "test")
    install_project(session)
    run_tier(session, "integration", *PARALLEL)


@nox.session
def api(session: nox.Session) -> None:
    """Test the whole service from the request to the row, in parallel; ``-- --shard 2/4``."""
    install_locked(session, "test")
    install_project(session)
    run_tier(session, "api", *PARALLEL)


@nox.session
def coverage(session: nox.Session) -> None:
    """Combine the tiers' data, running those that have none, and fail under the gates."""
    install_locked(session, "test")
    missing = [tier for tier in TIERS if not list(DATA.glob(f"{tier}*"))]
    if missing:
        install_project(session)
    for tier in missing:
        run_tier(session, tier, *(() if tier == "unit" else PARALLEL))
    session.env["COVERAGE_FILE"] = str(DATA / "all")
    parts = sorted(str(path) for path in DATA.iterdir() if path.name.startswith(TIERS))
    session.run("coverage", "combine", "--quiet", "--keep", *parts)
    session.run("python", "-m", "tools.coverage_gates", *session.posargs)
    if base := os.environ.get("GITHUB_BASE_REF"):
        install_locked(session, "coverage")
        session.run("coverage", "xml", "--quiet")
        session.run("diff-cover", "coverage.xml", f"--compare-branch=origin/{base}", "--fail-under=95")


@nox.session(default=False)
def serve(session: nox.Session) -> None:
    """Serve http://127.0.0.1:8000/docs, with a worker and a migrated PostgreSQL of its own, until Ctrl-C."""
    install_locked(session, "test")
    install_project(session)
    session.run(
        *("pgharness", "run", *session.posargs, "--", "python", "-m", "tools.serve"),
        interrupt_timeout=STOP_SECONDS,
        terminate_timeout=STOP_SECONDS,
    )


@nox.session(default=False, python="3.11")
def minimums(session: nox.Session) -> None:
    """Run what adopters rely on with the lowest versions that pyproject.toml allows."""
    install_locked(session, "minimums")
    install_project(session)
    session.env["PYTHONDONTWRITEBYTECODE"] = "1"
    where = session.posargs or ["tests/unit", "tests/integration", "tests/api"]
    run_pytest(session, "pytest", *PARALLEL, *where)


@nox.session(default=False, venv_backend="none")
def installed(session: nox.Session) -> None:
    """Install the built wheel into empty environments, lowest and newest, and test a project outside."""
    session.run(sys.executable, "-m", "tools.installed", *session.posargs, external=True)


@nox.session(default=False, venv_backend="none")
def image(session: nox.Session) -> None:
    """Build the image, run it with compose, migrate, use it, stop it under load, leave nothing."""
    session.run(sys.executable, "-m", "tools.image", *session.posargs, external=True)


@nox.session(default=False, venv_backend="none")
def fresh_clone(session: nox.Session) -> None:
    """Clone what is committed, and run the first commands of the README in the clone."""
    session.run(sys.executable, "-m", "tools.fresh_clone", *session.posargs, external=True)


@nox.session(default=False)
def openapi(session: nox.Session) -> None:
    """Accept the service's OpenAPI document as it is now: write tests/api/service/openapi.json anew."""
    install_locked(session, "test")
    session.run("python", "-m", "service.openapi", "tests/api/service/openapi.json", *session.posargs)


@nox.session(default=False)
def durations(session: nox.Session) -> None:
    """Write tests/durations.json anew, by which the shards are balanced."""
    install_locked(session, "test")
    install_project(session)
    where = ("tests/integration", "tests/api")
    options = ("--store-durations", "--clean-durations", "--durations-path=tests/durations.json")
    run_pytest(session, "pytest", *where, *PARALLEL, *options, *session.posargs)


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
    for name, with_project in {**LOCKS, "minimums": True}.items():
        group, options = (name, []) if name in LOCKS else ("test", ["--resolution=lowest-direct"])
        session.run(
            *(sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal"),
            *("--python-version=3.11", "--generate-hashes", *options),
            *("--no-emit-index-url", "--no-emit-find-links", f"--output-file=locks/{name}.txt"),
            *(("pyproject.toml",) if with_project else ()),
            f"--group=pyproject.toml:{group}",
            *session.posargs,
            env={**os.environ, "UV_CUSTOM_COMPILE_COMMAND": "./dev lock"},
            external=True,
        )
