"""Migrating a database, and what a linter that knows PostgreSQL's locks says of the SQL of it."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import sysconfig
from pathlib import Path

from alembic import command
from alembic.config import Config

from pgharness.fixtures import Database

INI = Path(__file__).parents[2] / "alembic.ini"

EXCLUDED = {
    "prefer-robust-stmts": "a migration is a transaction; what leaves it can be run again",
    "prefer-bigint-over-int": "versions, attempts and hits are few",
    "prefer-bigint-over-smallint": "the status of an answer has three digits",
    "prefer-text-field": "the models say how long a text may be, in the words of the API",
    "ban-drop-column": "what still reads a column fails, and tries again, until it is replaced",
    "ban-drop-constraint": "a check that has proved a column NOT NULL goes again",
}
"""Rules that are not asked for, and why not."""


async def upgrade(database: Database, revision: str) -> None:
    # env.py calls asyncio.run, which refuses to inside a running loop.
    await asyncio.to_thread(command.upgrade, _config(database), revision)


async def downgrade(database: Database, revision: str) -> None:
    await asyncio.to_thread(command.downgrade, _config(database), revision)


def _config(database: Database) -> Config:
    return Config(INI, attributes={"url": database.asyncpg_url})


def sql_of(revisions: str) -> str:
    """The statements of an upgrade, such as ``base:head``; nothing is connected to."""
    written = io.StringIO()
    config = Config(INI, output_buffer=written, attributes={"url": "postgresql+asyncpg://localhost/none"})
    command.upgrade(config, revisions, sql=True)
    return written.getvalue()


def dangers(sql: str) -> list[str]:
    """Every rule that ``sql`` breaks with the line it breaks it in, by squawk (https://squawkhq.com)."""
    program = Path(sysconfig.get_path("scripts")) / "squawk"
    done = subprocess.run(
        [program, "--reporter=json", "--pg-version=15", f"--exclude={','.join(EXCLUDED)}"],
        input=sql,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = sql.splitlines()
    found = json.loads(done.stdout) if done.stdout.strip() else []
    return [f"{entry['rule_name']}: {lines[entry['line']].strip()}" for entry in found]
