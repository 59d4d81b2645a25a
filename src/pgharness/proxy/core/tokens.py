"""SQL as PostgreSQL's scanner reads it: words, literals and operators, without comments.

The rules are those of PostgreSQL's ``scan.l`` with ``standard_conforming_strings`` on, in a database whose
encoding is UTF-8. One pattern finds where each token ends; what no pattern can hold, nested comments and
the end of a dollar quote, is sought from where it begins.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from pgharness.proxy.core.reading.literals import (
    BODY,
    CONTINUED,
    ESCAPED,
    UESCAPE,
    escaped,
    plain,
    truncated,
    with_points,
)

TokenKind = Literal["word", "quoted", "string", "number", "param", "op"]


class Token(NamedTuple):
    """One token, and where it stands in the text.

    ``value`` is a word in lower case, an identifier or a string as its quotes and escapes are read, and
    else the text itself. What is not terminated reaches to the end of the text; a comment that is not
    terminated is an ``op``.
    """

    kind: TokenKind
    value: str
    start: int
    end: int


_FIRST = r"[^\x00-@\[-^`{-\x7f]"
_NEXT = r"[^\x00-#%-/:-@\[-^`{-\x7f]"
_SPACE = r"[ \t\n\r\f\v]"
_OPERATOR = r"[~!@#^&|`?+\-*/%<>=]"
_DIGITS = r"[0-9](?:_?[0-9])*+"
_EXPONENT = rf"(?:[eE][+-]?{_DIGITS})?"
_TAG = rf"\$(?:{_FIRST}[^\x00-/:-@\[-^`{{-\x7f]*+)?\$"
_ALTERNATIVES = (
    rf"(?![eEbBxXnN]'|[uU]&['\"]){_FIRST}{_NEXT}*+",
    r"[(),;\[\]]|\.(?![.0-9])|[*=](?![~!@#^&|`?+\-*/%<>=])",
    rf"[nN]?'{BODY}'?(?:{CONTINUED}'{BODY}'?)*+",
    rf"[eE]'{ESCAPED}'?(?:{CONTINUED}'{ESCAPED}'?)*+",
    r"\$[0-9]++",
    r"0[xX](?:_?[0-9a-fA-F])++|0[oO](?:_?[0-7])++|0[bB](?:_?[01])++",
    rf"{_DIGITS}(?:\.(?!\.)(?:{_DIGITS})?)?{_EXPONENT}|\.{_DIGITS}{_EXPONENT}",
    r"::|:=|\.\.",
    r'"(?:[^"]++|"")*+"?',
    r"--[^\n\r]*+",
    _TAG,
    r"/\*",
    rf"(?:(?!--|/\*){_OPERATOR})++",
    rf"[bBxX]'{BODY}'?(?:{CONTINUED}'{BODY}'?)*+",
    rf"[uU]&'{BODY}'?(?:{CONTINUED}'{BODY}'?)*+{UESCAPE}",
    rf'[uU]&"(?:[^"]++|"")*+"?{UESCAPE}',
    r"[^ \t\n\r\f\v]",
    r"\Z",
)
_PATTERN = re.compile(f"({_SPACE}*+)({'|'.join(_ALTERNATIVES)})", re.DOTALL)
_SOUGHT = re.compile(rf"/\*|{_TAG}")
_COMMENT = re.compile(r"/\*|\*/")
_POINTS = frozenset("(),;.[]*=<>+-/%:") | {"::", "<=", ">=", "<>", "!=", "||", "->", "->>", ":="}
_UPPER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
_LONGEST = 63


def tokenize(text: str) -> list[Token]:
    """The tokens of ``text`` in order; never raises."""
    tokens: list[Token] = []
    add, new, points, end = tokens.append, tuple.__new__, _POINTS, 0
    whole = text.isascii()
    for space, raw in _pieces(text):
        start = end + len(space)
        end = start + len(raw)
        if raw in points:
            add(new(Token, ("op", raw, start, end)))
        elif raw.isidentifier() and whole and end - start <= _LONGEST:
            add(new(Token, ("word", raw.lower(), start, end)))
        elif raw[:1] in _DECIMAL:
            add(new(Token, ("number", raw, start, end)))
        elif kind := _KINDS.get(raw[:1]) or _kind(raw):
            if kind == "op" and raw[-1] in "+-":
                tokens += _operators(raw, start)
            else:
                add(Token(kind, _value(kind, raw), start, end))
    return tokens


def _operators(raw: str, start: int) -> Iterator[Token]:
    """One operator; or that before its signs, and each sign, if it has no mark that arithmetic has not."""
    first = raw if any(mark in raw for mark in "~!@#^&|`?%") else raw.rstrip("+-") or raw[0]
    for value in (first, *raw[len(first) :]):
        yield Token("op", value, start, start + len(value))
        start += len(value)


def _pieces(text: str) -> Iterable[tuple[str, str]]:
    if "/*" in text or ("$" in text and _SOUGHT.search(text)):
        return _sought(text)
    return _PATTERN.findall(text)


def _sought(text: str) -> Iterator[tuple[str, str]]:
    """Each token and the space before it, where some of them have an end that is sought."""
    at = 0
    while (found := _PATTERN.match(text, at)) and found[2]:
        space, raw = found.groups()
        start, at = found.span(2)
        if raw.startswith("/*"):
            at = _end_of_comment(text, start)
        elif raw[:1] == "$" == raw[-1:] and len(raw) > 1:
            last = text.find(raw, at)
            at = len(text) if last < 0 else last + len(raw)
        yield space, text[start:at]


def _end_of_comment(text: str, start: int) -> int:
    """Where a comment ends, which may hold others."""
    depth = 0
    for mark in _COMMENT.finditer(text, start):
        depth += 1 if mark[0] == "/*" else -1
        if not depth:
            return mark.end()
    return len(text)


_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz")
_DECIMAL = frozenset("0123456789")
_KINDS: dict[str, TokenKind] = {"'": "string", '"': "quoted"}


def _kind(raw: str) -> TokenKind | None:
    """What a token is that its first character does not tell; None for a comment and the end."""
    first, second = raw[:1], raw[1:2]
    if not raw or raw.startswith("--") or (raw.startswith("/*") and _is_closed(raw)):
        return None
    if first in _LETTERS or not first.isascii():
        quote = raw[2:3] if second == "&" else second
        return _KINDS.get(quote, "word") if quote in ("'", '"') else "word"
    if second in _DECIMAL and first in ".$":
        return "number" if first == "." else "param"
    return "string" if first == "$" and second else "op"


def _is_closed(comment: str) -> bool:
    depth = 0
    for mark in _COMMENT.finditer(comment):
        depth += 1 if mark[0] == "/*" else -1
    return not depth


def _value(kind: TokenKind, raw: str) -> str:
    if kind == "word":
        return truncated(raw.translate(_UPPER))
    if kind == "quoted":
        return truncated(with_points(raw) if raw[0] in "uU" else _unquoted(raw))
    return _string(raw) if kind == "string" else raw


def _string(raw: str) -> str:
    if raw[0] in "eE":
        return escaped(raw[1:])
    if raw[0] in "uU":
        return with_points(raw)
    if raw[0] == "$":
        tag = raw[: raw.index("$", 1) + 1]
        return raw[len(tag) :].removesuffix(tag)
    return plain(raw if raw[0] == "'" else raw[1:])


def _unquoted(raw: str) -> str:
    body = raw[1:]
    closed = (len(body) - len(body.rstrip('"'))) % 2
    return (body[:-1] if closed else body).replace('""', '"')
