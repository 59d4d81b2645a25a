"""Projects whose seeds fill a table of notes."""

from __future__ import annotations

from pathlib import Path

from pgharness.schema.find import find
from pgharness.server.base import Server
from tests.support.schema_projects import (
    configure,
    fetch,
    write,
)

NOTES = "CREATE TABLE notes (id serial PRIMARY KEY, text text NOT NULL);\n"
INSERT = """
from sqlalchemy import text

def note(name): return text(f"INSERT INTO notes (text) VALUES ('{name}')")
"""


def seed_project(tmp_path: Path) -> Path:
    """A project with a table of notes, and what inserts one."""
    write(tmp_path, "schema.sql", NOTES)
    write(tmp_path, "seed_insert.py", INSERT)
    return tmp_path


def seeded(root: Path, server: Server, database: str, *seeds: str, **options: object) -> list[str]:
    """The notes in the order of their ids."""
    options = {"sql": ["schema.sql"], "seed": seeds, **options}
    find(configure(root, **options)).apply(server.address, database)
    return [text for (text,) in fetch(server.address, database, "SELECT text FROM notes ORDER BY id")]
