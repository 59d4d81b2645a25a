"""The table of what each way of isolating tests makes of each behaviour.

    ./dev truth -- [--write] [--only NAME] [--behaviour NAME] [--backend container|local]

Every contender runs in pytest processes of its own on one server that this script starts (only
pytest-databases brings its own, in a container). A process ends after a behaviour that did not go
right, and the next one begins with a new database. All of it takes some ten minutes on two cores.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import datetime as dt
import importlib.metadata
import sys
import tempfile
import threading
from pathlib import Path

from truth import catalogue, page
from truth.catalogue import Behaviour
from truth.contenders.registry import CONTENDERS, Contender
from truth.ground import Ground
from truth.process import Process
from truth.verdicts import Record, Verdict, verdict

STOPPING = threading.Event()


def main() -> None:
    parser = argparse.ArgumentParser(prog="./dev truth --")
    parser.add_argument("--write", action="store_true", help=f"write {page.PAGE.name} too")
    parser.add_argument("--only", action="append", choices=[c.name for c in CONTENDERS], help="a contender")
    parser.add_argument("--behaviour", action="append", help="the name of a test without test_")
    parser.add_argument("--backend", default="auto", choices=("auto", "container", "local"))
    parser.add_argument("--jobs", type=int, default=2, help="how many contenders run at once")
    arguments = parser.parse_args()
    if arguments.write and (arguments.only or arguments.behaviour):
        parser.error("--write needs the whole table")
    wanted = [b for b in catalogue.behaviours() if not arguments.behaviour or b.name in arguments.behaviour]
    contenders = [c for c in CONTENDERS if not arguments.only or c.name in arguments.only]
    with tempfile.TemporaryDirectory(prefix="truth") as name, Ground(arguments.backend) as ground:
        verdicts = judge_all(contenders, wanted, ground, Path(name), arguments.jobs)
        table = page.Table(
            behaviours=wanted,
            contenders=contenders,
            verdicts=verdicts,
            versions=versions(ground),
            date=dt.datetime.now(tz=dt.UTC).date(),
        )
    print("\n".join(page.terminal(table)))
    if arguments.write:
        page.PAGE.write_text(page.markdown(table), encoding="utf-8")
        print(f"\nwritten: {page.PAGE.relative_to(Path.cwd())}")


def versions(ground: Ground) -> dict[str, str]:
    """What took part, and its version."""
    packages = ["pytest", "pytest-asyncio", "fastapi", "sqlalchemy", "asyncpg", "psycopg"]
    packages += [contender.package for contender in CONTENDERS]
    found = {"PostgreSQL": ground.version, "Python": ".".join(map(str, sys.version_info[:3]))}
    for package in dict.fromkeys(packages):
        found[package] = version(package) or "not installed"
    return found


def version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def judge_all(
    contenders: list[Contender], behaviours: list[Behaviour], ground: Ground, directory: Path, jobs: int
) -> dict[str, dict[str, Verdict]]:
    """The verdicts of each contender, by its name; ``jobs`` of them are judged at once."""
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        ways = {c.name: pool.submit(judge, c, behaviours, ground, directory) for c in contenders}
        try:
            return {name: way.result() for name, way in ways.items()}
        except BaseException:
            STOPPING.set()
            raise


def judge(
    contender: Contender, behaviours: list[Behaviour], ground: Ground, directory: Path
) -> dict[str, Verdict]:
    """The verdict on each behaviour, by its name."""
    if not version(contender.package):
        return {b.name: Verdict("n/a", f"{contender.package} is not installed") for b in behaviours}
    if contender.database == "container" and not ground.engine:
        return {b.name: Verdict("n/a", "it needs a Docker engine, and none answers") for b in behaviours}
    records: list[Record] = []
    for loops in ("session", "function"):
        names = [b.name for b in behaviours if b.loops == loops and b.name not in contender.not_offered]
        while names and not STOPPING.is_set():
            made = Process(contender, ground, directory, loops).run(names)
            done = {record.behaviour for record in made} or {names[0]}
            records += made
            names = [name for name in names if name not in done]
            print(f"{contender.name}: {', '.join(sorted(done))}", file=sys.stderr, flush=True)
    return {
        b.name: Verdict("n/a", contender.not_offered[b.name])
        if b.name in contender.not_offered
        else verdict([record for record in records if record.behaviour == b.name])
        for b in behaviours
    }


if __name__ == "__main__":
    main()
