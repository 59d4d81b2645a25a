"""A ``now()`` in the template that each transaction can be told (`pg_clock`).

``now()`` of ``pg_catalog`` is replaced in this database alone, so column defaults, views and functions that
the migrations have made follow without a change. The keywords ``CURRENT_TIMESTAMP`` and its like call no
function: where a column default uses one, the default is set again in terms of ``now()``.
"""

from __future__ import annotations

import re

import asyncpg

from pgharness.schema import problems
from pgharness.schema.sql import connection_to, postgres_says
from pgharness.server.background import background
from pgharness.server.base import Address

SETTING = "pgharness.now"
"""The run-time parameter that ``now()`` reads."""
_NOW = f"""
CREATE OR REPLACE FUNCTION pg_catalog.now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT coalesce(nullif(current_setting('{SETTING}', true), '')::timestamptz, transaction_timestamp())
$$
"""
_KEYWORDS = {
    "CURRENT_TIMESTAMP": "now()",
    "LOCALTIMESTAMP": "(now())::timestamp",
    "CURRENT_DATE": "(now())::date",
    "LOCALTIME": "(now())::time",
}
_DEFAULTS = """
SELECT attrelid::regclass::text, quote_ident(attname), pg_get_expr(adbin, adrelid)
FROM pg_attrdef JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum
WHERE attgenerated = '' AND attrelid >= 16384
"""  # objects of users have such oids


def install(address: Address, database: str) -> None:
    """Have ``now()`` in ``database`` follow the clock of the tests.

    Raises:
        SchemaError: The role may not replace a function of ``pg_catalog``, which only a superuser may.
    """
    background.run(_install(address, database))


async def _install(address: Address, database: str) -> None:
    async with connection_to(address, database) as connection:
        try:
            await connection.execute(_NOW)
            for table, column, default in await connection.fetch(_DEFAULTS):
                if (calling := _in_terms_of_now(default)) != default:
                    await connection.execute(
                        f"ALTER TABLE {table} ALTER COLUMN {column} SET DEFAULT {calling}"
                    )
        except asyncpg.PostgresError as error:
            raise problems.no_clock(address.user, postgres_says(error)) from error


def _in_terms_of_now(expression: str) -> str:
    return re.sub(rf"\b({'|'.join(_KEYWORDS)})\b", lambda found: _KEYWORDS[found[0]], expression)
