"""Clients that leave, that cancel, that have waited too long, and that copy."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pgharness.proxy.core import wire
from pgharness.proxy.core.client import Client
from pgharness.proxy.core.refusals import Refused

if TYPE_CHECKING:
    from pgharness.proxy.core.shared import Shared


class Leaving:
    """What happens to a client in the middle of what it has asked for."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    def copy(self, client: Client) -> None:
        """Pass on what ``client`` copies, and at its end a Sync for the one that the server has eaten."""
        channel = self._shared.channel
        section = channel.sections[0]
        is_extended = section.part is not None and not section.part.simple
        while client.copying == "in" and client.queue and client.queue[0][0] in b"dcfSH":
            if client.queue[0][0] == b"S" and is_extended and section.error is not None:
                ends = True  # it is where the server goes on after an error, and the client's to be answered
            else:
                kind, body = client.next()
                channel.out += wire.message(kind, body) if kind in b"dcf" else b""
                ends = kind in b"cf"
            if ends:
                client.copying = ""
                channel.out += wire.SYNC if is_extended else b""

    def cancel_waiting(self, client: Client) -> bool:
        """Answer ``client`` that its request is cancelled if it waits for its turn."""
        if not self._shared.withdraw(client):
            return False
        self.refuse_waiting(client, lambda: client.error("57014", "canceling statement due to user request"))
        return True

    def busy(self, client: Client) -> None:
        """Answer ``client`` that it has waited too long for the holder's statement to end."""
        holder = self._shared.holder
        if holder is None or not self._shared.withdraw(client):
            return
        place = str(client.origin())
        refused = Refused("busy", place, self._shared.facts.lock_timeout, holder.last, str(holder.origin()))
        self.refuse_waiting(client, lambda: self._shared.refuse(client, refused))

    def refuse_waiting(self, client: Client, say: Callable[[], None]) -> None:
        """Give up the group of ``client`` that has not begun, and ``say`` why."""
        say()
        kind = b""
        while client.queue and kind not in (b"S", b"Q", b"F"):
            kind, _ = client.next()
        if client.transaction is not None:
            self._shared.scope.stack.failed(client.transaction, on_server=False)
            if not client.transaction.explicit:
                self._shared.commits.forget(client, kept=False)
        client.skipping = kind not in (b"S", b"Q", b"F")
        if not client.skipping:
            client.ready()
        self._shared.feed(client)

    def leave(self, client: Client) -> None:
        """``client`` has gone: what it has not committed is undone, and what belongs to its session ends."""
        client.gone = True
        client.queue.clear()
        client.stops = 0
        self._shared.withdraw(client)
        if self._shared.holder is client:
            if client.copying == "in":
                self._shared.channel.fail_copy()
            self._shared.abandon(client)
            self._shared.inside(lambda: self._left(client))
        else:
            self._left(client)

    def _left(self, client: Client) -> None:
        self._shared.clients.pop(client.pid, None)
        self._shared.commits.forget(client, kept=False)
        for prepared in client.statements.values():
            self._shared.statements.forget(prepared)
        self._shared.sending.closes += [wire.close(b"S", name.encode()) for name in client.named.values()]
        self._shared.commits.drop_temporary(client)
        client.out.clear()
