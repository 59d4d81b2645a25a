"""A PostgreSQL in memory, as strict as the real one, for tests of what the proxy's core sends it.

It has one connection and one table; it knows transactions, savepoints, parameters, prepared statements,
portals and COPY. Its SQL is a list of patterns: what fits none of them is a syntax error.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable

from pgharness.proxy.core import wire
from tests.support.wire_session import Portal, Prepared, Session, SqlError
from tests.support.wire_sql import Answer, check, columns, execute, split

_NAME = r'("[^"]+"|\w+)'


class WireServer:
    """Takes what is sent to the server, and answers it."""

    def __init__(self) -> None:
        self.session = Session()
        self.prepared: dict[str, Prepared] = {}
        self.portals: dict[str, Portal] = {}
        self.log: list[str] = []
        """Every message that has come, in short."""
        self._data = b""
        self._skipping = False
        self._copying = ""
        """Whether rows are copied in, and in which protocol."""
        self._copied = 0
        self._kinds: dict[bytes, Callable[[bytes], bytes]] = {
            b"Q": self._query,
            b"P": self._parse,
            b"B": self._bind,
            b"D": self._describe,
            b"E": self._execute,
            b"C": self._close,
            b"F": self._function,
        }

    def receive(self, data: bytes) -> bytes:
        """The answer to ``data``, which may end within a message."""
        messages, at = wire.frames(self._data + data)
        self._data = (self._data + data)[at:]
        return b"".join(self._message(kind, body) for kind, body in messages)

    def _message(self, kind: bytes, body: bytes) -> bytes:
        self.log.append(shown(kind, body))
        if self._copying:
            return self._copy(kind, body)
        if kind in (b"d", b"c", b"f", b"H"):
            return b""
        if kind == b"S":
            self._skipping = False
            return self._ready()
        if self._skipping:
            return b""
        assert kind in self._kinds, f"the server ends the connection: invalid message type {kind!r}"
        try:
            answer = self._kinds[kind](body)
        except SqlError as error:
            return self._failed(error, extended=kind not in b"QF")
        return answer + self._ready() if kind == b"Q" and not self._copying else answer

    def _failed(self, error: SqlError, *, extended: bool) -> bytes:
        self.session.fail()
        self._skipping = extended
        answer = error.before + wire.error("ERROR", error.code, error.text)
        if error.code == "42601":
            answer = error.before + wire.message(b"E", answer[len(error.before) + 5 : -1] + b"P1\0\0")
        return answer if extended else answer + self._ready()

    def _ready(self) -> bytes:
        session = self.session
        session.end_statement()
        if session.status == "I":
            self.portals.clear()
        changed = b"".join(wire.parameter_status(name, value) for name, value in session.changes())
        return changed + wire.READY[session.status.encode()]

    # -- simple queries --------------------------------------------------------------------------

    def _query(self, body: bytes) -> bytes:
        self.prepared.pop("", None)
        self.portals.pop("", None)
        out, statements = b"", split(_text(body[:-1]))
        if not statements:
            return wire.EMPTY_QUERY
        for sql in statements:
            try:
                out += self._run(sql, [], described=True)
            except SqlError as error:
                error.before = out
                raise
        return out

    def _run(self, sql: str, values: list[bytes | None], *, described: bool) -> bytes:
        answer = self._answer(sql, values)
        if answer.copies:
            return self._begin_copy(answer)
        out = wire.row_description(answer.columns) if answer.columns and described else b""
        return out + answer.notice + b"".join(map(wire.row, answer.rows)) + wire.complete(answer.tag)

    def _answer(self, sql: str, values: list[bytes | None]) -> Answer:
        before = self.session.depth
        if (found := re.fullmatch(rf"PREPARE {_NAME} AS (.+)", sql)) is not None:
            self.session.usable()
            if _name(found[1]) in self.prepared:
                raise SqlError("42P05", f'prepared statement "{_name(found[1])}" already exists')
            self.prepared[_name(found[1])] = Prepared(found[2], b"")
            return Answer("PREPARE")
        if (found := re.fullmatch(rf"EXECUTE {_NAME}", sql)) is not None:
            self.session.usable()
            return execute(self.session, self._statement(_name(found[1])).sql, values)
        if (found := re.fullmatch(rf"DECLARE {_NAME} CURSOR FOR (.+)", sql)) is not None:
            return self._declare(_name(found[1]), found[2])
        if (found := re.fullmatch(rf"(FETCH|CLOSE) {_NAME}", sql)) is not None:
            return self._cursor(found[1], _name(found[2]))
        answer = execute(self.session, sql, values)
        if self.session.depth < before or sql.startswith("ROLLBACK TO"):
            self.portals = {n: p for n, p in self.portals.items() if p in self.session.portals}
        return answer

    def _open(self, name: str, portal: Portal) -> None:
        self.portals[name] = portal
        self.session.portals.add(portal)

    def _declare(self, name: str, sql: str) -> Answer:
        self.session.usable()
        if name in self.portals:
            raise SqlError("42P03", f'cursor "{name}" already exists')
        self._open(name, Portal(sql, []))
        return Answer("DECLARE CURSOR")

    def _cursor(self, verb: str, name: str) -> Answer:
        self.session.usable()
        if (portal := self.portals.get(name)) is None:
            raise SqlError("34000", f'cursor "{name}" does not exist')
        if verb == "CLOSE":
            del self.portals[name]
            return Answer("CLOSE CURSOR")
        rows, _ = self._fetch(portal, 1)
        return Answer(f"FETCH {len(rows)}", rows, [("x", 25, -1)])

    def _function(self, _: bytes) -> bytes:
        raise SqlError("42883", "there is no such function")

    # -- the extended protocol ---------------------------------------------------------------------

    def _parse(self, body: bytes) -> bytes:
        name, at = wire.cut(body)
        sql, at = wire.cut(body, at)
        if len(body) < at + 2:
            raise SqlError("08P01", "insufficient data left in message")
        text = _text(sql)
        if not text.startswith(("ROLLBACK", "COMMIT")):
            self.session.usable()
        if name and name.decode() in self.prepared:
            raise SqlError("42P05", f'prepared statement "{name.decode()}" already exists')
        if len(split(text)) > 1:
            raise SqlError("42601", "cannot insert multiple commands into a prepared statement")
        check(text)
        self.prepared[name.decode()] = Prepared(text, body[at:])
        return wire.PARSE_COMPLETE

    def _statement(self, name: str) -> Prepared:
        if name not in self.prepared:
            raise SqlError("26000", f'prepared statement "{name}" does not exist')
        return self.prepared[name]

    def _bind(self, body: bytes) -> bytes:
        portal, at = wire.cut(body)
        name, at = wire.cut(body, at)
        prepared = self._statement(name.decode())
        self.session.usable()
        if portal and portal.decode() in self.portals:
            raise SqlError("42P03", f'cursor "{portal.decode()}" already exists')
        try:
            values = wire.bound_texts(body[at:])
        except wire.ProtocolError:
            raise SqlError("08P01", "insufficient data left in message") from None
        if len(values) != len(set(re.findall(r"\$\d", prepared.sql))):
            raise SqlError("08P01", "bind message supplies another number of parameters")
        self._open(portal.decode(), Portal(prepared.sql, values))
        return wire.BIND_COMPLETE

    def _describe(self, body: bytes) -> bytes:
        what, name = body[:1], body[1:-1].decode()
        if what not in (b"S", b"P"):
            raise SqlError("08P01", f"invalid DESCRIBE message subtype {what!r}")
        if what == b"P" and name not in self.portals:
            raise SqlError("34000", f'portal "{name}" does not exist')
        sql = self._statement(name).sql if what == b"S" else self.portals[name].sql
        self.session.usable()
        found = columns(sql)
        described = wire.row_description(found) if found else wire.NO_DATA
        return (wire.NO_PARAMETERS if what == b"S" else b"") + described

    def _execute(self, body: bytes) -> bytes:
        name, at = wire.cut(body)
        if len(body) != at + 4:
            raise SqlError("08P01", "insufficient data left in message")
        if (portal := self.portals.get(name.decode())) is None:
            raise SqlError("34000", f'portal "{name.decode()}" does not exist')
        (most,) = struct.unpack_from("!I", body, at)
        if not split(portal.sql):
            return wire.EMPTY_QUERY
        if not most or (portal.rest is None and not columns(portal.sql)):
            if portal.rest is not None:
                rows, _ = self._fetch(portal, len(portal.rest))
                return b"".join(map(wire.row, rows)) + wire.complete(portal.tag)
            return self._run(portal.sql, portal.values, described=False)
        rows, more = self._fetch(portal, most)
        return b"".join(map(wire.row, rows)) + (wire.message(b"s") if more else wire.complete(portal.tag))

    def _fetch(self, portal: Portal, most: int) -> tuple[list[list[bytes | None]], bool]:
        self.session.usable()
        if portal.rest is None:
            answer = self._answer(portal.sql, portal.values)
            portal.rest, portal.tag = answer.rows, answer.tag
        rows, portal.rest = portal.rest[:most], portal.rest[most:]
        return rows, bool(portal.rest)

    def _close(self, body: bytes) -> bytes:
        if body[:1] == b"S":
            self.prepared.pop(body[1:-1].decode(), None)
        else:
            self.portals.pop(body[1:-1].decode(), None)
        return wire.CLOSE_COMPLETE

    # -- COPY ----------------------------------------------------------------------------------------

    def _begin_copy(self, answer: Answer) -> bytes:
        response = struct.pack("!bHH", 0, 1, 0)
        if answer.copies == "out":
            lines = b"".join(wire.message(b"d", (row[0] or b"") + b"\n") for row in answer.rows)
            return wire.message(b"H", response) + lines + wire.message(b"c") + wire.complete(answer.tag)
        self._copying, self._copied = "simple" if self.log[-1].startswith("Q ") else "extended", 0
        return wire.message(b"G", response)

    def _copy(self, kind: bytes, body: bytes) -> bytes:
        is_extended = self._copying == "extended"
        if kind == b"d":
            try:
                for line in body.splitlines():
                    self.session.insert(line)
                    self._copied += 1
            except SqlError as error:
                self._copying = ""
                return self._failed(error, extended=is_extended)
        elif kind == b"c":
            self._copying = ""
            return wire.complete(f"COPY {self._copied}") + (b"" if is_extended else self._ready())
        elif kind not in (b"S", b"H"):
            self._copying = ""
            why = body[:-1].decode("utf-8", "replace")
            failure = f"COPY from stdin failed: {why}" if kind == b"f" else "unexpected message"
            return self._failed(SqlError("57014" if kind == b"f" else "08P01", failure), extended=is_extended)
        return b""


def _name(word: str) -> str:
    return word[1:-1].replace('""', '"') if word.startswith('"') else word.lower()


def _text(sql: bytes) -> str:
    try:
        return sql.decode()
    except UnicodeDecodeError:
        raise SqlError("22021", "invalid byte sequence") from None


def shown(kind: bytes, body: bytes) -> str:
    """A message to the server, in short."""
    text = body.decode("utf-8", "replace")
    if kind == b"Q":
        return f"Q {text[:-1]}"
    if kind in b"PB":
        return " ".join([kind.decode(), *text.split("\0")[:2]])
    if kind == b"E":
        return f"E {text.split(chr(0))[0]}"
    if kind in b"DC":
        return f"{kind.decode()} {text[:1]} {text[1:-1]}"
    return f"{kind.decode()} {text}".rstrip()
