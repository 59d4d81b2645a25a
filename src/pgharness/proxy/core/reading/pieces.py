"""One statement as its tokens, with what is asked of them again and again."""

from __future__ import annotations

from collections.abc import Iterator

from pgharness.proxy.core.reading.keywords import RESERVED
from pgharness.proxy.core.reading.literals import truncated
from pgharness.proxy.core.tokens import Token, tokenize

_MARKS = {"quoted": '"', "string": "'", "number": "0", "param": "$1"}


class Piece:
    """The tokens of one statement.

    ``marks`` says of each token what a key word or an operator is compared with: the word in lower case, the
    operator, and else one character for its kind, which is no word and no operator. Two empty marks follow
    the last, so that what is next can be asked of each. ``found`` are the marks that occur.
    """

    __slots__ = ("_openings", "found", "marks", "start", "tokens")

    def __init__(self, tokens: list[Token], start: int = 0) -> None:
        self.tokens = tokens
        self.start = start
        kinds = _MARKS
        self.marks = [kinds.get(kind) or value for kind, value, _, _ in tokens]
        self.found = frozenset(self.marks)
        self.marks += ("", "")
        self._openings: dict[int, int] | None = None

    @classmethod
    def of(cls, text: str) -> Piece:
        return cls(tokenize(text))

    def name(self, at: int) -> str:
        """The identifier there, folded; empty if there is none."""
        if at >= len(self.tokens):
            return ""
        kind, value, _, _ = self.tokens[at]
        return value if kind == "quoted" or (kind == "word" and value not in RESERVED) else ""

    def qualified(self, at: int) -> tuple[str, int]:
        """The last part of the name there, with or without a schema, and what comes after the name."""
        name, marks = self.name(at), self.marks
        while name and marks[at + 1] == ".":
            at += 2
            name = self.label(at)
        return name, at + 1

    def label(self, at: int) -> str:
        """The identifier there, which any key word is after a point."""
        if at >= len(self.tokens):
            return ""
        kind, value, _, _ = self.tokens[at]
        return value if kind in ("word", "quoted") else ""

    def value(self, at: int) -> str:
        return self.tokens[at].value

    def places(self, mark: str) -> Iterator[int]:
        if mark in self.found:
            for at, here in enumerate(self.marks):
                if here == mark:
                    yield at

    def opening(self, at: int) -> int:
        """The parenthesis that the one there closes; 0 if none does."""
        if self._openings is None:
            self._openings, opened = {}, []
            for here, mark in enumerate(self.marks):
                if mark == "(":
                    opened.append(here)
                elif mark == ")" and opened:
                    self._openings[here] = opened.pop()
        return self._openings.get(at, 0)

    def past(self, at: int) -> int:
        """What follows the parenthesis that opens there."""
        depth = 0
        for here in range(at, len(self.tokens)):
            mark = self.marks[here]
            depth += (mark == "(") - (mark == ")")
            if not depth:
                return here + 1
        return len(self.tokens)


class Cursor:
    """A place in a statement that is read from left to right."""

    __slots__ = ("at", "piece")

    def __init__(self, piece: Piece, at: int = 0) -> None:
        self.piece = piece
        self.at = at

    @property
    def done(self) -> bool:
        return self.at >= len(self.piece.tokens)

    @property
    def mark(self) -> str:
        return self.piece.marks[self.at]

    @property
    def following(self) -> str:
        return self.piece.marks[self.at + 1] if not self.done else ""

    def take(self, *marks: str) -> bool:
        """Go past these marks, if they are next."""
        if self.piece.marks[self.at : self.at + len(marks)] != list(marks):
            return False
        self.at += len(marks)
        return True

    def take_any(self, *marks: str) -> str:
        """Go past the one of these marks that is next; empty if none is."""
        mark = self.mark
        if not mark or mark not in marks:
            return ""
        self.at += 1
        return mark

    def name(self) -> str:
        """Go past an identifier; empty if none is next."""
        found = self.piece.name(self.at)
        self.at += bool(found)
        return found

    def string(self) -> str | None:
        """Go past a string; None if none is next."""
        if self.mark != "'":
            return None
        self.at += 1
        return self.piece.value(self.at - 1)


def quoted(name: str) -> str:
    """``name`` as an identifier of PostgreSQL, in quotes where it needs them."""
    plain = name[:1].islower() or name[:1] == "_"
    letters = name.replace("_", "a")
    if plain and letters.isascii() and letters.isalnum() and letters.islower() and name not in RESERVED:
        return name
    return '"' + truncated(name).replace('"', '""') + '"'
