"""The sentences of `SchemaError`: a named constructor for each cause."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path

from pgharness.config import Config
from pgharness.errors import SchemaError
from pgharness.schema.missing import NO_PRIVILEGE, made_before, privileged

_SQL_SHOWN = 500
_SEEDS = "`async def load(session: AsyncSession)`", "`def load(session: Session)`"


def relative(path: Path | None, root: Path) -> str:
    """``path`` as it reads from ``root``."""
    if path is None:
        return ""
    resolved, start = path.resolve(), root.resolve()
    return resolved.relative_to(start).as_posix() if resolved.is_relative_to(start) else str(path)


def shortened(sql: str) -> str:
    """A statement on one line, cut after 500 characters."""
    line = " ".join(sql.split())
    return line if len(line) <= _SQL_SHOWN else line[:_SQL_SHOWN] + " ..."


def no_migrations_file(config: Config, path: Path) -> SchemaError:
    return SchemaError(
        f"pg_migrations = {config.migrations!r} ({config.sources['migrations']}) is not a file.",
        checked=[str(path)],
        fix=[
            "give --pg-migrations the path of the alembic.ini",
            "give --pg-migrations=none if the project has no migrations",
        ],
    )


def no_tool_alembic(config: Config, path: Path) -> SchemaError:
    return SchemaError(
        f"pg_migrations = {config.migrations!r} ({config.sources['migrations']}) has no [tool.alembic].",
        checked=[str(path)],
        fix=["give --pg-migrations the path of the alembic.ini"],
    )


def unreadable_ini(ini: Path, error: Exception) -> SchemaError:
    reason = str(error).splitlines()[0]
    return SchemaError(
        f"{ini.name} cannot be read: {reason}",
        checked=[str(ini)],
        fix=[f"mend {ini.name}; `alembic current` must read it"],
    )


def no_script_location(source: Path, root: Path) -> SchemaError:
    table = "[tool.alembic]" if source.suffix == ".toml" else "[alembic]"
    return SchemaError(
        f"{relative(source, root)} has no script_location in {table}.",
        cause="Alembic finds env.py and the migrations through it.",
        fix=[
            "add `script_location = migrations`, the directory that holds env.py",
            "give --pg-migrations the path of the alembic.ini that has it",
        ],
    )


def no_env_py(location: str, source: Path, looked: Iterable[Path], root: Path) -> SchemaError:
    return SchemaError(
        f"script_location = {location!r} of {relative(source, root)} holds no env.py.",
        checked=list(dict.fromkeys(str(directory / "env.py") for directory in looked)),
        fix=["correct script_location; it is relative to the directory of the ini file of pytest"],
    )


def two_heads(heads: Sequence[str], source: str) -> SchemaError:
    return SchemaError(
        f"the migrations of {source} have {len(heads)} heads: {', '.join(sorted(heads))}.",
        cause="Two migrations follow the same one, so `alembic upgrade head` does not know which is meant.",
        fix=[
            "join them with `alembic merge heads`",
            "make one follow the other by its down_revision",
        ],
    )


def migration_failed(  # noqa: PLR0913 (what is shown)
    *, revision: str, title: str, file: str, line: int, message: str, sqlstate: str, statement: str
) -> SchemaError:
    name = f"{revision} {title!r}" if title else revision
    return SchemaError(
        f"migration {name} ({file}, line {line}) failed: {message}",
        cause=f"SQL: {shortened(statement)}" if statement else "",
        fix=[
            f"mend {file}; `alembic upgrade head` on an empty database fails in the same way",
            *made_before(sqlstate, message),
        ],
    )


def alembic_refused(source: str, message: str) -> SchemaError:
    return SchemaError(
        f"Alembic cannot upgrade by {source}: {message}",
        fix=["run `alembic upgrade head` on an empty database: it says the same"],
    )


def project_raised(
    *, what: str, error: str, trace: Sequence[str], sqlstate: str, statement: str
) -> SchemaError:
    return SchemaError(
        f"{what} raised {error}",
        cause="\n".join(_calls(trace, statement)),
        fix=[
            "if settings are missing, give them in pg_env, one NAME=TEMPLATE a line",
            "if the code is wrong, mend it; it ran in a process of its own, as by `alembic upgrade head`",
            *made_before(sqlstate, error),
        ],
    )


def _calls(trace: Sequence[str], statement: str) -> list[str]:
    lines = ["The last calls were:", *(f"  {call}" for call in trace)] if trace else []
    return [*lines, f"SQL: {shortened(statement)}"] if statement else lines


def connects_elsewhere(found: str, expected: str, env: Sequence[str], seed: str = "") -> SchemaError:
    return SchemaError(
        f"{_whose(seed)} wanted to connect to {found}, not to {expected}; it was not let.",
        cause="It takes its address from somewhere the harness does not set.",
        checked=_told(env, seed),
        fix=_tell(seed),
    )


def not_connected(found: str, error: str, expected: str, env: Sequence[str], seed: str = "") -> SchemaError:
    """The right database by name, with a wrong host, port, user or password."""
    return SchemaError(
        f"{_whose(seed)} could not connect to {found}: {error}",
        cause=f"The database is {expected}; a part of the address (host, port, user or password) comes from "
        "somewhere the harness does not set.",
        checked=_told(env, seed),
        fix=[
            'set every part the application reads: pg_env = ["DB_HOST={host}", "DB_PORT={port}", '
            '"DB_USER={user}", "DB_PASSWORD={password}", "DB_NAME={database}"]',
            *_tell(seed),
        ],
    )


def left_empty(source: str, expected: str, connected: Sequence[str], env: Sequence[str]) -> SchemaError:
    seen = (
        f"connections made: {', '.join(connected)}"
        if connected
        else "no connection was made through SQLAlchemy"
    )
    return SchemaError(
        f"{source} ran, but left {expected} empty.",
        cause="They ran on another database, or were not committed.",
        checked=[seen, *_told(env)],
        fix=_tell(),
    )


def _whose(seed: str) -> str:
    return f"the seed {seed}" if seed else "the schema's code"


def _told(env: Sequence[str], seed: str = "") -> list[str]:
    names = ", ".join(line.partition("=")[0].strip() for line in env)
    told = [f"pg_env sets {names}" if names else "pg_env sets nothing"]
    return told if seed else [*told, "env.py is given sqlalchemy.url and config.attributes['pgharness_url']"]


def _tell(seed: str = "") -> list[str]:
    return [
        'set the variable the application reads: pg_env = ["DATABASE_URL={asyncpg_url}"]',
        f"let it be given its session: {_SEEDS[0]}"
        if seed
        else 'read the address in env.py: config.get_main_option("sqlalchemy.url")',
    ]


def no_metadata(target: str, source: str, reason: str) -> SchemaError:
    return SchemaError(
        f"pg_metadata = {target!r} ({source}) cannot be loaded: {reason}",
        fix=['give --pg-metadata=MODULE:ATTRIBUTE, for example "app.models:Base.metadata"'],
    )


def empty_metadata(target: str, source: str) -> SchemaError:
    return SchemaError(
        f"pg_metadata = {target!r} ({source}) knows no table.",
        cause="Tables are known once the modules that define the models have been imported.",
        fix=["name a module that imports all models"],
    )


def no_sql_file(config: Config, option: str, text: str, path: Path) -> SchemaError:
    return SchemaError(
        f"pg_{option} names {text!r} ({config.sources[option]}), which is not a file.",
        checked=[str(path)],
        fix=["correct the path; it is relative to the directory of the ini file of pytest"],
    )


def meta_command(option: str, file: str, line: int, command: str) -> SchemaError:
    return SchemaError(
        f"{file}, line {line}: {command!r} is a command of psql, not SQL.",
        cause=f"The files of pg_{option} are sent to the server as they are.",
        fix=[
            "write it as SQL; a dump needs `pg_dump --inserts`",
            f"list the files that \\i names in pg_{option}, in their order",
        ],
    )


def sql_failed(file: str, line: int, statement: str, message: str, sqlstate: str) -> SchemaError:
    return SchemaError(
        f"{file}, line {line}, failed: {message}",
        cause=f"SQL: {shortened(statement)}",
        fix=[f"mend {file}", *(privileged(message) if sqlstate == NO_PRIVILEGE else [])],
    )


def no_template_input(config: Config, text: str, path: Path) -> SchemaError:
    return SchemaError(
        f"pg_template_inputs names {text!r} ({config.sources['template_inputs']}), which is not there.",
        checked=[str(path)],
        fix=["correct the path; it is relative to the directory of the ini file of pytest"],
    )


def no_extension(name: str, available: Sequence[str], version: str) -> SchemaError:
    near = difflib.get_close_matches(name, available, n=1)
    guess = f"; did you mean {near[0]!r}?" if near else ""
    return SchemaError(
        f"extension {name!r} is not installed on this server{guess}",
        checked=[f"the {len(available)} extensions available to PostgreSQL {version}"],
        fix=[
            "take a server that has it: --pg-image=IMAGE for a container, --pg-bin=DIR for local binaries",
            "install PostgreSQL's contrib package beside the server",
            "remove it from pg_extensions",
        ],
    )


def extension_failed(name: str, message: str) -> SchemaError:
    return SchemaError(
        f"extension {name!r} cannot be created: {message}",
        fix=["give --pg-url the address of a role that may create it", "remove it from pg_extensions"],
    )


def no_seed(target: str, source: str, reason: str) -> SchemaError:
    return SchemaError(
        f"pg_seed names {target!r} ({source}), which cannot be called: {reason}",
        fix=[f"write it as {' or '.join(_SEEDS)}", "give the path of a .sql file"],
    )


def seed_failed(*, seed: str, error: str, trace: Sequence[str], sqlstate: str, statement: str) -> SchemaError:
    return SchemaError(
        f"the seed {seed} raised {error}",
        cause="\n".join(_calls(trace, statement)),
        fix=[
            "mend the seed; it is called after the schema is built, in a process of its own",
            "if settings are missing, give them in pg_env, one NAME=TEMPLATE a line",
            *made_before(sqlstate, error),
        ],
    )


def crashed(what: str, code: int, output: Sequence[str], *, seeds: bool) -> SchemaError:
    alone = "call the seeds one by one" if seeds else "run `alembic upgrade head` on an empty database"
    return SchemaError(
        f"the process that runs {what} ended with code {code} and no result.",
        cause="\n".join(["Its last output was:", *(f"  {line}" for line in output)]) if output else "",
        fix=[f"{alone} to see it alone"],
    )


def no_clock(user: str, says: str) -> SchemaError:
    return SchemaError(
        f"now() in the template could not be replaced: {says}",
        cause="pg_clock = on replaces a function of PostgreSQL itself, which only a superuser may.",
        fix=[f'as a superuser: ALTER ROLE "{user}" SUPERUSER', "pg_clock = off"],
    )
