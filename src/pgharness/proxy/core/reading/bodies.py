"""The text that a statement holds: another statement, or the body of a function."""

from __future__ import annotations

from pgharness.proxy.core.reading.pieces import Piece


def body(piece: Piece, text: str, inner: int) -> str:
    """What the statement, whose text is ``text``, holds; ``inner`` is where one within it begins."""
    if 0 < inner < len(piece.tokens):
        return _from(piece, text, inner)
    marks = piece.marks
    if marks[0] == "do":
        return longest_literal(piece)
    if marks[0] == "create" and not {"function", "procedure"}.isdisjoint(marks[1:4]):
        return _of_routine(piece, text)
    return ""


def longest_literal(piece: Piece) -> str:
    """The body of a DO, which may name its language in a literal, too."""
    return max((piece.value(at) for at in piece.places("'")), key=len, default="")


def _of_routine(piece: Piece, text: str) -> str:
    """The literal after AS, or else what stands from RETURN or BEGIN ATOMIC on."""
    for at in piece.places("as"):
        if piece.marks[at + 1] == "'":
            return piece.value(at + 1)
    for word in ("atomic", "return"):
        for at in piece.places(word):
            return _from(piece, text, at + 1)
    return ""


def _from(piece: Piece, text: str, at: int) -> str:
    return text[piece.tokens[at].start - piece.start :] if at < len(piece.tokens) else ""
