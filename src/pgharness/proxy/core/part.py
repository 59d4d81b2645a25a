"""What a client sends that goes to the server in one packet."""

from __future__ import annotations

from pgharness.proxy.core.channel import Section, Unit
from pgharness.proxy.core.client import Client, Prepared
from pgharness.proxy.core.statements import Statement
from pgharness.proxy.core.transaction import Transaction


class Part:
    """Messages of ``client`` that need nothing in between."""

    __slots__ = (
        *("bound", "client", "dropped", "offset", "parsed", "section", "sent", "settings"),
        *("simple", "statements", "transaction", "units", "writes"),
    )

    def __init__(self, client: Client) -> None:
        self.client = client
        self.transaction: Transaction | None = None
        """In which it is sent; None as long as it holds nothing for the server."""
        self.sent = bytearray()
        self.units: list[Unit] = []
        """What becomes of the answers, as `Section` has it."""
        self.simple = False
        self.writes = False
        self.offset = 0
        """How many characters of the client's text precede what is sent."""
        self.statements: list[Statement] = []
        self.settings: dict[str, bool] = {}
        """The parameters that it may set, and whether for its transaction alone."""
        self.parsed: list[tuple[int, bytes | None, Prepared]] = []
        """What it prepares: the place among the answers, the client's name if it has asked, the statement."""
        self.dropped: list[tuple[int, bytes]] = []
        """The statements on the server that it closes for want of a user."""
        self.bound: list[tuple[int, bytes]] = []
        self.section: Section | None = None
