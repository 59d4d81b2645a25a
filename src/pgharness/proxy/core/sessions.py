"""What a client says about its session, which the server is not told as it stands."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from pgharness.proxy.core import wire
from pgharness.proxy.core.client import Client
from pgharness.proxy.core.failures import Failure
from pgharness.proxy.core.refusals import Refused
from pgharness.proxy.core.settings import AUTHORIZATION, ROLE
from pgharness.proxy.core.statements import Statement

if TYPE_CHECKING:
    from pgharness.proxy.core.shared import Shared

_OWN = "pgharness."
"""What the names of parameters begin with that stand for those of a transaction."""


class Sessions:
    """Answers statements that concern a session: its parameters, channels and names."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self.runs: dict[str, Callable[[Client, Statement], None]] = {
            "set characteristics": self._set_characteristics,
            "listen": self._listen,
            "unlisten": self._unlisten,
            "notify": self._notify,
            "discard": self._discard,
            "deallocate": self._deallocate,
            "reset": self._reset,
            "reset all": self._reset_all,
        }

    def close(self, what: bytes, names: Iterable[str]) -> None:
        """Have the server forget statements (``S``) or cursors (``P``) before the next statement."""
        self._shared.sending.closes += [wire.close(what, name.encode()) for name in names]

    def _set_characteristics(self, client: Client, statement: Statement) -> None:
        values = {}
        if statement.isolation:
            values["default_transaction_isolation"] = statement.isolation.lower()
        for name, value in (("read_only", statement.read_only), ("deferrable", statement.deferrable)):
            if value is not None:
                values[f"default_transaction_{name}"] = "on" if value else "off"
        self._set(client, values)
        client.out += wire.complete("SET")

    def _set(self, client: Client, values: dict[str, str]) -> None:
        """Set parameters for the session; the server is told before the next statement."""
        if client.transaction is None:
            client.transaction = self._shared.control.new_transaction(client)
        transaction = client.transaction
        transaction.settings = {**transaction.settings, **values}
        transaction.local = {name: value for name, value in transaction.local.items() if name not in values}

    def _reset(self, client: Client, statement: Statement) -> None:
        known = {**self._shared.defaults, **client.asked}
        value = known.get(statement.name)
        if value is None and statement.name == AUTHORIZATION:
            value = client.user
        if value is not None:  # else nobody has ever set it
            self._set(client, {statement.name: value})
        client.out += wire.complete("RESET")

    def _reset_all(self, client: Client, _: Statement) -> None:
        self.forget_settings(client)
        client.out += wire.complete("RESET")

    def forget_settings(self, client: Client) -> None:
        """Give ``client`` the parameters that it was started with; its role stays."""
        known = {**self._shared.defaults, **client.asked}
        held = client.transaction.effective if client.transaction is not None else client.settings
        names = [name for name in held if name not in (ROLE, AUTHORIZATION) and not name.startswith(_OWN)]
        self._set(client, {name: known.get(name, "") for name in names})

    def _listen(self, client: Client, statement: Statement) -> None:
        client.listens[statement.name] = str(client.origin())
        client.out += wire.complete("LISTEN")

    def _unlisten(self, client: Client, statement: Statement) -> None:
        if statement.everything:
            client.listens.clear()
        client.listens.pop(statement.name, None)
        client.out += wire.complete("UNLISTEN")

    def _notify(self, client: Client, statement: Statement) -> None:
        self.check_listeners(client, statement)
        client.out += wire.complete("NOTIFY")

    def check_listeners(self, client: Client, statement: Statement) -> None:
        """See that nobody waits for what ``statement`` says: it is delivered at a real commit only.

        Raises:
            Refused: Somebody does.
        """
        if not self._shared.facts.strict:
            return
        for other in self._shared.clients.values():
            for channel, place in other.listens.items():
                if statement.kind != "notify" or channel == statement.name:
                    raise Refused("not_delivered", str(client.origin()), place)

    def _discard(self, client: Client, statement: Statement) -> None:
        if statement.name == "all":
            if client.explicit:
                raise Failure("25001", "DISCARD ALL cannot run inside a transaction block")
            self._drop_names(client)
            client.settings = client.asked
            client.listens.clear()
            self._shared.effects.report(client)
        if statement.name in ("all", "temp"):
            self._shared.commits.drop_temporary(client)
        client.out += wire.complete(f"DISCARD {statement.name.upper()}")

    def _deallocate(self, client: Client, statement: Statement) -> None:
        if statement.everything:
            self._drop_names(client)
            client.out += wire.complete("DEALLOCATE ALL")
            return
        prepared = client.statements.pop(statement.name.encode(), None)
        if prepared is not None:
            self._shared.statements.forget(prepared)
        elif (name := client.named.pop(statement.name, None)) is not None:
            self.close(b"S", [name])
        else:
            raise Failure.no_statement(statement.name)
        client.out += wire.complete("DEALLOCATE")

    def _drop_names(self, client: Client) -> None:
        for prepared in client.statements.values():
            self._shared.statements.forget(prepared)
        client.statements.clear()
        self.close(b"S", client.named.values())
        client.named.clear()
