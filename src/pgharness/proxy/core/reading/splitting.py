"""A script as its statements."""

from __future__ import annotations

from collections.abc import Iterator

from pgharness.proxy.core.reading.pieces import Piece
from pgharness.proxy.core.tokens import Token, tokenize

_SPACE = " \t\n\r\f\v"


def split(script: str) -> Iterator[tuple[Piece, str]]:
    """Each statement that is not empty, with its text: from its first token to the semicolon.

    That is what PostgreSQL takes for the text of a statement: without the comments before it.
    """
    tokens = tokenize(script)
    first = 0
    for at in [*(_ends(tokens) if ";" in script else ()), len(tokens)]:
        if at > first:
            start = tokens[first].start
            end = tokens[at].start if at < len(tokens) else len(script)
            yield Piece(tokens[first:at], start), script[start:end].rstrip(_SPACE)
        first = at + 1


def _ends(tokens: list[Token]) -> Iterator[int]:
    """The semicolons that end a statement: none in parentheses, and none in the body of an SQL function."""
    depth = blocks = first = 0
    for at, (kind, value, _, _) in enumerate(tokens):
        if kind == "op":
            if value == ";" and depth <= 0 and not blocks:
                yield at
                depth, first = 0, at + 1
            else:
                depth += (value == "(") - (value == ")")
        elif kind == "word" and value in ("begin", "case", "end") and not depth:
            blocks = _blocks(tokens, at, first, blocks)


def _blocks(tokens: list[Token], at: int, first: int, blocks: int) -> int:
    """How many blocks are open behind BEGIN, CASE or END."""
    before, value = tokens[at - 1].value if at > first else "", tokens[at].value
    if value == "begin":
        atomic = at + 1 < len(tokens) and tokens[at + 1].value == "atomic"
        return 1 if atomic and not blocks and _defines_routine(tokens, first) else blocks
    if not blocks or before in (".", "as"):
        return blocks
    return blocks + (1 if value == "case" else -1)


def _defines_routine(tokens: list[Token], first: int) -> bool:
    words = [token.value for token in tokens[first : first + 4]]
    return words[:1] == ["create"] and ("function" in words or "procedure" in words)
