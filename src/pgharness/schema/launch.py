"""Run the project's own schema code in a process of its own, and put its failure into a sentence.

A process, because env.py may call `asyncio.run` when imported, `fileConfig` silences loggers,
settings are cached when imported and must see the database being built, and the caller may be
inside a running loop.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pgharness.config import Config
from pgharness.errors import SchemaError
from pgharness.schema import problems, sql
from pgharness.schema.locations import Locations
from pgharness.server.background import background
from pgharness.server.base import Address

_OUTPUT_LINES = 8
_SECRET = 12
"""From this length on a password cannot be mistaken for a word of the message."""


def upgrade(config: Config, locations: Locations, address: Address, database: str) -> None:
    """Upgrade ``database`` to head.

    Raises:
        SchemaError: A migration or env.py failed, there are two heads, or nothing arrived here.
    """
    before = _relations(address, database)[0] if config.sql else set()
    job = {
        "task": "upgrade",
        "ini": str(locations.ini) if locations.ini else None,
        "toml": str(locations.toml) if locations.toml else None,
        "script": str(locations.script),
        "versions": [str(directory) for directory in locations.versions],
    }
    source = problems.relative(locations.ini or locations.toml, config.root)
    result = _run(config, job, locations.cwd, address, database, source)
    if result["revisions"]:
        after, stamped = _relations(address, database)
        if after == before and not stamped:
            expected = _where(address, database)
            raise problems.left_empty(
                f"the migrations of {source}", expected, result["connected"], config.env
            )


def create_all(config: Config, address: Address, database: str) -> None:
    """Create the tables of `pg_metadata` in ``database``, and the schemas they are in.

    Raises:
        SchemaError: The metadata cannot be loaded, knows no table, or a statement fails.
    """
    job = {"task": "create_all", "metadata": config.metadata, "versions": []}
    _run(config, job, config.root, address, database, f"create_all of {config.metadata}")


def seed(config: Config, targets: Sequence[str], address: Address, database: str) -> None:
    """Call the functions ``targets`` of `pg_seed`, in this order.

    Raises:
        SchemaError: One is not there, cannot be given what it asks for, or raised.
    """
    driver = config.driver
    if driver == "auto":
        env = " ".join(config.env)
        driver = "psycopg" if "psycopg" in env and "asyncpg" not in env else "asyncpg"
    job = {"task": "seed", "seeds": list(targets), "async_driver": driver, "versions": []}
    _run(config, job, config.root, address, database, f"pg_seed ({', '.join(targets)})")


def environment(config: Config, address: Address, database: str) -> dict[str, str]:
    """The variables of the process: ours, `pg_env` for ``database``, and the same import path."""
    values = address.template_values(database)
    environ = dict(os.environ)
    for line in config.env:
        name, _, template = line.partition("=")
        environ[name.strip()] = template.strip().format_map(values)
    path = [entry or str(Path.cwd()) for entry in sys.path]
    environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([*path, str(config.root)]))
    return environ


def _run(  # noqa: PLR0913, PLR0917 (a job and where it is done)
    config: Config, job: dict[str, Any], cwd: Path, address: Address, database: str, source: str
) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="pgharness-") as scratch, tempfile.TemporaryFile() as output:
        answer = Path(scratch) / "result.json"
        job |= {
            "result": str(answer),
            "url": address.url(database),
            "database": database,
            "root": str(config.root),
        }
        # -P: a directory "alembic" in the project must not hide the library.
        process = subprocess.run(
            [sys.executable, "-P", "-m", "pgharness.schema.runner"],
            input=json.dumps(job).encode(),
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=environment(config, address, database),
            check=False,
        )
        if not answer.is_file():
            output.seek(0)
            lines = _scrub(output.read().decode(errors="replace"), address).splitlines()
            raise problems.crashed(source, process.returncode, lines[-_OUTPUT_LINES:], seeds="seeds" in job)
        text = answer.read_text(encoding="utf-8")
    result: dict[str, Any] = json.loads(_scrub_json(text, address))
    if not result.pop("ok"):
        raise _error(result, config, source, _where(address, database))
    return result


def _error(result: dict[str, Any], config: Config, source: str, expected: str) -> SchemaError:
    kind = result.pop("kind")
    given = config.metadata, config.sources["metadata"]
    makers: dict[str, Callable[[], SchemaError]] = {
        "migration": lambda: problems.migration_failed(**result),
        "heads": lambda: problems.two_heads(result["heads"], source),
        "elsewhere": lambda: problems.connects_elsewhere(
            result["found"], expected, config.env, result["seed"]
        ),
        "not connected": lambda: problems.not_connected(
            result["found"], result["error"], expected, config.env, result["seed"]
        ),
        "alembic": lambda: problems.alembic_refused(source, result["message"]),
        "no metadata": lambda: problems.no_metadata(*given, result["reason"]),
        "no seed": lambda: problems.no_seed(result["seed"], config.sources["seed"], result["reason"]),
        "seed": lambda: problems.seed_failed(**result),
        "empty metadata": lambda: problems.empty_metadata(*given),
        "raised": lambda: problems.project_raised(**{**result, "what": result["what"] or source}),
    }
    return makers[kind]()


def _relations(address: Address, database: str) -> tuple[set[str], bool]:
    return background.run(sql.relations(address, database))


def _where(address: Address, database: str) -> str:
    return f"{database} on {address.host}:{address.port}"


def _scrub(text: str, address: Address) -> str:
    """``text`` without the password, as it stands in URLs and, if it is long, anywhere."""
    for secret in {address.password, quote(address.password, safe="")} - {""}:
        text = text.replace(f":{secret}@", ":***@")
        if len(secret) >= _SECRET:
            text = text.replace(secret, "***")
    return text


def _scrub_json(text: str, address: Address) -> str:
    def walk(value: Any) -> Any:
        if isinstance(value, str):
            return _scrub(value, address)
        if isinstance(value, list):
            return [walk(item) for item in value]
        if isinstance(value, dict):
            return {key: walk(item) for key, item in value.items()}
        return value

    return json.dumps(walk(json.loads(text)))
