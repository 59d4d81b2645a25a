"""What PostgreSQL reads in a literal: its quotes, its escapes, the lines it goes on over."""

from __future__ import annotations

import re

BODY = r"(?:[^']++|'')*+"
ESCAPED = r"(?:[^'\\]++|''|\\.?)*+"
CONTINUED = r"(?:[ \t\f\v]|--[^\n\r]*+)*+[\n\r](?:[ \t\n\r\f\v]++|--[^\n\r]*+[\n\r])*+(?=')"
"""What stands between a literal and the rest of it: at least the end of a line."""
_DECLARED = r"[ \t\n\r\f\v]*+[uU][eE][sS][cC][aA][pP][eE][ \t\n\r\f\v]*+'([^'])'"
UESCAPE = f"(?:{_DECLARED.replace('(', '(?:')})?"
"""What may follow a literal with points of Unicode: the character that escapes them."""

_PLAIN = re.compile(rf"(?:{CONTINUED})?'({BODY})'?")
_ESCAPED = re.compile(rf"(?:{CONTINUED})?'({ESCAPED})'?", re.DOTALL)
_QUOTED = re.compile(r'"((?:[^"]++|"")*+)')
_ESCAPE = re.compile(
    rb"\\(?:([0-7]{1,3})|x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))|''", re.DOTALL
)
_LETTERS = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_LONGEST = 63
_LAST = 0x10FFFF


def truncated(name: str) -> str:
    """``name`` with as many of its characters as ``NAMEDATALEN`` leaves room for."""
    if len(name) <= _LONGEST and name.isascii():
        return name
    return name.encode("utf-8", "replace")[:_LONGEST].decode("utf-8", "ignore")


def plain(raw: str) -> str:
    """The content of ``'...'``, where a backslash is a backslash."""
    if raw.count("'") == 2 and raw[-1] == "'":  # noqa: PLR2004 - the one that opens it and the one that closes it
        return raw[1:-1]
    return "".join(_PLAIN.findall(raw)).replace("''", "'")


def escaped(raw: str) -> str:
    r"""The content of ``E'...'``, given from its quote on: ``\n``, ``\x41``, octal and Unicode escapes."""
    body = "".join(_ESCAPED.findall(raw))
    if "\\" not in body:
        return body.replace("''", "'")
    read = _ESCAPE.sub(_unescaped, body.encode("utf-8", "surrogatepass"))
    try:
        return _paired(read.decode("utf-8", "surrogatepass"))
    except UnicodeDecodeError:
        return read.decode("utf-8", "replace")


def with_points(raw: str) -> str:
    r"""The content of ``U&'...'`` or ``U&"..."``, whose escapes are points of Unicode: ``\0061``."""
    mark, quote = "\\", raw[2]
    if declared := re.search(_DECLARED + r"\Z", raw):
        mark = declared[1]
        raw = raw[: declared.start()]
    found = (_PLAIN if quote == "'" else _QUOTED).findall(raw[2:])
    body = "".join(found[:1] if quote == '"' else found).replace(quote * 2, quote)
    escape = re.escape(mark)
    points = rf"{escape}(?:([0-9a-fA-F]{{4}})|\+([0-9a-fA-F]{{6}})|({escape}))"
    return _paired(re.sub(points, _point, body))


def _unescaped(found: re.Match[bytes]) -> bytes:
    octal, two, four, eight, other = found.groups()
    if octal or two:
        return bytes([(int(octal, 8) if octal else int(two, 16)) & 0xFF])
    if four or eight:
        code = int(four or eight, 16)
        return chr(code).encode("utf-8", "surrogatepass") if code <= _LAST else found[0]
    return _LETTERS.get(other, other) if other else b"'"


def _point(found: re.Match[str]) -> str:
    if found[3]:
        return found[3]
    code = int(found[1] or found[2], 16)
    return chr(code) if code <= _LAST else found[0]


def _paired(text: str) -> str:
    """``text`` with each pair of surrogates as the one character that it means."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
