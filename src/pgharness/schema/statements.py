r"""Plain SQL text into its statements, split where psql would split it.

Semicolons inside quotes, dollar quotes, comments, parentheses and the ``BEGIN ATOMIC`` bodies of
functions do not end a statement. psql's own commands are refused, except ``\restrict`` and
``\unrestrict``, which pg_dump writes and which only forbid such commands.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator


@dataclasses.dataclass(frozen=True, slots=True)
class Statement:
    """One statement and the line of its file on which it begins."""

    text: str
    line: int


class MetaCommandError(ValueError):
    """The text holds something that only psql understands: ``command``, on ``line``."""

    def __init__(self, command: str, line: int) -> None:
        self.command = command
        self.line = line
        super().__init__(f"line {line}: {command}")


_TOKEN = re.compile(
    r"""
    (?P<comment>--[^\n]*)
  | (?P<block>/\*)
  | (?P<string>[eE]'(?:[^'\\]|\\.|'')*(?:'|\Z)|'(?:[^']|'')*(?:'|\Z))
  | (?P<quoted>"(?:[^"]|"")*(?:"|\Z))
  | (?P<dollar>\$(?:[^\W\d]\w*)?\$)
  | (?P<word>[^\W\d][\w$]*)
  | (?P<open>[(\[])
  | (?P<close>[)\]])
  | (?P<end>;)
  | (?P<meta>\\[^\n]*)
  | (?P<space>\s+)
  | (?P<other>\d[\w$]*|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_BLOCK_EDGE = re.compile(r"/\*|\*/")
_COPY = re.compile(r"\s*COPY\b.*\bFROM\s+STDIN\b", re.IGNORECASE | re.DOTALL)


def split(text: str) -> Iterator[Statement]:
    """The statements of ``text``, without their semicolons.

    Raises:
        MetaCommandError: A psql command, or a COPY whose data follows in the file.
    """
    state = _State()
    position = 0
    while match := _TOKEN.match(text, position):
        kind, position = match.lastgroup or "", match.end()
        if kind in ("space", "comment"):
            continue
        if kind == "block":
            position = _after_block(text, position)
            continue
        if kind == "meta":
            _refuse_meta(match[0].strip(), _line(text, match.start()))
            continue
        if kind == "end" and not state.open:
            if state.start is not None:
                yield _statement(text, state.start, match.start())
            state = _State()
            continue
        if state.start is None:
            state.start = match.start()
        if kind == "dollar":
            closing = text.find(match[0], position)
            position = len(text) if closing < 0 else closing + len(match[0])
        else:
            state.see(kind, match[0])
    if state.start is not None:
        yield _statement(text, state.start, len(text))


class _State:
    """What is open inside the statement being read."""

    def __init__(self) -> None:
        self.start: int | None = None
        self._depth = 0
        self._bodies = 0
        self._words: list[str] = []

    @property
    def open(self) -> bool:
        return self._depth > 0 or self._bodies > 0

    def see(self, kind: str, token: str) -> None:
        if kind == "open":
            self._depth += 1
        elif kind == "close":
            self._depth = max(0, self._depth - 1)
        elif kind == "word" and self._depth == 0:
            self._word(token.upper())

    def _word(self, word: str) -> None:
        # As psql does it: BEGIN counts only in CREATE [OR REPLACE] FUNCTION or PROCEDURE.
        if len(self._words) < 4:  # noqa: PLR2004 - what is looked at
            self._words.append(word)
        words = [known for known in self._words if known not in ("OR", "REPLACE")]
        if len(words) < 2 or words[0] != "CREATE" or words[1] not in ("FUNCTION", "PROCEDURE"):  # noqa: PLR2004 - the same
            return
        if word == "BEGIN" or (word == "CASE" and self._bodies):
            self._bodies += 1
        elif word == "END" and self._bodies:
            self._bodies -= 1


def _after_block(text: str, position: int) -> int:
    """The position after a comment that may hold comments."""
    depth = 1
    while depth and (edge := _BLOCK_EDGE.search(text, position)):
        depth += 1 if edge[0] == "/*" else -1
        position = edge.end()
    return len(text) if depth else position


def _refuse_meta(command: str, line: int) -> None:
    if command.split(maxsplit=1)[0] not in ("\\restrict", "\\unrestrict"):
        raise MetaCommandError(command, line)


def _statement(text: str, start: int, end: int) -> Statement:
    body, line = text[start:end].rstrip(), _line(text, start)
    if _COPY.match(body):
        raise MetaCommandError("COPY ... FROM stdin", line)
    return Statement(body, line)


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1
