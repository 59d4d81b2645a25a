"""Every client's transactions in one: the sessions of a test on one connection to the server.

One client at a time has the server; what the others have sent waits, and is served in the order in which
it came. What a client sends up to the point at which it waits for an answer is split where the stack has
to be told something; each part goes to the server in one packet with the savepoints that it needs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from pgharness.proxy.core import scripts, wire
from pgharness.proxy.core.channel import Channel
from pgharness.proxy.core.client import Client
from pgharness.proxy.core.commit import Commits
from pgharness.proxy.core.control import Control
from pgharness.proxy.core.effects import Effects
from pgharness.proxy.core.extended import Extended
from pgharness.proxy.core.failures import Failure, Failures
from pgharness.proxy.core.leaving import Leaving
from pgharness.proxy.core.part import Part
from pgharness.proxy.core.prepared import Statements
from pgharness.proxy.core.refusals import Refused
from pgharness.proxy.core.repeated import Repeated
from pgharness.proxy.core.running import Facts, Scope
from pgharness.proxy.core.scopes import Scopes
from pgharness.proxy.core.sending import Sending

Sentence = Callable[[str, Refused], tuple[str, str, str]]


class Shared:
    """The clients of one shared connection.

    Args:
        facts: What is known of the schema.
        defaults: The server's values of parameters, as far as they are known; grows.
        sentence: Says a refusal in a test: its text, what is behind it, and the ways out.
        now: This moment as PostgreSQL reads it; frozen where the test has frozen time.
    """

    def __init__(
        self, facts: Facts, defaults: dict[str, str], sentence: Sentence, now: Callable[[], str] = str
    ) -> None:
        self.facts = facts
        self.defaults = defaults
        self.sentence = sentence
        self.now = now
        self.holders: Callable[[], list[str]] = list
        """Tells who else is in a transaction of the database."""
        self.claim: Callable[[str], None] = _nothing
        """Called with a statement that changes what all databases share, before it is sent."""
        self.scope = Scope("", facts, defaults)
        self.refused_test = ""
        """The running test, if it has not asked for the database."""
        self.clients: dict[int, Client] = {}
        self.statements = Statements()
        self.failures = Failures(self)
        self.channel = Channel(self.failures.refine)
        self.effects = Effects(self)
        self.control = Control(self)
        self.commits = Commits(self)
        self.extended = Extended(self)
        self.repeated = Repeated(self)
        self.sending = Sending(self)
        self.scopes = Scopes(self)
        self.leaving = Leaving(self)
        self.holder: Client | None = None
        """The client that the server works for."""
        self.held = False
        """Whether nothing may be sent: a request to cancel is on its way, and hits what the server is at."""
        self.connected = False
        self._waiting: deque[Client] = deque()
        self._internal: deque[Callable[[], None]] = deque()
        self.ending = False
        """Whether the last message of the holder's group has been taken, and only ReadyForQuery is owed."""
        self._script: deque[scripts.Step] | None = None
        """What is left of the holder's simple query, if it has sent one."""

    # -- whose turn it is -----------------------------------------------------------------------

    def feed(self, client: Client) -> None:
        """Serve ``client``, which has sent something, when its turn comes.

        What it has sent may have no Sync yet: an error is told before that, as PostgreSQL does.
        """
        if client.carried:
            self.scopes.go_on(client)
        if client.queue and client is not self.holder and client not in self._waiting:
            self._waiting.append(client)
        self.pump()

    def inside(self, work: Callable[[], None]) -> None:
        """Do ``work`` of the harness's own as soon as the server is free."""
        self._internal.append(work)
        self.pump()

    def pump(self) -> None:
        """Go on with whoever is next, as long as the server is free."""
        while self.channel.idle and not self.held:
            if self.holder is not None:
                self._serve(self.holder)
            elif self._internal:
                self._internal.popleft()()
            elif self._waiting:
                self.holder = self._waiting.popleft()
            else:
                return

    def release(self, client: Client) -> None:
        """``client`` has been answered: it is the next one's turn."""
        if self.holder is client:
            self.holder = None
            client.cancelled = False
        if client.queue and client not in self._waiting:
            self._waiting.append(client)

    def withdraw(self, client: Client) -> bool:
        """Let ``client`` wait no longer; returns whether it did."""
        if client not in self._waiting:
            return False
        self._waiting.remove(client)
        return True

    def waiting(self) -> list[Client]:
        """Who waits until the holder has been answered."""
        return list(self._waiting)

    def _serve(self, client: Client) -> None:
        """Take the next step of the holder."""
        if self._script:
            step = self._script.popleft()
            self.attempt(client, lambda: self._take(client, step))
        elif self._script is not None:
            self._script = None
            self._end_group(client)
        elif client.queue and not client.gone:
            self._message(client)
        else:
            self.release(client)

    def _message(self, client: Client) -> None:
        kind = client.queue[0][0]
        if kind in b"PBDEC":
            if client.skipping:
                client.next()
            elif kind != b"B" or not self.repeated.take(client):
                self.attempt(client, lambda: self.extended.gather(client))
            return
        _, body = client.next()
        if kind == b"S":
            self._end_group(client)
        elif kind == b"Q":
            self._query(client, body)
        elif kind == b"F":
            self._script = deque()
            self.attempt(client, lambda: self._function(client, body))
        elif kind == b"H":
            self.release(client)

    # -- simple queries -------------------------------------------------------------------------

    def _query(self, client: Client, body: bytes) -> None:
        client.skipping = False
        self.extended.drop_unnamed(client)
        client.last = body[:-1].decode("utf-8", "surrogateescape")
        self._script = scripts.steps(client.last)
        if not self._script:
            client.out += wire.EMPTY_QUERY

    def _take(self, client: Client, step: scripts.Step) -> None:
        if len(step.statements) == 1 and self.control.takes(client, step.statements[0]):
            self.control.run(client, step.statements[0])
            return
        part = Part(client)
        text = step.text
        for statement in step.statements:
            self.sending.examine(statement, part)
        if len(step.statements) == 1:
            statement = step.statements[0]
            text = self.effects.rewritten(client, statement, text, statement.start - step.start)
        part.sent += wire.query(text)
        part.offset = step.start
        part.simple = True
        self.sending.send(part)

    def _function(self, client: Client, body: bytes) -> None:
        """A function call as libpq makes it for large objects."""
        part = Part(client)
        part.simple = part.writes = True
        part.sent += wire.message(b"F", body)
        self.sending.send(part)

    # -- ends -------------------------------------------------------------------------------------

    def _end_group(self, client: Client) -> None:
        """At a Sync, or the end of a simple query: end a transaction that no BEGIN has begun."""
        client.skipping = False
        self.ending = True
        transaction = client.transaction
        if transaction is not None and not transaction.explicit:
            self.commits.end(client, lambda: self.finish(client))
        else:
            self.finish(client)

    def finish(self, client: Client) -> None:
        """Tell ``client`` that its group has been answered."""
        self.ending = False
        client.ready()
        self.release(client)

    def attempt(self, client: Client, work: Callable[[], None]) -> None:
        """Do ``work``, and tell ``client`` what comes in its way."""
        try:
            work()
        except Failure as failure:
            client.error(failure.code, failure.text)
            self._failed(client)
        except Refused as refused:
            self.refuse(client, refused)
            self._failed(client)

    def refuse(self, client: Client, refused: Refused) -> None:
        """Answer ``client`` that its statement cannot be shown as in production."""
        if all(refused is not known for known in self.scope.refusals):
            self.scope.refusals.append(refused)
        text, detail, hint = self.sentence(self.refused_test or self.scope.id, refused)
        client.error("0A000", text, detail, hint)

    def _failed(self, client: Client) -> None:
        if client.transaction is not None:
            self.scope.stack.failed(client.transaction, on_server=False)
        self.abandon(client)

    def abandon(self, client: Client) -> None:
        """Ignore what is left of the client's group."""
        if self._script is not None:
            self._script.clear()
        else:
            client.skipping = True

    # -- the connection -----------------------------------------------------------------------------

    def connect(self, facts: Facts, defaults: dict[str, str]) -> None:
        """A new connection is there, on which nothing has been sent."""
        self.facts = facts
        self.defaults = {**self.defaults, **defaults}
        self.channel = Channel(self.failures.refine)
        self.scopes.restarted = False
        self._forget_connection()
        if not self.scope.id:
            self.scope = Scope("", facts, self.defaults)
        self.connected = True

    def _forget_connection(self) -> None:
        self.statements.clear()
        self.sending.closes.clear()
        for client in self.clients.values():
            client.portals.clear()
            client.cursors.clear()
            for prepared in client.statements.values():
                prepared.server_name, prepared.judged = b"", -1

    def lost(self, refused: Refused) -> None:
        """The connection has ended by itself: what was done on it is gone."""
        self.connected = self.held = False
        self.channel = Channel(self.failures.refine)
        self._forget_connection()
        self.scope.begun = False
        self.scope.stack.diverged = refused
        self.scopes.lost()
        holder = self.holder
        if holder is not None:
            self.refuse(holder, refused)
            self._failed(holder)
            if self.ending:
                if not holder.explicit:
                    self.commits.forget(holder, kept=False)
                holder.skipping = False
                self.finish(holder)
        self.pump()


def _nothing(_: str) -> None:
    """Nobody else changes what all databases share."""
