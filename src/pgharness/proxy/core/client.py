"""One client: what belongs to its session, though the connection to the server is shared."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Mapping
from typing import Literal

from pgharness.proxy.core import wire
from pgharness.proxy.core.statements import Statement
from pgharness.proxy.core.transaction import NOTHING, Transaction

STOPS = frozenset((b"S", b"H", b"Q", b"F"))
"""What a client sends before it waits for an answer."""


@dataclasses.dataclass(eq=False, slots=True)
class Prepared:
    """A prepared statement of a client.

    Args:
        body: Its Parse after the name: the text and the types of its parameters.
        statements: What the text says.
    """

    body: bytes
    statements: tuple[Statement, ...]
    server_name: bytes = b""
    """Its name on the server; empty while it has to be prepared there."""
    original: bytes = b""
    """Its Parse after the name as the client has sent it."""
    only_reads: bool = False
    """Whether it does nothing but read, as it was `judged` when so many functions had been made by tests."""
    judged: int = -1

    @property
    def only(self) -> Statement | None:
        return self.statements[0] if self.statements else None


@dataclasses.dataclass(eq=False, slots=True)
class Portal:
    """A portal of a client: a prepared statement and the parameters that are bound to it."""

    prepared: Prepared
    rest: bytes
    server_name: bytes = b""
    """Its name on the server; empty for a statement that the server is not sent."""

    def texts(self) -> list[bytes | None]:
        return wire.bound_texts(self.rest)


class Client:
    """A connection to the proxy, ready for statements.

    Args:
        pid: What it takes for the process id of its server process, unique in this proxy.
        secret: What it sends with a request to cancel.
        user: The role that it has logged in as.
        application: Its ``application_name``.
        settings: The parameters that it was started with, in the server's own spelling.
        reported: What the server has told it of parameters, as a new connection is told.
        place: Yields where in the code its running transaction began, if that is known.
    """

    def __init__(  # noqa: PLR0913, PLR0915 - what a login tells
        self,
        pid: int,
        secret: bytes,
        *,
        user: str,
        application: str = "",
        settings: Mapping[str, str] = NOTHING,
        reported: Mapping[str, str] = NOTHING,
        place: Callable[[int], str] = lambda _: "",
    ) -> None:
        self.pid = pid
        self.secret = secret
        self.user = user
        self.application = application
        self.asked: Mapping[str, str] = dict(settings)
        """What RESET ALL goes back to."""
        self.baseline: Mapping[str, str] | None = None
        """What each test begins with, where it is known what the connection was made with."""
        self.made_with: frozenset[str] = frozenset()
        """The names of PREPARE that it has had from then on."""
        self.settings: Mapping[str, str] = self.asked
        self.told: Mapping[str, str] = self.asked
        """The settings as it was last told of them."""
        self.reported: dict[str, str] = dict(reported)
        self._place = place
        self.out = bytearray()
        """What is to be sent to the client."""
        self.queue: deque[tuple[bytes, bytes]] = deque()
        """What it has sent and the proxy has not looked at."""
        self.stops = 0
        """How many messages of the queue are such that the client waits for their answers."""
        self.skipping = False
        """Whether everything is ignored until a Sync, as after an error in the extended protocol."""
        self.holding = False
        """Whether what waits to be sent to it answers a group that has no Sync and no Flush yet."""
        self.copying: Literal["", "in", "out"] = ""
        """Whether it copies, and in which direction."""
        self.gone = False
        self.cancelled = False
        """Whether what it has asked for is to be cancelled, as soon as the server is at it."""
        self.statements: dict[bytes, Prepared] = {}
        self.portals: dict[bytes, Portal] = {}
        self.named: dict[str, str] = {}
        """The names of PREPARE, by those that they have on the server."""
        self.cursors: dict[str, str] = {}
        """The names of DECLARE, by those that they have on the server."""
        self.temporary: dict[str, str] = {}
        """Temporary tables, with what becomes of them at a commit."""
        self.locks = 0
        """How many advisory locks of its session it may hold."""
        self.listens: dict[str, str] = {}
        """The channels it listens to, and where it began to."""
        self.transaction: Transaction | None = None
        self.touched: set[str] = set()
        """The parameters that it may have set while it had a connection for itself."""
        self.carried = False
        """Whether it goes on with a transaction in which an earlier test or fixture has only read."""
        self.lost = ""
        """The test with which its transaction has ended, while it has not noticed."""
        self.last = ""
        """The text of its last statement."""

    def take(self, messages: list[tuple[bytes, bytes]]) -> None:
        self.queue.extend(messages)
        self.stops += sum(kind in STOPS for kind, _ in messages)

    def next(self) -> tuple[bytes, bytes]:
        """The next message, taken from the queue."""
        found = self.queue.popleft()
        if found[0] in STOPS:
            self.stops -= 1
            self.holding = False
        return found

    @property
    def explicit(self) -> bool:
        return self.transaction is not None and self.transaction.explicit

    @property
    def failed(self) -> bool:
        return self.transaction is not None and self.transaction.failed

    @property
    def status(self) -> bytes:
        if self.lost:
            return b"E"
        if not self.explicit:
            return b"I"
        return b"E" if self.failed else b"T"

    def ready(self) -> None:
        """Tell it that it may go on."""
        self.out += wire.READY[self.status]

    def error(self, code: str, text: str, detail: str = "", hint: str = "", severity: str = "ERROR") -> None:
        self.out += wire.error(severity, code, text, detail, hint)

    def origin(self) -> Origin:
        return Origin(self, self.last)


class Origin:
    """Where a transaction began: in the code, if that is known, else which connection it is."""

    __slots__ = ("_client", "_said", "_text")

    def __init__(self, client: Client, text: str) -> None:
        self._client = client
        self._text = text
        self._said = ""

    def began(self, text: str) -> None:
        """The first statement after BEGIN is ``text``."""
        self._text = text

    def __str__(self) -> str:
        if not self._said:
            client = self._client
            where = client._place(client.pid)  # noqa: SLF001 - of this module
            self._said = where or self._unplaced()
        return self._said

    def _unplaced(self) -> str:
        client = self._client
        name = f" of {client.application}" if client.application else ""
        text = " ".join(self._text.split())
        shown = f", {text[:60]!r}" if text else ""
        return f"connection {client.pid}{name}{shown}"
