"""Calls of ``set_config``, and what a function's body sets."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from pgharness.proxy.core.reading.assignments import canonical, parameter, special
from pgharness.proxy.core.reading.pieces import Cursor, Piece

_TRUE = frozenset(("true", "t", "yes", "y", "on", "1"))
_FALSE = frozenset(("false", "f", "no", "n", "off", "0"))
_BEFORE_A_STATEMENT = frozenset(("", ";", "begin", "then", "else", "loop", "atomic", ">>"))


@dataclasses.dataclass(frozen=True, slots=True)
class SetConfig:
    """A parameter that is set by a call of ``set_config``, or by SET in a function.

    ``name`` is None where it is not written out, ``name_param`` then the number of the parameter of the
    statement that gives it, if one does; likewise ``is_local`` and ``local_param``.
    """

    name: str | None
    name_param: int | None = None
    is_local: bool | None = None
    local_param: int | None = None


def set_configs(piece: Piece) -> tuple[SetConfig, ...]:
    """Each call of ``set_config`` in the statement."""
    return tuple(_call(piece, at + 2) for at in _calls(piece))


def setting_like(piece: Piece) -> frozenset[str]:
    """The literals that may name a parameter, in a statement that calls ``set_config``."""
    first = {at + 2 for at in _calls(piece)}
    if not first:
        return frozenset()
    return frozenset(
        piece.value(at).lower()
        for at in piece.places("'")
        if at in first or _is_parameter_with_point(piece.value(at))
    )


def function_settings(source: str) -> tuple[SetConfig, ...]:
    """The settings that a function may change whose body, in plpgsql or SQL, is ``source``.

    They are those of its calls of ``set_config``, of SET and of RESET, also in a literal that it executes.
    The numbers of parameters are those of the function's own. RESET ALL sets a parameter of any name.
    """
    return settings_in(Piece.of(source))


def settings_in(piece: Piece, depth: int = 0) -> tuple[SetConfig, ...]:
    found = list(set_configs(piece))
    for at, mark in enumerate(piece.marks):
        if mark in ("set", "reset") and piece.marks[at - 1] in _BEFORE_A_STATEMENT:
            found += _assigned(piece, at)
        elif mark == "'" and depth < 2 and "set" in piece.value(at).lower():  # noqa: PLR2004 - no text within a text within a text
            found += settings_in(Piece.of(piece.value(at)), depth + 1)
    return tuple(dict.fromkeys(found))


def _assigned(piece: Piece, at: int) -> Iterator[SetConfig]:
    cursor = Cursor(piece, at)
    resets = cursor.take("reset")
    if not resets:
        cursor.take("set")
    local = not resets and cursor.take("local")
    if not local and cursor.following != "authorization":
        cursor.take("session")
    if resets and cursor.take("all"):
        yield SetConfig(None, is_local=False)
    elif cursor.mark in ("constraints", "transaction", "characteristics"):
        return
    else:
        yield SetConfig(special(cursor) or parameter(cursor) or None, is_local=local)


def _calls(piece: Piece) -> Iterator[int]:
    for at, mark in enumerate(piece.marks):
        if mark == "(" and at and piece.label(at - 1) == "set_config":
            yield at - 1


def _call(piece: Piece, at: int) -> SetConfig:
    arguments = list(_arguments(piece, at))
    name, name_param = _argument(piece, *arguments[0]) if arguments else (None, None)
    local, local_param = _argument(piece, *arguments[2]) if len(arguments) > 2 else (None, None)  # noqa: PLR2004 - the third is whether it is local
    known = None if local is None else local.strip().lower()
    is_local = True if known in _TRUE else False if known in _FALSE else None
    return SetConfig(None if name is None else canonical(name), name_param, is_local, local_param)


def _arguments(piece: Piece, at: int) -> Iterator[tuple[int, int]]:
    """Where each argument begins and ends."""
    depth, start = 0, at
    for here in range(at, len(piece.tokens)):
        mark = piece.marks[here]
        depth += (mark in ("(", "[")) - (mark in (")", "]"))
        if depth < 0 or (mark == "," and not depth):
            yield start, here
            start = here + 1
        if depth < 0:
            return


def _argument(piece: Piece, start: int, end: int) -> tuple[str | None, int | None]:
    """A literal or the number of a parameter, with or without a cast."""
    if start >= end or (end - start > 1 and piece.marks[start + 1] != "::"):
        return None, None
    mark, value = piece.marks[start], piece.value(start)
    if mark == "$1":
        return None, int(value[1:7])
    return (value, None) if mark in ("'", "true", "false") else (None, None)


def _is_parameter_with_point(text: str) -> bool:
    parts = text.replace("$", "_").split(".")
    return len(parts) > 1 and all(part.isidentifier() for part in parts)
