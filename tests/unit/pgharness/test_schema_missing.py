"""What is advised where a schema's code misses something that others make before it."""

import pytest

from pgharness.schema.missing import made_before

BY_FILE = 'if it is made beforehand, as by an init script: pg_sql = ["FILE.sql"], with what makes it'


def by_extension(name: str) -> str:
    return f'if an extension brings it: pg_extensions = ["{name}"]'


@pytest.mark.parametrize(("sqlstate", "message", "advice"), [
    ("3F000", 'schema "board" does not exist', BY_FILE),
    ("42704", 'role "reader" does not exist', BY_FILE),
    ("42704", 'text search configuration "board" does not exist', BY_FILE),
    ("42704", 'type "citext" does not exist', by_extension("citext")),
    ("42704", 'type "public.geometry" does not exist', by_extension("postgis")),
    ("42704", 'type "mood" does not exist', by_extension("NAME")),
    ("42704", 'operator class "gin_trgm_ops" does not exist', by_extension("pg_trgm")),
    ("42883", "function uuid_generate_v4() does not exist (No function matches)", by_extension("uuid-ossp")),
    ("42883", "function public.crypt(text, text) does not exist", by_extension("pgcrypto")),
])  # fmt: skip
def test_what_is_missing_may_be_made_by_an_extension_or_a_file(
    sqlstate: str, message: str, advice: str
) -> None:
    assert made_before(sqlstate, message) == [advice]


@pytest.mark.parametrize(("sqlstate", "message"), [
    ("42P01", 'relation "users" does not exist'),  # the migrations' own
    ("23505", 'duplicate key value violates unique constraint "schema"'),
    ("", "KeyError: 'schema'"),
])  # fmt: skip
def test_of_anything_else_nothing_is_said(sqlstate: str, message: str) -> None:
    assert made_before(sqlstate, message) == []
