"""What a client says on a connection of its own that the server is told in other words."""

from __future__ import annotations

import re

from pgharness.proxy.core.settings import AUTHORIZATION, literal
from pgharness.proxy.core.statements import Statement

_DENIED = """DO $$BEGIN
    RAISE EXCEPTION 'permission denied to set session authorization' USING ERRCODE = '42501';
END$$"""


def held(text: str, statements: tuple[Statement, ...], role: str) -> str:
    """``text`` in which SESSION AUTHORIZATION goes to no other role than ``role``."""
    for statement in reversed(statements):
        if statement.name != AUTHORIZATION or statement.kind not in ("set", "reset"):
            continue
        local = "LOCAL " if statement.is_local else ""
        own = f"SET {local}SESSION AUTHORIZATION {literal(role)}"
        end = statement.start + len(statement.text)
        text = text[: statement.start] + (own if statement.value in (None, role) else _DENIED) + text[end:]
    return text


def spared(text: str, statements: tuple[Statement, ...], database: str) -> str:
    """``text`` in which the database of the tests, by its name ``database``, is neither made nor dropped.

    A fixture that drops a database and creates it again, before it makes the tables, finds it as it is; and
    nobody else is connected to it, so nobody is ended.
    """
    name = re.escape(database)
    makes = re.compile(rf"(?:create|drop)\s+database\s+(?:if\s+exists\s+)?\"?{name}(?![\w$])", re.IGNORECASE)
    for statement in reversed(statements):
        if statement.cluster and makes.match(statement.text.lstrip()):
            instead = "DO 'BEGIN END'"
        elif statement.terminates and database in statement.text:
            instead = "SELECT true AS pg_terminate_backend WHERE false"
        else:
            continue
        end = statement.start + len(statement.text)
        text = text[: statement.start] + instead + text[end:]
    return text
