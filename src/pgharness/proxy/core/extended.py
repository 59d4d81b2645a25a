"""The extended protocol: a client's statements and portals, under names of the shared connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgharness.proxy.core import wire
from pgharness.proxy.core.channel import FORWARD, SWALLOW
from pgharness.proxy.core.client import Client, Portal, Prepared
from pgharness.proxy.core.control import ALWAYS
from pgharness.proxy.core.failures import Failure
from pgharness.proxy.core.part import Part
from pgharness.proxy.core.refusals import Refused
from pgharness.proxy.core.statements import Statement, read

if TYPE_CHECKING:
    from pgharness.proxy.core.shared import Shared

_ALL_ROWS = b"\x00\x00\x00\x00"


class Extended:
    """Makes parts of what clients send in the extended protocol."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._portals = 0
        self._takes = {
            b"P": self._parse,
            b"B": self._bind,
            b"D": self._describe,
            b"E": self._execute,
            b"C": self._close,
        }

    def gather(self, client: Client) -> None:
        """Take messages up to where the server has to be asked, and send them.

        Raises:
            Failure: PostgreSQL would refuse the next message.
            Refused: One transaction cannot answer it as separate connections would.
        """
        client.holding = client.holding or not client.out
        part = Part(client)
        queue = client.queue
        while queue:
            kind, body = queue[0]
            take = self._takes.get(kind)
            if take is None:
                break
            try:
                control = self._control(client, body) if kind == b"E" else None
                if control is None:
                    take(client, body, part)
            except (Failure, Refused, wire.ProtocolError) as error:
                if part.sent:  # what precedes it is answered first
                    break
                _answer(client, part)
                if isinstance(error, wire.ProtocolError):
                    raise Failure("08P01", str(error)) from None
                raise
            if control is not None and part.sent:
                break
            queue.popleft()
            if control is not None:
                _answer(client, part)
                client.last = control.text
                self._shared.control.run(client, control)
                return
        if part.sent:
            self._send(client, part)
        else:
            _answer(client, part)

    def _send(self, client: Client, part: Part) -> None:
        self._close_unnamed(client, part)
        try:
            self._shared.sending.send(part)
        except (Failure, Refused):
            for _, name, prepared in part.parsed:
                if name is not None:
                    client.statements.pop(name, None)
                self._shared.statements.failed(prepared)
            for _, name in part.bound:
                client.portals.pop(name, None)
            for _, name in part.dropped:
                self._shared.statements.drop(name)
            _answer(client, part)
            raise

    def _control(self, client: Client, body: bytes) -> Statement | None:
        """The statement that an Execute with ``body`` runs, if the server is not sent it."""
        name, _ = wire.cut(body)
        portal = client.portals.get(name)
        only = portal.prepared.only if portal is not None else None
        return only if only is not None and only.kind in ALWAYS else None

    # -- one message each ----------------------------------------------------------------------------

    def _parse(self, client: Client, body: bytes, part: Part) -> None:
        name, at = wire.cut(body)
        if name and name in client.statements:
            raise Failure("42P05", f'prepared statement "{wire.shown(name)}" already exists')
        prepared = self._prepared(client, body[at:])
        if prepared.only is None or prepared.only.kind not in ALWAYS:
            if prepared.only is not None:
                client.last = prepared.only.text
            transaction = self._shared.sending.usable(part)
            if prepared.only is not None and prepared.only.kind not in ("set", "show"):
                transaction.queried = True
            self._on_server(prepared, part, name)
        else:
            part.units.append(wire.PARSE_COMPLETE)
        old = client.statements.pop(name, None)
        if old is not None:
            self._shared.statements.forget(old)
        client.statements[name] = prepared

    def _statement(self, client: Client, name: bytes) -> Prepared:
        """The statement that ``client`` has prepared under ``name``, in the protocol or by PREPARE."""
        prepared = client.statements.get(name)
        if prepared is not None:
            return prepared
        server_name = client.named.get(wire.shown(name))
        if server_name is None:
            raise Failure.no_statement(wire.shown(name))
        return Prepared(b"", (), server_name.encode())

    def _prepared(self, client: Client, rest: bytes) -> Prepared:
        original, (sql, at) = rest, wire.cut(rest)
        text = sql.decode("utf-8", "surrogateescape")
        statements = read(text)
        if len(statements) == 1:
            changed = self._shared.effects.rewritten(client, statements[0], text, statements[0].start)
            if changed is not text:
                rest = changed.encode("utf-8", "surrogateescape") + b"\x00" + rest[at:]
        return Prepared(rest, statements, original=original)

    def _on_server(self, prepared: Prepared, part: Part, name: bytes | None = None) -> None:
        """Prepare ``prepared`` on the server; ``name`` is that of a Parse of the client's own."""
        statements = self._shared.statements
        for dropped in statements.take_dropped():
            part.dropped.append((len(part.units), dropped))
            part.units.append(SWALLOW)
            part.sent += wire.close(b"S", dropped)
        part.parsed.append((len(part.units), name, prepared))
        part.units.append(SWALLOW if name is None else FORWARD)
        part.sent += statements.add(prepared)

    def _bind(self, client: Client, body: bytes, part: Part) -> None:
        name, at = wire.cut(body)
        statement, at = wire.cut(body, at)
        rest = body[at:]
        prepared = self._statement(client, statement)
        if name and name in client.portals:
            raise Failure("42P03", f'cursor "{wire.shown(name)}" already exists')
        self._drop_portal(client, name, part)
        if prepared.only is not None and prepared.only.kind in ALWAYS:
            client.portals[name] = Portal(prepared, rest)
            part.units.append(wire.BIND_COMPLETE)
            return
        self._shared.sending.usable(part)
        if not prepared.server_name:
            self._on_server(prepared, part)
        self._portals += 1
        portal = client.portals[name] = Portal(prepared, rest, b"pgh_p%d" % self._portals)
        part.bound.append((len(part.units), name))
        part.units.append(FORWARD)
        part.sent += wire.bind(portal.server_name, prepared.server_name, rest)

    def _describe(self, client: Client, body: bytes, part: Part) -> None:
        what, (name, _) = body[:1], wire.cut(body, 1)
        if what == b"S":
            prepared = self._statement(client, name)
            if prepared.only is not None and prepared.only.kind in ALWAYS:
                part.units += [wire.NO_PARAMETERS + wire.NO_DATA]
                return
            self._shared.sending.usable(part)
            if not prepared.server_name:
                self._on_server(prepared, part)
            server_name = prepared.server_name
        else:
            portal = client.portals.get(name)
            if portal is None:
                cursor = client.cursors.get(wire.shown(name))
                if cursor is None:
                    raise Failure.no_portal(wire.shown(name))
                server_name = cursor.encode()
            elif not portal.server_name:
                part.units.append(wire.NO_DATA)
                return
            else:
                server_name = portal.server_name
            self._shared.sending.usable(part)
        part.units.append(FORWARD)
        part.sent += wire.describe(what, server_name)

    def _execute(self, client: Client, body: bytes, part: Part) -> None:
        name, at = wire.cut(body)
        portal = client.portals.get(name)
        if portal is None:
            cursor = client.cursors.get(wire.shown(name))
            if cursor is None:
                raise Failure.no_portal(wire.shown(name))
            portal = Portal(Prepared(b"", ()), b"", cursor.encode())
        if portal.prepared.only is not None:
            client.last = portal.prepared.only.text
        self._shared.sending.usable(part)
        for statement in portal.prepared.statements:
            self._shared.sending.examine(statement, part, portal)
        part.writes = part.writes or (body[at:] != _ALL_ROWS and not _ends_here(client))
        part.units.append(FORWARD)
        part.sent += wire.execute(portal.server_name, body[at:])

    def _close(self, client: Client, body: bytes, part: Part) -> None:
        what, (name, _) = body[:1], wire.cut(body, 1)
        if what == b"S":
            prepared = client.statements.pop(name, None)
            if prepared is not None:
                self._shared.statements.forget(prepared)
            elif (named := client.named.pop(wire.shown(name), None)) is not None:
                self._shared.sending.closes.append(wire.close(b"S", named.encode()))
        elif name in client.portals:
            self._drop_portal(client, name, part)
        else:
            cursor = client.cursors.pop(wire.shown(name), None)
            if cursor is not None:
                part.units.append(SWALLOW)
                part.sent += wire.close(b"P", cursor.encode())
        part.units.append(wire.CLOSE_COMPLETE)

    # -- the unnamed ones --------------------------------------------------------------------------

    def _drop_portal(self, client: Client, name: bytes, part: Part) -> None:
        old = client.portals.pop(name, None)
        if old is not None and old.server_name:
            part.units.append(SWALLOW)
            part.sent += wire.close(b"P", old.server_name)

    def _close_unnamed(self, client: Client, part: Part) -> None:
        """Close the unnamed portal once it has run to its end: it would keep its tables in use."""
        portal = client.portals.get(b"")
        if portal is None or not portal.server_name:
            return
        if portal.prepared.only is not None and portal.prepared.only.kind in ("copy in", "copy out"):
            return  # nothing may follow it while it copies
        if part.sent.endswith(wire.execute(portal.server_name, _ALL_ROWS)):
            self._drop_portal(client, b"", part)

    def drop_unnamed(self, client: Client) -> None:
        """A simple query destroys the unnamed statement and the unnamed portal of its client."""
        prepared = client.statements.pop(b"", None)
        if prepared is not None:
            self._shared.statements.forget(prepared)
        portal = client.portals.pop(b"", None)
        if portal is not None and portal.server_name:
            self._shared.sending.closes.append(wire.close(b"P", portal.server_name))


def _ends_here(client: Client) -> bool:
    """Whether the message that follows closes a portal which has more rows; else it is like a cursor."""
    return not client.explicit and len(client.queue) > 1 and client.queue[1][0] == b"S"


def _answer(client: Client, part: Part) -> None:
    """Give ``client`` the answers of the proxy's own that precede everything else."""
    for unit in part.units:
        if not isinstance(unit, bytes):
            return
        client.out += unit
