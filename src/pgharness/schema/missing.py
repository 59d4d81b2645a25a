"""What a schema's code lacks if something else makes it beforehand where the code usually runs.

An init script of a container, a managed database: what they make is not in an empty database.
"""

from __future__ import annotations

import re

_NO_SCHEMA, _NO_OBJECT, _NO_FUNCTION, NO_PRIVILEGE = "3F000", "42704", "42883", "42501"
"""https://www.postgresql.org/docs/current/errcodes-appendix.html"""

_CREATES_EXTENSION = re.compile(r'permission denied to create extension "([^"]+)"')
_OF_EXTENSIONS = re.compile(r'^(?:type|operator class|function) "?(?:\w+\.)?(\w+)')
_BROUGHT_BY = {
    **{name: name for name in ("citext", "hstore", "ltree", "unaccent", "vector")},
    **dict.fromkeys(("crypt", "digest", "gen_random_bytes", "gen_salt", "hmac"), "pgcrypto"),
    **dict.fromkeys(("gin_trgm_ops", "gist_trgm_ops", "similarity", "word_similarity"), "pg_trgm"),
    **dict.fromkeys(("uuid_generate_v1", "uuid_generate_v4", "uuid_generate_v5"), "uuid-ossp"),
    **dict.fromkeys(("geography", "geometry"), "postgis"),
}


def made_before(sqlstate: str, message: str) -> list[str]:
    """What to do about PostgreSQL's ``message`` if what it misses is made before the code runs."""
    if sqlstate == NO_PRIVILEGE:
        return privileged(message)
    if sqlstate not in (_NO_SCHEMA, _NO_OBJECT, _NO_FUNCTION):
        return []
    if (found := _OF_EXTENSIONS.match(message)) is None:
        return ['if it is made beforehand, as by an init script: pg_sql = ["FILE.sql"], with what makes it']
    extension = _BROUGHT_BY.get(found[1], "NAME")
    return [f'if an extension brings it: pg_extensions = ["{extension}"]']


def privileged(message: str) -> list[str]:
    """What to do about PostgreSQL's ``message`` that the role which owns the database may not do a thing."""
    if found := _CREATES_EXTENSION.search(message):
        return [f'have the harness create the extension before: pg_extensions = ["{found[1]}"]']
    return ['if the role that runs it in production is a superuser, name one: pg_role = "postgres"']
