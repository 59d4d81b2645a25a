"""PostgreSQL's messages, versions 3.0 and 3.2: framing in both directions, and those that the proxy makes.

The source is "Message Formats" in PostgreSQL's documentation. A message is a type byte, a length of four
bytes that counts itself and not the type, and a body; the first message of a client has no type.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence

HEADER = 5
_LENGTH = struct.Struct("!I")
_HEAD = struct.Struct("!cI")
_INT16 = struct.Struct("!H")
MOST = 0x3FFFFFFF
"""PostgreSQL's own limit on the length of a message, in bytes."""

SSL_REQUEST = 80877103
GSS_REQUEST = 80877104
CANCEL_REQUEST = 80877102
PROTOCOL_3_0 = 196608
PROTOCOL_3_2 = 196610

SYNC = b"S\x00\x00\x00\x04"
FLUSH = b"H\x00\x00\x00\x04"
TERMINATE = b"X\x00\x00\x00\x04"
PARSE_COMPLETE = b"1\x00\x00\x00\x04"
BIND_COMPLETE = b"2\x00\x00\x00\x04"
CLOSE_COMPLETE = b"3\x00\x00\x00\x04"
NO_DATA = b"n\x00\x00\x00\x04"
EMPTY_QUERY = b"I\x00\x00\x00\x04"
NO_PARAMETERS = b"t\x00\x00\x00\x06\x00\x00"
COPY_FAIL = b"f" + _LENGTH.pack(16) + b"client left\x00"
READY = {status: b"Z\x00\x00\x00\x05" + status for status in (b"I", b"T", b"E")}


class ProtocolError(Exception):
    """The other side does not speak PostgreSQL's protocol."""


def message(kind: bytes, body: bytes = b"") -> bytes:
    """The message of type ``kind``, one byte, with ``body``."""
    return _HEAD.pack(kind, len(body) + 4) + body


def frames(data: bytes, start: int = 0) -> tuple[list[tuple[bytes, bytes]], int]:
    """The whole messages in ``data`` from ``start`` on, as type and body, and where the next one begins.

    Raises:
        ProtocolError: A length is impossible.
    """
    found: list[tuple[bytes, bytes]] = []
    end = len(data)
    while end - start >= HEADER:
        kind, length = _HEAD.unpack_from(data, start)
        if not 4 <= length <= MOST:  # noqa: PLR2004 - it counts itself
            raise ProtocolError(f"a message of type {kind!r} says that it has {length} bytes")
        following = start + 1 + length
        if following > end:
            break
        found.append((kind, data[start + HEADER : following]))
        start = following
    return found, start


class Rest:
    """The beginning of a message, kept until the whole of it has come."""

    __slots__ = ("_data", "_length")

    def __init__(self) -> None:
        self._data = bytearray()
        self._length = 0

    def __bool__(self) -> bool:
        return bool(self._data)

    def keep(self, data: bytes) -> None:
        """Keep ``data``, with which a message begins."""
        self._data += data
        self._length = 1 + _LENGTH.unpack_from(data, 1)[0] if len(data) >= HEADER else HEADER

    def with_more(self, data: bytes) -> bytes:
        """What has been kept, and ``data``; empty while a message is not whole."""
        self._data += data
        if len(self._data) < self._length:
            return b""
        found = bytes(self._data)
        self._data.clear()
        return found


def startup(data: bytes) -> tuple[int, bytes, int] | None:
    """The first message of a client: its code, its body and its length; None if it is not whole yet.

    Raises:
        ProtocolError: It is none.
    """
    if len(data) < 8:  # noqa: PLR2004 - a length and a code
        return None
    (length,) = _LENGTH.unpack_from(data)
    if not 8 <= length <= 10000:  # noqa: PLR2004 - PostgreSQL's own limit on it
        raise ProtocolError(f"a first message of {length} bytes")
    if len(data) < length:
        return None
    return _LENGTH.unpack_from(data, 4)[0], data[8:length], length


def startup_parameters(body: bytes) -> dict[str, str]:
    """The names and values of a startup message."""
    parts = body.split(b"\x00")
    words = [part.decode("utf-8", "surrogateescape") for part in parts]
    return {name: value for name, value in zip(words[::2], words[1::2], strict=False) if name}


def startup_message(parameters: dict[str, str]) -> bytes:
    """What a client of version 3.0 begins with."""
    body = b"".join(_text(name) + _text(value) for name, value in parameters.items()) + b"\x00"
    return _LENGTH.pack(len(body) + 8) + _LENGTH.pack(PROTOCOL_3_0) + body


def cancel_request(pid: int, secret: bytes) -> bytes:
    return _LENGTH.pack(12 + len(secret)) + _LENGTH.pack(CANCEL_REQUEST) + _LENGTH.pack(pid) + secret


def _text(value: str) -> bytes:
    return value.encode("utf-8", "surrogateescape") + b"\x00"


# -- what a client sends -------------------------------------------------------------------------------


def query(sql: str) -> bytes:
    return message(b"Q", _text(sql))


def parse(name: bytes, sql_and_types: bytes) -> bytes:
    """Parse; ``sql_and_types`` is its body after the name."""
    return message(b"P", name + b"\x00" + sql_and_types)


def bind(portal: bytes, statement: bytes, rest: bytes) -> bytes:
    return message(b"B", portal + b"\x00" + statement + b"\x00" + rest)


def close(what: bytes, name: bytes) -> bytes:
    """Close; ``what`` is ``S`` for a statement and ``P`` for a portal."""
    return message(b"C", what + name + b"\x00")


def describe(what: bytes, name: bytes) -> bytes:
    return message(b"D", what + name + b"\x00")


def execute(portal: bytes, rest: bytes) -> bytes:
    return message(b"E", portal + b"\x00" + rest)


def shown(name: bytes) -> str:
    """The name of a statement or a portal as text."""
    return name.decode("utf-8", "replace")


def cut(body: bytes, start: int = 0) -> tuple[bytes, int]:
    """The zero-terminated text in ``body`` at ``start``, and where what follows it begins.

    Raises:
        ProtocolError: It has no end.
    """
    end = body.find(b"\x00", start)
    if end < 0:
        raise ProtocolError("a text without an end")
    return body[start:end], end + 1


def bound_texts(rest: bytes) -> list[bytes | None]:
    """The parameters of a Bind, whose body after both names is ``rest``; None for those sent in binary.

    Raises:
        ProtocolError: It is cut off.
    """
    try:
        (count,) = _INT16.unpack_from(rest)
        formats = struct.unpack_from(f"!{count}H", rest, 2)
        at = 2 + 2 * count
        (number,) = _INT16.unpack_from(rest, at)
        at += 2
        values: list[bytes | None] = []
        for index in range(number):
            (length,) = struct.unpack_from("!i", rest, at)
            at += 4
            value = rest[at : at + length] if length >= 0 else None
            at += max(length, 0)
            binary = formats[0] if len(formats) == 1 else formats[index] if index < len(formats) else 0
            # Texts are the same in both formats; what cannot be one is None.
            values.append(value if not binary or (value and b"\x00" not in value) else None)
    except (struct.error, IndexError):
        raise ProtocolError("a Bind that is cut off") from None
    return values


# -- what a server sends -------------------------------------------------------------------------------


def complete(tag: str) -> bytes:
    return message(b"C", tag.encode() + b"\x00")


def parameter_status(name: str, value: str) -> bytes:
    return message(b"S", _text(name) + _text(value))


def error(severity: str, code: str, text: str, detail: str = "", hint: str = "") -> bytes:
    """ErrorResponse; ``code`` is a SQLSTATE."""
    return message(b"E", _fields(severity, code, text, detail, hint))


def notice(code: str, text: str) -> bytes:
    return message(b"N", _fields("WARNING", code, text, "", ""))


def _fields(severity: str, code: str, text: str, detail: str, hint: str) -> bytes:
    fields = [("S", severity), ("V", severity), ("C", code), ("M", text), ("D", detail), ("H", hint)]
    return b"".join(key.encode() + _text(value) for key, value in fields if value) + b"\x00"


def fields(body: bytes) -> dict[str, str]:
    """The fields of an ErrorResponse or a NoticeResponse, by their one-letter names."""
    return {part[:1].decode(): part[1:].decode("utf-8", "replace") for part in body.split(b"\x00") if part}


def moved(body: bytes, characters: int) -> bytes:
    """An ErrorResponse whose position, if it has one, is moved on by ``characters``."""
    if not characters:
        return body
    parts = body.split(b"\x00")
    for index, part in enumerate(parts):
        if part[:1] == b"P" and part[1:].isdigit():
            parts[index] = b"P%d" % (int(part[1:]) + characters)
    return b"\x00".join(parts)


def row(values: Sequence[bytes | None]) -> bytes:
    """DataRow."""
    parts = [_INT16.pack(len(values))]
    for value in values:
        parts += [b"\xff\xff\xff\xff"] if value is None else [_LENGTH.pack(len(value)), value]
    return message(b"D", b"".join(parts))


def row_values(body: bytes) -> list[bytes | None]:
    """The values of a DataRow."""
    (count,) = _INT16.unpack_from(body)
    at, values = 2, []
    for _ in range(count):
        (length,) = struct.unpack_from("!i", body, at)
        at += 4
        values.append(body[at : at + length] if length >= 0 else None)
        at += max(length, 0)
    return values


TEXT, VOID, INT4 = 25, 2278, 23


def row_description(columns: Iterable[tuple[str, int, int]]) -> bytes:
    """RowDescription in the text format; a column is its name, the oid of its type and that type's length."""
    made = [_text(name) + struct.pack("!IhIhih", 0, 0, oid, length, -1, 0) for name, oid, length in columns]
    return message(b"T", _INT16.pack(len(made)) + b"".join(made))


def in_text(described: bytes) -> Iterator[str]:
    """The names of the columns of a RowDescription's body."""
    (count,) = _INT16.unpack_from(described)
    at = 2
    for _ in range(count):
        name, at = cut(described, at)
        at += 18
        yield name.decode("utf-8", "replace")
