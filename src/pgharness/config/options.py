"""One table of options: command line, ini file, environment and the frozen `Config` come from it.

Option ``pg_x`` is ``--pg-x`` on the command line, ``pg_x`` in the ini file and ``PGHARNESS_X`` in
the environment.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from pgharness.errors import ConfigError

if TYPE_CHECKING:
    import pytest

Kind = Literal["text", "choice", "integer", "seconds", "lines"]
_SWITCH = ("off", "on")
DEFAULT_LOCALE = "C.UTF-8"
DEFAULT_ROLE = "pgharness_app"


@dataclasses.dataclass(frozen=True, slots=True)
class Option:
    """One option: its names, kind, default and help text.

    Args:
        name: The short name ``x`` of ``--pg-x``, ``pg_x`` and ``PGHARNESS_X``.
        kind: How its text is read: ``lines`` is a list, one value a line (``|`` or newlines apart
            in the environment), ``seconds`` a positive number.
        default: The value when nobody sets it.
        help: One sentence, shown by ``pytest --help`` and in the reference.
        choices: The valid values of a ``choice``.
        metavar: What the help calls the value.
    """

    name: str
    kind: Kind
    default: Any
    help: str
    choices: tuple[str, ...] = ()
    metavar: str = "VALUE"

    @property
    def flag(self) -> str:
        return "--pg-" + self.name.replace("_", "-")

    @property
    def ini(self) -> str:
        return "pg_" + self.name

    @property
    def env(self) -> str:
        return "PGHARNESS_" + self.name.upper()

    def parse(self, value: str | Sequence[str], source: str) -> Any:
        """The typed value of ``value`` as it was given in ``source``.

        Raises:
            ConfigError: The value is not one of the valid ones.
        """
        if self.kind == "lines":
            parts = value.replace("|", "\n").split("\n") if isinstance(value, str) else value
            return tuple(part.strip() for part in parts if part.strip())
        text = value.strip() if isinstance(value, str) else "".join(value)
        if self.kind == "choice":
            if self.choices == _SWITCH:
                text = {"false": "off", "true": "on"}.get(text.lower(), text)
            if text not in self.choices:
                near = difflib.get_close_matches(text, self.choices, n=1)
                raise _wrong(self, text, source, f"one of: {', '.join(self.choices)}", near)
            return text
        if self.kind == "integer":
            if not text.isdecimal():
                raise _wrong(self, text, source, "a whole number, zero or more", [])
            return int(text)
        if self.kind == "seconds":
            try:
                seconds = float(text)
            except ValueError:
                seconds = 0.0
            if not 0 < seconds < float("inf"):
                raise _wrong(self, text, source, "a number of seconds greater than zero", [])
            return seconds
        return text


def _wrong(option: Option, text: str, source: str, valid: str, near: list[str]) -> ConfigError:
    guess = f" (did you mean {near[0]!r}?)" if near else ""
    return ConfigError(f"{option.ini} = {text!r} ({source}) is not valid{guess}.", fix=[f"use {valid}"])


OPTIONS: tuple[Option, ...] = (
    Option("app", "text", "", "The application under test, or its factory.", metavar="MODULE:ATTR"),
    Option(
        "env",
        "lines",
        (),
        "Environment variables by which the app learns its database, set before anything is imported; "
        "templates know {url} {asyncpg_url} {psycopg_url} {psycopg2_url} {host} {port} {user} {password} "
        "{database} {sslrootcert}.",
        metavar="NAME=TEMPLATE",
    ),
    Option(
        "migrations",
        "text",
        "auto",
        "The alembic.ini (or a pyproject.toml with [tool.alembic]) to upgrade to head; 'auto' looks beside "
        "the ini file, 'none' runs no migrations.",
        metavar="PATH",
    ),
    Option("metadata", "text", "", "Without Alembic: the MetaData to create_all.", metavar="MODULE:ATTR"),
    Option("sql", "lines", (), "Without Alembic: SQL files to run, in this order.", metavar="PATH"),
    Option("extensions", "lines", (), "Extensions to create before the schema.", metavar="NAME"),
    Option(
        "seed",
        "lines",
        (),
        "What fills the template after the schema, in this order: functions that are given a session or "
        "a connection, and SQL files; part of the fingerprint.",
        metavar="MODULE:FUNCTION",
    ),
    Option(
        "template_inputs",
        "lines",
        (),
        "Further files or directories whose content can change the schema; part of the fingerprint.",
        metavar="PATH",
    ),
    Option(
        "backend",
        "choice",
        "auto",
        "Where PostgreSQL comes from; 'auto' takes pg_url, else a Docker engine that answers, else "
        "local binaries.",
        choices=("auto", "container", "local", "external"),
    ),
    Option(
        "url",
        "text",
        "",
        "A server somebody else runs: postgresql://user:password@host:port/database.",
        metavar="URL",
    ),
    Option("image", "text", "postgres:17", "The image of the container backend.", metavar="IMAGE"),
    Option("bin", "text", "", "The directory of the server binaries for the local backend.", metavar="DIR"),
    Option(
        "version",
        "integer",
        0,
        "The major version of PostgreSQL the tests require; 0 takes any.",
        metavar="MAJOR",
    ),
    Option(
        "server_settings",
        "lines",
        (),
        "Parameters of the server that the harness starts, as in postgresql.conf; part of the fingerprint.",
        metavar="NAME=VALUE",
    ),
    Option(
        "locale",
        "text",
        DEFAULT_LOCALE,
        "The locale of the databases, and so how text is sorted and compared; the same on every backend.",
        metavar="NAME",
    ),
    Option(
        "port",
        "integer",
        0,
        "The port that the app is given, for one that takes none from its settings; 0 takes a free one. "
        "Each xdist worker has it on a loopback address of its own.",
        metavar="PORT",
    ),
    Option(
        "tmpdir",
        "text",
        "",
        "Where the local backend keeps its data; default a tmpfs if there is one.",
        metavar="DIR",
    ),
    Option(
        "start_timeout",
        "seconds",
        60.0,
        "How long a server may take to answer, in seconds.",
        metavar="SECONDS",
    ),
    Option(
        "isolation",
        "choice",
        "auto",
        "How a test's changes are undone: 'rollback' in one transaction, 'database' by real commits in "
        "a clone; 'auto' begins with rollback, and runs a test again with real commits where it needs them.",
        choices=("auto", "rollback", "database"),
    ),
    Option(
        "real_commits",
        "text",
        "",
        "A file of the tests that need real commits, for a CI that keeps no cache: a run writes it, the "
        "project commits it; default pytest's cache.",
        metavar="PATH",
    ),
    Option(
        "clock",
        "choice",
        "auto",
        "Whether now() in the database moves on with each transaction and follows freezegun; 'auto' is 'on' "
        "where the harness is a superuser, which it needs.",
        choices=("auto", *_SWITCH),
    ),
    Option(
        "reset_sequences",
        "choice",
        "on",
        "Whether every test begins with the sequences, and so the ids, where the template left them.",
        choices=_SWITCH,
    ),
    Option(
        "role",
        "text",
        DEFAULT_ROLE,
        f"The role that the app connects as: {DEFAULT_ROLE!r} is no superuser, owns the database and runs "
        "the migrations; another is one that the migrations create, or the server's superuser.",
        metavar="ROLE",
    ),
    Option(
        "driver",
        "choice",
        "auto",
        "The driver of db_session; 'auto' reads it from pg_env and the engines that connect.",
        choices=("auto", "asyncpg", "psycopg", "psycopg2"),
    ),
    Option(
        "tiers",
        "lines",
        (),
        "Directories below tests that are tiers: 'unit', 'integration', 'api'. Tests there are marked so; a "
        "unit test reaches no database and no network, the others nothing but PostgreSQL. Default: none.",
        metavar="NAME",
    ),
    Option(
        "allow_hosts",
        "lines",
        (),
        "HOST, HOST:PORT or unix:PATH that tests of the tiers may reach besides PostgreSQL.",
        metavar="HOST",
    ),
    Option(
        "lock_timeout",
        "seconds",
        10.0,
        "How long a test may wait for a lock before it fails, in seconds.",
        metavar="SECONDS",
    ),
)


def declare(parser: pytest.Parser) -> None:
    """Make the options known to pytest, on its command line and in its ini file."""
    group = parser.getgroup("pgharness", "real PostgreSQL for tests (pgharness)")
    for option in OPTIONS:
        help_text = f"{option.help} (ini {option.ini}, environment {option.env})"
        if option.choices:
            help_text += f" Default: {option.default}; one of {', '.join(option.choices)}."
        elif option.default:
            help_text += f" Default: {option.default}."
        action = "append" if option.kind == "lines" else "store"
        group.addoption(
            option.flag, action=action, dest=option.ini, default=None, metavar=option.metavar,
            help=help_text.replace("%", "%%"),
        )  # fmt: skip
        lines: Literal["linelist", "string"] = "linelist" if option.kind == "lines" else "string"
        parser.addini(option.ini, option.help, type=lines, default=None)
