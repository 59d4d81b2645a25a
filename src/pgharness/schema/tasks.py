"""What the schema process does: upgrade to head, create_all, or seed. Never imported by the parent."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import inspect
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, MetaData, NullPool, create_engine, event
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import Pool
from sqlalchemy.schema import CreateSchema

from pgharness.schema.explain import ElsewhereError, JobError

_MODULES = {
    "asyncpg": "asyncpg",
    "psycopg": "psycopg",
    "psycopg_async": "psycopg",
    "psycopg2": "psycopg2",
    "pg8000": "pg8000",
}
_ASYNC = re.compile(r"\b(async_engine_from_config|create_async_engine|AsyncEngine)\b")


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Do the job; returns what the parent checks."""
    connected = _watch(job)
    if job["task"] == "seed":
        from pgharness.schema import seed_functions  # noqa: PLC0415 (builds on this module)

        seed_functions.call(job)
        return {"connected": connected}
    result = _upgrade(job) if job["task"] == "upgrade" else _create_all(job)
    return {**result, "connected": connected}


def _watch(job: dict[str, Any]) -> list[str]:
    """Record where SQLAlchemy connects, and refuse another PostgreSQL database than the job's.

    Tests must never migrate a developer's database because a variable was forgotten. The name is
    enough to tell: no other database on any server has it. ``job["connecting"]`` is the place of a
    connection that has not been made yet.
    """
    connected: list[str] = []

    @event.listens_for(Engine, "do_connect")
    def check(dialect: Any, _record: Any, _cargs: Any, cparams: dict[str, Any]) -> None:
        if dialect.name != "postgresql":
            return
        name = cparams.get("database") or cparams.get("dbname")
        place = f"{name} on {cparams.get('host') or 'localhost'}:{cparams.get('port') or 5432}"
        if name is not None and name != job["database"]:
            raise ElsewhereError(place)
        job["connecting"] = place
        if place not in connected:
            connected.append(place)

    @event.listens_for(Pool, "connect")
    def made(_connection: Any, _record: Any) -> None:
        job.pop("connecting", None)

    return connected


def driver(url: str, env_py: str) -> str:
    """The driver of the URL that env.py is given: the configuration's own, if it can be imported."""
    named = _MODULES.get(url.partition("://")[0].partition("+")[2])
    if named and importlib.util.find_spec(named):
        return url.partition("://")[0].partition("+")[2]
    if _ASYNC.search(env_py):
        return "asyncpg"
    return sync_driver() or "asyncpg"


def sync_driver() -> str:
    return next((name for name in ("psycopg", "psycopg2") if importlib.util.find_spec(name)), "")


def with_driver(url: str, name: str) -> str:
    return url.replace("postgresql://", f"postgresql+{name}://", 1)


class _Attributes(dict[str, Any]):
    """`Config.attributes` that makes a connection for an env.py which insists on being given one."""

    def __init__(self, url: str, plain: str) -> None:
        super().__init__(pgharness_url=url)
        self._plain = plain

    def __missing__(self, key: str) -> Any:
        if key != "connection" or not (name := sync_driver()):
            raise KeyError(key)
        self[key] = create_engine(with_driver(self._plain, name), poolclass=NullPool).connect()
        return self[key]


def _upgrade(job: dict[str, Any]) -> dict[str, Any]:
    from alembic import command  # noqa: PLC0415 (create_all does without Alembic)
    from alembic.config import Config  # noqa: PLC0415 - a project may have no Alembic
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - the same

    files = {"toml_file": job["toml"]} if job["toml"] else {}
    config = Config(job["ini"], stdout=io.StringIO(), **files)
    section = config.config_ini_section
    own = config.file_config.get(section, "sqlalchemy.url", raw=True, fallback="")
    env_py = (Path(job["script"]) / "env.py").read_text(encoding="utf-8")
    url = with_driver(job["url"], driver(own, env_py))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    config.attributes = _Attributes(url, job["url"])

    try:
        heads = ScriptDirectory.from_config(config).get_heads()
    except KeyError as error:
        raise JobError("alembic", message=f"a migration follows {error}, which is not there.") from error
    if len(heads) > 1:
        raise JobError("heads", heads=list(heads))
    command.upgrade(config, "head")
    return {"revisions": len(heads)}


def _create_all(job: dict[str, Any]) -> dict[str, Any]:
    metadata = _load(job["metadata"])
    if not metadata.tables:
        raise JobError("empty metadata")

    def create(connection: Connection) -> None:
        for schema in sorted({table.schema for table in metadata.tables.values() if table.schema}):
            connection.execute(CreateSchema(schema, if_not_exists=True))
        metadata.create_all(connection)

    name = sync_driver()
    if name:
        with create_engine(with_driver(job["url"], name), poolclass=NullPool).begin() as connection:
            create(connection)
    else:
        asyncio.run(_create_with_asyncpg(job["url"], create))
    return {}


async def _create_with_asyncpg(url: str, create: Callable[[Connection], None]) -> None:
    async with create_async_engine(with_driver(url, "asyncpg"), poolclass=NullPool).begin() as connection:
        await connection.run_sync(create)


def _load(target: str) -> MetaData:
    found = load(target, "no metadata")
    if inspect.isclass(found):  # a declarative base
        found = getattr(found, "metadata", found)
    if not isinstance(found, MetaData):
        raise JobError("no metadata", reason=f"it is a {type(found).__name__}, not a MetaData.")
    return found


def load(target: str, kind: str) -> Any:
    """What ``MODULE:ATTRIBUTE`` names; if it is not there, the `JobError` is of ``kind``."""
    module, _, path = target.partition(":")
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not (module == error.name or module.startswith(error.name + ".")):
            raise
        raise JobError(kind, reason=f"there is no module {error.name!r}.") from None
    for attribute in path.split("."):
        try:
            found = getattr(found, attribute)
        except AttributeError:
            raise JobError(kind, reason=f"{module} has no attribute {path!r}.") from None
    return found
