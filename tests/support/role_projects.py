"""A project whose tests look at who they are to PostgreSQL, with any driver."""

from __future__ import annotations

from tests.support.project import Project

INI = """
[pytest]
pg_app = app:app
pg_env = DATABASE_URL={DRIVER_url}
pg_sql = schema.sql
pythonpath = .
asyncio_mode = auto
"""
SCHEMA = """
CREATE TABLE note (id serial PRIMARY KEY, tenant text NOT NULL, body text NOT NULL);
INSERT INTO note (tenant, body) VALUES ('a', 'of a'), ('b', 'of b');
ALTER TABLE note ENABLE ROW LEVEL SECURITY;
ALTER TABLE note FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON note USING (tenant = current_setting('app.tenant', true));
CREATE TABLE closed (id int);
INSERT INTO closed VALUES (1);
ALTER TABLE closed ENABLE ROW LEVEL SECURITY;
ALTER TABLE closed FORCE ROW LEVEL SECURITY;
DO $$BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'reader') THEN
        CREATE ROLE reader LOGIN PASSWORD 'of the reader';
        ALTER ROLE reader SET work_mem = '7MB';
    END IF;
END$$;
CREATE TABLE secret (id int);
CREATE SEQUENCE ticket;
"""
APP = """
import asyncio, os
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

URL = os.environ["DATABASE_URL"]
READER = make_url(URL).set(username="reader", password="of the reader").render_as_string(False)
app = object()

def within(work, url=URL, options={}):
    if make_url(url).drivername != "postgresql+asyncpg":
        with create_engine(url, poolclass=NullPool).connect().execution_options(**options) as connection:
            return work(connection)

    async def run():
        async with create_async_engine(url, poolclass=NullPool).connect() as connection:
            await connection.execution_options(**options)
            return await connection.run_sync(work)

    return asyncio.run(run())

def ask(sql, *before, url=URL):
    def work(connection):
        for statement in before:
            connection.execute(text(statement))
        rows = connection.execute(text(sql)).scalars().all()
        connection.commit()
        return rows
    return within(work, url)

def ask_after_discarding_all(sql, url=URL):
    def work(connection):
        connection.execute(text("DISCARD ALL"))
        return connection.execute(text(sql)).scalars().all()
    return within(work, url, {"isolation_level": "AUTOCOMMIT"})

def error(sql, url=URL):
    try:
        ask(sql, url=url) if sql.startswith("SELECT") else ask("SELECT 1", sql, url=url)
    except Exception as error:
        return str(error.orig).splitlines()[0].rpartition("Error'>: ")[2]
"""
HEAD = "import pytest\nfrom app import *\n\n"
MARKS = ["", 'pytestmark = pytest.mark.pg(isolation="database")\n']
"""Rollback, and real commits."""
DRIVERS = ["psycopg", "psycopg2", "asyncpg"]


def write_into(project: Project, driver: str = "psycopg") -> Project:
    """Have ``project`` connect by ``driver``."""
    project.write("pytest.ini", INI.replace("DRIVER", driver))
    project.write("schema.sql", SCHEMA)
    project.write("app.py", APP)
    return project


def passes(project: Project, code: str, *options: str) -> None:
    """Every test of ``code`` passes."""
    project.write("test_it.py", HEAD + code)
    result = project.pytest("test_it.py", *options)
    assert result.code == 0, result.output
