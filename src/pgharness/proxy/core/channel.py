"""What is expected from one connection to PostgreSQL, and what becomes of it.

Everything sent to the server is followed by something that it answers with ReadyForQuery; between two of
those lies a *section*. A section belongs to a client, which gets what comes in it, or to the harness.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from pgharness.proxy.core import wire

if TYPE_CHECKING:
    from pgharness.proxy.core.client import Client
    from pgharness.proxy.core.part import Part

_LENGTH = struct.Struct("!I").unpack_from
FORWARD, SWALLOW = 0, 1
Unit = int | bytes
"""What becomes of the answer to a message of the extended protocol; bytes are one of the proxy's own."""
_ENDS = frozenset(b"123nTCIs")
_READY, _ERROR, _ROW, _COPY_DATA, _COMPLETE = b"Z"[0], b"E"[0], b"D"[0], b"d"[0], b"C"[0]
_STATUS, _NOTICE, _NOTIFICATION = b"S"[0], b"N"[0], b"A"[0]
_COPIES = frozenset(b"GHW")
_COPY_OUT = b"H"[0]


class Section:
    """What comes from the server up to the next ReadyForQuery.

    Args:
        client: Who gets it; None for the harness, which keeps rows and the error, if there is one.
        units: One for each message of the extended protocol that has an answer; None for a simple query.
        done: Called with the section at its end, once nothing of it is left to come.
        part: What the client has sent.
    """

    __slots__ = ("at", "client", "completed", "done", "error", "part", "rows", "status", "units")

    def __init__(
        self,
        client: Client | None,
        done: Callable[[Section], None],
        units: list[Unit] | None = None,
        part: Part | None = None,
    ) -> None:
        self.client = client
        self.part = part
        self.done = done
        self.units = units
        self.at = 0
        """How many of ``units`` have been answered."""
        self.completed = 0
        """How many statements of a simple query of the harness have ended well."""
        self.rows: list[bytes] = []
        self.error: bytes | None = None
        """The body of the ErrorResponse, if there was one."""
        self.status = b"I"


class Channel:
    """The traffic of one connection to the server.

    Args:
        refine: What becomes of an error that a client is about to get: the message to send instead.
        owner: Who has the connection for itself, and gets what comes unasked.
    """

    def __init__(self, refine: Callable[[Section, bytes], bytes], owner: Client | None = None) -> None:
        self.owner = owner
        self.ended = False
        """Whether the server has said why it ends the connection."""
        self.out = bytearray()
        """What is to be sent to the server."""
        self.sections: deque[Section] = deque()
        self._refine = refine
        self._rest = wire.Rest()

    def send(self, data: bytes, section: Section) -> None:
        """Send ``data``, which ends with a Sync or is a simple query, and expect ``section``."""
        self.out += data
        self.sections.append(section)
        if len(self.sections) == 1:
            self._local(section)

    @property
    def idle(self) -> bool:
        return not self.sections

    def _local(self, section: Section) -> None:
        """Give the client the answers of the proxy's own that are due."""
        units, client = section.units, section.client
        if units is None or client is None:
            return
        while section.at < len(units):
            unit = units[section.at]
            if not isinstance(unit, bytes):
                return
            client.out += unit
            section.at += 1

    def receive(self, data: bytes) -> None:  # noqa: C901, PLR0912 - one pass over every byte, in one place
        """Take what has come from the server."""
        if self._rest:
            data = self._rest.with_more(data)
        at = start = 0
        size = len(data)
        sections = self.sections
        section = sections[0] if sections else None
        while size - at >= wire.HEADER:
            kind = data[at]
            following = at + 1 + _LENGTH(data, at + 1)[0]
            if following > size:
                break
            if section is None:  # unasked: a notification, a notice, or the server's last word
                if self.owner is not None:
                    self.owner.out += data[at:following]
                    self.ended = self.ended or kind == _ERROR
                start = following
            elif section.client is None:
                if kind == _READY:
                    section = self._end(data[at + wire.HEADER : following])
                else:
                    self._keep(section, kind, data[at + wire.HEADER : following])
                start = following
            elif kind == _ROW or kind == _COPY_DATA:  # noqa: PLR1714, SIM109 - quicker than a set
                pass
            elif kind == _READY:
                if start < at:
                    section.client.out += data[start:at]
                start = following
                section = self._end(data[at + wire.HEADER : following])
            elif (
                section.units and kind in _ENDS and section.error is None and section.at < len(section.units)
            ):
                unit = section.units[section.at]
                section.at += 1
                following_unit = section.units[section.at] if section.at < len(section.units) else None
                if unit == SWALLOW or isinstance(following_unit, bytes):
                    end = at if unit == SWALLOW else following
                    if start < end:
                        section.client.out += data[start:end]  # type: ignore[union-attr]  # it has one
                    start = following
                    self._local(section)
            else:
                start = self._unusual(section, kind, data, start, at, following)
            at = following
        if section is not None and section.client is not None and start < at:
            section.client.out += data[start:at]
        if at < size:
            self._rest.keep(data[at:])

    def _unusual(  # noqa: PLR0913, PLR0917 - where `receive` stands
        self, section: Section, kind: int, data: bytes, start: int, at: int, following: int
    ) -> int:
        """What is neither a row nor an end; returns where what is still to be forwarded begins."""
        client = section.client
        assert client is not None  # noqa: S101 - the caller's section is a client's
        if kind == _ERROR:
            body = data[at + wire.HEADER : following]
            client.out += data[start:at] + self._refine(section, body)
            section.error = body
            self.ended = body.startswith(b"SFATAL")
            return following
        if kind in _COPIES:
            client.copying = "out" if kind == _COPY_OUT else "in"
            if client.gone and client.copying == "in":
                self.fail_copy()
        elif kind == _STATUS:
            name, value, _ = data[at + wire.HEADER : following].split(b"\x00", 2)
            if section.part is not None and name.decode().lower() not in section.part.settings:
                client.out += data[start:at]  # that of another client, which an error has brought back
                return following
            client.reported[name.decode()] = value.decode("utf-8", "surrogateescape")
            client.told = {}
        elif kind == _NOTIFICATION and self.owner is None:
            client.out += data[start:at]
            return following
        return start

    def fail_copy(self) -> None:
        """End what a client copies in that has gone; the server has eaten the Sync, if there was one."""
        part = self.sections[0].part
        self.out += wire.COPY_FAIL if part is None or part.simple else wire.COPY_FAIL + wire.SYNC

    def _keep(self, section: Section, kind: int, body: bytes) -> None:
        if kind == _ROW:
            section.rows.append(body)
        elif kind == _ERROR:
            section.error = body
        elif kind == _COMPLETE:
            section.completed += 1

    def _end(self, status: bytes) -> Section | None:
        """End the first section; returns the next."""
        section = self.sections.popleft()
        section.status = status
        if self.sections:
            self._local(self.sections[0])
        if section.client is not None:
            section.client.copying = ""
        section.done(section)
        return self.sections[0] if self.sections else None
