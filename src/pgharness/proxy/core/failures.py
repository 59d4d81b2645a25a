"""What went wrong: errors that the server has answered, and those that the proxy answers in its place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pgharness.proxy.core import wire
from pgharness.proxy.core.channel import Section
from pgharness.proxy.core.part import Part
from pgharness.proxy.core.refusals import Refused

if TYPE_CHECKING:
    from pgharness.proxy.core.shared import Shared


class Failure(Exception):  # noqa: N818 - it is the answer, no fault
    """What PostgreSQL would answer, so it need not be asked; ``code`` is a SQLSTATE."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text

    @classmethod
    def aborted(cls) -> Failure:
        return cls("25P02", "current transaction is aborted, commands ignored until end of transaction block")

    @classmethod
    def no_block(cls, command: str) -> Failure:
        return cls("25P01", f"{command} can only be used in transaction blocks")

    @classmethod
    def no_savepoint(cls, name: str) -> Failure:
        return cls("3B001", f'savepoint "{name}" does not exist')

    @classmethod
    def no_statement(cls, name: str) -> Failure:
        shown = f'prepared statement "{name}"' if name else "unnamed prepared statement"
        return cls("26000", f"{shown} does not exist")

    @classmethod
    def no_portal(cls, name: str) -> Failure:
        return cls("34000", f'portal "{name}" does not exist')

    @classmethod
    def no_cursor(cls, name: str) -> Failure:
        return cls("34000", f'cursor "{name}" does not exist')


_LOCK_TIMEOUT = "canceling statement due to lock timeout"


_ALLOWED_TO_SUPERUSERS = re.compile(
    r"superuser|permission denied to (?:set parameter|create event trigger|create extension|COPY|terminate)"
    r"|system trigger|permission denied for (?:function|table|view) pg_"
)


def wants_superuser(error: Mapping[str, str]) -> bool:
    """Whether a superuser would have been let do what the ErrorResponse ``error`` denies."""
    said = " ".join(error.get(field, "") for field in "MDH")
    return error.get("C") == "42501" and _ALLOWED_TO_SUPERUSERS.search(said) is not None


class Failures:
    """What becomes of errors of the server."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self.denied: list[str] = []
        """What the running test has been denied that a superuser may."""

    def refine(self, section: Section, body: bytes) -> bytes:
        """The message for the client in place of the ErrorResponse with ``body``."""
        part, error = section.part, wire.fields(body)
        if error.get("V") in ("FATAL", "PANIC"):
            return b""  # the connection is about to end, and its client to be told so
        refused = self._refused(part, error) if part is not None else None
        self.note(error)
        if refused is None:
            return wire.message(b"E", wire.moved(body, part.offset if part is not None else 0))
        shared = self._shared
        shared.scope.refusals.append(refused)
        text, detail, hint = shared.sentence(shared.scope.id, refused)
        return wire.error("ERROR", "0A000", text, detail, hint)

    def note(self, error: Mapping[str, str]) -> None:
        """Remember the ErrorResponse ``error`` for the test's report, where it matters for that."""
        if wants_superuser(error):
            self.denied.append(error["M"])

    def _refused(self, part: Part, error: dict[str, str]) -> Refused | None:
        """The refusal behind an error that separate connections would not have had."""
        client = part.client
        code, text = error.get("C", ""), error.get("M", "")
        alone = not client.explicit
        if alone and code in ("25001", "2D000"):
            return Refused("not_in_transaction", text)
        if code == "55P04" and not any(statement.adds_value for statement in part.statements):
            transaction = client.transaction
            if transaction is None or not transaction.added_value:
                return Refused("not_in_transaction", text)
        if code == "55006" and "active quer" in text and self._others_read(part):
            return Refused("session_state", "open cursors of several connections", str(client.origin()))
        if code == "55P03" and text.startswith(_LOCK_TIMEOUT) and "lock_timeout" not in client.settings:
            transaction = client.transaction
            if transaction is None or "lock_timeout" not in transaction.effective:
                shared = self._shared
                seconds, holders = shared.facts.lock_timeout, shared.holders()
                return Refused("locked", client.last, str(client.origin()), seconds, holders)
        return None

    def _others_read(self, part: Part) -> bool:
        return any(
            other is not part.client and (other.portals or other.cursors)
            for other in self._shared.clients.values()
        )

    def happened(self, part: Part, section: Section) -> None:
        """A statement of ``part`` has failed."""
        shared, client = self._shared, part.client
        transaction = client.transaction
        for index, name, prepared in part.parsed:
            if index >= section.at:
                if name is not None:
                    client.statements.pop(name, None)
                shared.statements.failed(prepared)
        for index, name in part.dropped:
            if index >= section.at:
                shared.statements.drop(name)
        for index, name in part.bound:
            if index >= section.at:
                client.portals.pop(name, None)
        if transaction is not None and section.status != b"I":
            shared.scope.stack.failed(transaction)
        shared.abandon(client)

    def leaked(self, part: Part) -> None:
        """The test's transaction is gone: a statement has ended it past the harness."""
        scope = self._shared.scope
        scope.refusals.append(Refused("leaked", part.client.last, str(part.client.origin())))
        scope.stack.diverged = scope.refusals[-1]
        scope.begun = False
