"""A simple query as the steps in which it is sent."""

from __future__ import annotations

import dataclasses
from collections import deque
from functools import lru_cache

from pgharness.proxy.core.statements import Statement, read

_TOGETHER = frozenset(("plain", "fetch", "move", "show"))
"""The kinds of statement that can be sent in one query with others."""


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """A part of a script, its statements, and how many characters precede it."""

    text: str
    statements: tuple[Statement, ...]
    start: int


def steps(text: str) -> deque[Step]:
    """The steps of the script ``text``; none for one without a statement."""
    return deque(_steps(text))


@lru_cache(maxsize=2048)
def _steps(text: str) -> tuple[Step, ...]:
    statements = read(text)
    if not statements:
        return ()
    if len(statements) == 1 or all(_is_plain(statement) for statement in statements):
        return (Step(text, statements, 0),)
    return tuple(Step(statement.text, (statement,), statement.start) for statement in statements)


def _is_plain(statement: Statement) -> bool:
    return statement.kind in _TOGETHER and not statement.set_configs and not statement.outside
