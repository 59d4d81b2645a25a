"""The options of a run, resolved once; precedence is command line, environment, ini file, default."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pgharness.config.check import check
from pgharness.config.options import OPTIONS

Source = Literal["command line", "environment", "ini", "default"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The resolved options of a run. Fields are the names of `OPTIONS`.

    ``sources`` maps each field to where its value came from; ``root`` is the directory that
    relative paths start from (that of the ini file, else pytest's rootdir).
    """

    app: str
    env: tuple[str, ...]
    migrations: str
    metadata: str
    sql: tuple[str, ...]
    extensions: tuple[str, ...]
    seed: tuple[str, ...]
    template_inputs: tuple[str, ...]
    backend: Literal["auto", "container", "local", "external"]
    url: str = dataclasses.field(repr=False)
    image: str
    bin: str
    version: int
    server_settings: tuple[str, ...]
    locale: str
    port: int
    tmpdir: str
    start_timeout: float
    isolation: Literal["auto", "rollback", "database"]
    real_commits: str
    clock: Literal["auto", "off", "on"]
    reset_sequences: Literal["off", "on"]
    role: str
    driver: Literal["auto", "asyncpg", "psycopg", "psycopg2"]
    tiers: tuple[str, ...]
    allow_hosts: tuple[str, ...]
    lock_timeout: float
    root: Path
    sources: Mapping[str, Source]

    def path(self, text: str) -> Path:
        """``text`` as an absolute path; relative ones start at ``root``."""
        return (self.root / Path(text).expanduser()).resolve()


def resolve(
    *,
    command_line: Callable[[str], str | Sequence[str] | None],
    ini: Callable[[str], str | Sequence[str] | None],
    environ: Mapping[str, str],
    root: Path,
) -> Config:
    """Resolve every option once.

    ``command_line`` and ``ini`` return the raw value of ``pg_x``, or None where it is not set.

    Raises:
        ConfigError: A value is not valid, or two of them contradict each other.
    """
    values: dict[str, Any] = {}
    sources: dict[str, Source] = {}
    for option in OPTIONS:
        given: tuple[str | Sequence[str], Source, str] | None = None
        if (value := command_line(option.ini)) is not None:
            given = value, "command line", option.flag
        elif option.env in environ:
            given = environ[option.env], "environment", option.env
        elif (value := ini(option.ini)) is not None:
            given = value, "ini", "ini file"
        if given is None:
            values[option.name], sources[option.name] = option.default, "default"
        else:
            values[option.name] = option.parse(given[0], given[2])
            sources[option.name] = given[1]
    config = Config(**values, root=root, sources=sources)
    check(config)
    return config
