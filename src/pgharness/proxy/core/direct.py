"""One client on a connection of its own: passed on as it is, but for what has to be prepared again."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pgharness.proxy.core import wire
from pgharness.proxy.core.channel import FORWARD, SWALLOW, Channel, Section, Unit
from pgharness.proxy.core.client import Client, Prepared
from pgharness.proxy.core.rewriting import held, spared
from pgharness.proxy.core.settings import AUTHORIZATION, identifier, literal
from pgharness.proxy.core.statements import Statement, read

_ANSWERED = frozenset((b"P", b"B", b"D", b"E", b"C"))
_NAMING = (b"deallocate", b"discard")
_OF_CLUSTER = (b"terminate", b"role", b" user", b" group", b"database", b"grant", b"revoke", b"tablespace")


class Direct:
    """The traffic between ``client`` and a connection that it has for itself.

    Args:
        client: The client; what it has prepared elsewhere is prepared here when it is first used.
        forget: Called with what the client has prepared elsewhere and needs no more.
        failed: Called with the fields of an ErrorResponse before the client is told.
        claim: Called with a statement that changes what all databases share, before it is sent.
        watch: Called with every statement that the client sends, where somebody wants to know.
        spares: The name of the database of the tests, where the connection is to another.
        becomes: Whether the connection has logged in as a superuser, who acts as the client's role.
    """

    def __init__(  # noqa: PLR0913 - what a connection is made with
        self,
        client: Client,
        forget: Callable[[Prepared], None] = lambda _: None,
        failed: Callable[[dict[str, str]], None] = lambda _: None,
        claim: Callable[[str], None] = lambda _: None,
        *,
        watch: Callable[[Statement], None] | None = None,
        spares: str = "",
        becomes: bool = False,
    ) -> None:
        self.client = client
        self._failed = failed
        self._claim = claim
        self._spares = spares
        self.watch = watch
        self._becomes = becomes
        self._discards = False
        """Whether the client may have gone back to that superuser by DISCARD ALL."""
        self.channel = Channel(self._refine, client)
        self.status = b"I"
        """That of the last ReadyForQuery."""
        self._forget = forget
        self._prepared: set[bytes] = set()
        self._open: Section | None = None
        """The section of a group that has no Sync yet."""
        self._parsed: list[tuple[Section, int, bytes, bool]] = []
        """What is being prepared: its place among the answers, and whether the client has asked for it."""

    @property
    def idle(self) -> bool:
        """Whether the client is in no transaction, and waits for nothing."""
        return self.channel.idle and self._open is None and self.status == b"I"

    def _refine(self, _: Section, body: bytes) -> bytes:
        self._failed(wire.fields(body))
        return wire.message(b"E", body)

    def begin(self, settings: Mapping[str, str]) -> None:
        """Give the new connection the parameters of its client's session, and what else belongs to that."""
        client, sql = self.client, [f"LISTEN {identifier(channel)}" for channel in self.client.listens]
        self._set(settings)
        if client.carried:
            client.carried, self.status = False, b"T"
            sql.append("BEGIN")
        if sql:
            self.channel.send(wire.query("; ".join(sql)), Section(None, lambda _: None))

    def _set(self, settings: Mapping[str, str]) -> None:
        if settings:
            last = [name for name in ("session_authorization", "role") if name in settings]
            names = [*(name for name in settings if name not in last), *last]
            calls = (f"pg_catalog.set_config({literal(n)}, {literal(settings[n])}, false)" for n in names)
            self.channel.send(wire.query("SELECT " + ", ".join(calls)), Section(None, lambda _: None))

    def take(self, messages: list[tuple[bytes, bytes]]) -> None:
        """Pass on what the client has sent."""
        out = self.channel.out
        for kind, body in messages:
            if kind in _ANSWERED:
                self._extended(kind, body)
            elif kind == b"S":
                if self.client.copying and self._open is None:  # the one that COPY has eaten
                    out += wire.SYNC
                    continue
                self._section([])
                out += wire.SYNC
                self._open = None
                self._become_again()
            elif kind in b"QF":
                self._whole(wire.message(kind, self._simple(body) if kind == b"Q" else body))
                if self._open is None:
                    self._become_again()
                    self._discards = False
            else:
                out += wire.message(kind, body)

    def _whole(self, message: bytes) -> None:
        """Pass on a query or a function call; where no Sync precedes it, one answer ends both."""
        if self._open is None:
            self.channel.send(message, Section(self.client, self._done))
            return
        self.channel.out += message
        if self._open.error is None:  # else it is ignored up to the next Sync
            self._open = None

    def _section(self, units: list[Unit]) -> Section:
        if self._open is None:
            self._open = Section(self.client, self._done, [])
            self.channel.send(b"", self._open)
        assert self._open.units is not None  # noqa: S101 - made with some
        self._open.units += units
        return self._open

    def _extended(self, kind: bytes, body: bytes) -> None:
        statements, out = self.client.statements, self.channel.out
        if kind == b"P":
            name, at = wire.cut(body)
            text, rest = wire.cut(body, at)
            text, found = self._noted(text)
            body = body[:at] + text + b"\x00" + body[rest:]
            self._drop(name)
            statements[name] = Prepared(body[at:], found, original=body[at:])
            self._prepared.add(name)
            section = self._section([])
            assert section.units is not None  # noqa: S101 - made with some
            self._parsed.append((section, len(section.units), name, True))
        elif kind == b"B":
            _, at = wire.cut(body)
            self._again(wire.cut(body, at)[0])
        elif kind == b"D" and body[:1] == b"S":
            self._again(body[1:-1])
        elif kind == b"C" and body[:1] == b"S":
            self._drop(body[1:-1])
            self._prepared.discard(body[1:-1])
        self._section([FORWARD])
        out += wire.message(kind, body)

    def _drop(self, name: bytes) -> None:
        old = self.client.statements.pop(name, None)
        if old is not None:
            self._forget(old)

    def _again(self, name: bytes) -> None:
        """Prepare here what has been prepared on an earlier connection."""
        prepared = self.client.statements.get(name)
        if prepared is not None and self.watch is not None:
            for statement in prepared.statements:
                self.watch(statement)
        if prepared is not None and name not in self._prepared:
            self._prepared.add(name)
            section = self._section([SWALLOW])
            assert section.units is not None  # noqa: S101 - made with some
            self._parsed.append((section, len(section.units) - 1, name, False))
            self.channel.out += wire.parse(name, prepared.original)

    def _simple(self, body: bytes) -> bytes:
        self._drop(b"")
        lower = body.lower()
        if self.watch is not None or b"set" in lower or any(word in lower for word in _NAMING + _OF_CLUSTER):
            return self._noted(body[:-1])[0] + b"\x00"
        return body

    def _noted(self, sql: bytes) -> tuple[bytes, tuple[Statement, ...]]:
        """``sql`` as the server is to get it, and what it says."""
        text = sql.decode("utf-8", "surrogateescape")
        found = read(text)
        if self._spares and self._spares in text and (kept := spared(text, found, self._spares)) != text:
            text, sql, found = kept, kept.encode("utf-8", "surrogateescape"), read(kept)
        self._note(found)
        if self._becomes:
            self._discards |= any(s.kind == "discard" and s.name == "all" for s in found)
            if AUTHORIZATION in (s.name for s in found):
                return held(text, found, self.client.user).encode("utf-8", "surrogateescape"), found
        return sql, found

    def _become_again(self) -> None:
        if self._discards:
            self._set({AUTHORIZATION: self.client.user})

    def _note(self, statements: tuple[Statement, ...]) -> None:
        """Know what is prepared, and which parameters may have been set."""
        client = self.client
        for statement in statements:
            if self.watch is not None:
                self.watch(statement)
            if statement.cluster:
                self._claim(statement.text)
            if statement.kind == "set" and statement.name:
                client.touched.add(statement.name)
            elif statement.set_configs:
                client.touched |= {call.name.lower() for call in statement.set_configs if call.name}
                client.touched |= statement.setting_like
            elif statement.kind == "deallocate" or (statement.kind == "discard" and statement.name == "all"):
                names = set(client.statements) if statement.name in ("", "all") else {statement.name.encode()}
                for name in names:
                    self._drop(name)
                    self._prepared.discard(name)

    def _done(self, section: Section) -> None:
        self.status = section.status
        self.client.out += wire.READY[section.status]
        if self._parsed:
            mine = [entry for entry in self._parsed if entry[0] is section]
            self._parsed = [entry for entry in self._parsed if entry[0] is not section]
            for _, index, name, asked in mine if section.error is not None else ():
                if index >= section.at:
                    self._prepared.discard(name)
                    if asked:
                        self.client.statements.pop(name, None)
