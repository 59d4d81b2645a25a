"""What makes the schema of this project, decided from the options and the files alone."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path
from typing import Literal

from pgharness.config import Config
from pgharness.errors import ConfigError
from pgharness.schema import clock, launch, problems, seeds, sql
from pgharness.schema.fingerprint import fingerprint
from pgharness.schema.locations import Locations, locate
from pgharness.server.base import Address

Kind = Literal["alembic", "metadata", "sql", "empty"]


@dataclasses.dataclass(frozen=True, slots=True)
class Schema:
    """How an empty database becomes the application's.

    In this order: the extensions of `pg_extensions`, the SQL files of `pg_sql`, and then the
    migrations or `create_all`; last `pg_seed`. So SQL files may prepare what migrations need (roles,
    schemas), or be a dump from which the migrations go on.
    """

    kind: Kind
    config: Config
    ini: Path | None = None
    """The alembic.ini, if there is one."""
    toml: Path | None = None
    """The pyproject.toml with [tool.alembic], if there is one."""

    @property
    def describe(self) -> str:
        """A noun phrase for messages: ``the migrations of alembic.ini``."""
        if self.kind == "alembic":
            return f"the migrations of {problems.relative(self.ini or self.toml, self.config.root)}"
        if self.kind == "metadata":
            return f"create_all of {self.config.metadata}"
        if self.kind == "sql":
            files = ", ".join(self.config.sql[:3])
            return f"the SQL of {files}{', ...' if len(self.config.sql) > 3 else ''}"  # noqa: PLR2004 - as many as are named
        return "an empty database"

    def locations(self) -> Locations | None:
        """Where Alembic's files lie; None for another kind.

        Raises:
            SchemaError: The configuration names no script_location, or one that is not there.
        """
        return locate(self.ini, self.toml, self.config.root) if self.kind == "alembic" else None

    def fingerprint(self, major: int, owner: str = "") -> str:
        """12 hexadecimal digits that change with everything that can change the schema.

        ``major`` is that of the server, ``owner`` the role that runs the migrations.

        It does not depend on times, on the order of directory listings, or on where the checkout lies.

        Raises:
            SchemaError: A file that the options name is not there.
        """
        return fingerprint(self.config, self.kind, self.locations(), major, owner)

    def apply(self, address: Address, database: str, superuser: Address | None = None) -> None:
        """Bring the empty ``database`` to the application's schema; its code runs in a subprocess.

        ``address`` is the login of its owner; what only a superuser may, ``superuser`` does, if there is one.

        Raises:
            SchemaError: It could not; the message names the migration, seed, file or statement.
        """
        locations = self.locations()
        files = sql.read(self.config)
        steps = seeds.read(self.config)
        superuser = superuser or address
        sql.create_extensions(superuser, database, self.config.extensions)
        sql.run(address, database, files)
        if locations is not None:
            launch.upgrade(self.config, locations, address, database)
        elif self.kind == "metadata":
            launch.create_all(self.config, address, database)
        seeds.run(steps, self.config, address, database)
        if self.config.clock == "on":
            clock.install(superuser, database)


def find(config: Config) -> Schema:
    """The schema of the project: cheap, nothing of the project is imported.

    `pg_metadata` goes before an alembic.ini that was only found, and contradicts one that was named.

    Raises:
        ConfigError: `pg_migrations` and `pg_metadata` are both given.
        SchemaError: The file of `pg_migrations` is not there.
    """
    given = config.migrations not in ("auto", "none")
    if given and config.metadata:
        raise ConfigError(
            f"pg_migrations = {config.migrations!r} ({config.sources['migrations']}) and "
            f"pg_metadata = {config.metadata!r} ({config.sources['metadata']}) contradict each other.",
            cause="The schema comes from Alembic's migrations or from create_all, not from both.",
            fix=["drop pg_metadata to test on the migrated schema", "drop pg_migrations"],
        )
    if config.metadata:
        return Schema("metadata", config)
    if config.migrations != "none":
        ini, toml = _named(config) if given else _beside(config.root)
        if ini or toml:
            return Schema("alembic", config, ini, toml)
    return Schema("sql" if config.sql else "empty", config)


def _named(config: Config) -> tuple[Path | None, Path | None]:
    path = config.path(config.migrations)
    if not path.is_file():
        raise problems.no_migrations_file(config, path)
    if path.suffix != ".toml":
        return path, _with_alembic(path.parent / "pyproject.toml")
    if _with_alembic(path) is None:
        raise problems.no_tool_alembic(config, path)
    return None, path


def _beside(root: Path) -> tuple[Path | None, Path | None]:
    ini = root / "alembic.ini"
    return (ini if ini.is_file() else None), _with_alembic(root / "pyproject.toml")


def _with_alembic(pyproject: Path) -> Path | None:
    try:
        content = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return pyproject if isinstance(content.get("tool", {}).get("alembic"), dict) else None
