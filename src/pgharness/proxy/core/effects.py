"""What statements do to the session they are sent in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from pgharness.proxy.core import wire
from pgharness.proxy.core.channel import Section
from pgharness.proxy.core.client import Client, Portal
from pgharness.proxy.core.failures import Failure
from pgharness.proxy.core.part import Part
from pgharness.proxy.core.refusals import Refused
from pgharness.proxy.core.settings import AUTHORIZATION, REPORTED, ROLE, literal
from pgharness.proxy.core.statements import SetConfig, Statement, function_settings
from pgharness.proxy.core.tokens import tokenize

if TYPE_CHECKING:
    from pgharness.proxy.core.shared import Shared

_TRUE = (b"t", b"true", b"on", b"1", b"yes", b"y", b"\x01")
ISOLATION, DEFERRABLE = "pgharness.isolation", "pgharness.deferrable"
"""The run-time parameters that tell a transaction what it has asked for and cannot have inside another."""
VIRTUAL = {"transaction_isolation": ISOLATION, "transaction_deferrable": DEFERRABLE}
"""What stands for parameters that cannot be set inside the shared transaction."""
_OF_ONE_TRANSACTION = frozenset(f"transaction_{name}" for name in ("isolation", "read_only", "deferrable"))
UNSET = {ISOLATION: "read committed", DEFERRABLE: "off"}
"""The values of those before anybody has set them."""
_RENAMED = frozenset(("prepare", "execute", "declare", "fetch", "move", "close"))


def _no_superuser() -> Failure:
    return Failure("42501", "permission denied to set session authorization")


class Effects:
    """Keeps each client's session as it would be on a connection of its own."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self.functions = 0
        """How often tests have made functions that set something."""
        self._made: dict[str, tuple[SetConfig, ...]] = {}
        """What functions set that tests have made."""

    # -- before -----------------------------------------------------------------------------------

    def foresee(self, client: Client, statement: Statement, part: Part, portal: Portal | None = None) -> None:
        """Note in ``part`` which parameters ``statement`` may set.

        Raises:
            Failure: PostgreSQL would refuse it.
            Refused: It makes the whole transaction another by a call.
        """
        if statement.kind == "set" and statement.name:
            if statement.name == AUTHORIZATION and not self._may_become(client, statement.value):
                raise _no_superuser()
            part.settings[statement.name] = statement.is_local
            return
        if statement.set_configs:
            self._foresee_calls(statement, part, portal)
        elif statement.kind == "do":
            self._foresee(function_settings(statement.body), part)
        setters = self._shared.facts.setters
        if setters or self._made:
            for word in statement.words:
                self._foresee(self._made.get(word) or setters.get(word, ()), part)
        if AUTHORIZATION in part.settings and client.user != self._shared.facts.login:
            raise _no_superuser()
        if not _OF_ONE_TRANSACTION.isdisjoint(part.settings):
            (name, *_) = _OF_ONE_TRANSACTION & part.settings.keys()
            raise Refused("session_state", f"set_config() of {name}", str(client.origin()))

    def _may_become(self, client: Client, role: str | None) -> bool:
        return role in (None, client.user) or client.user == self._shared.facts.login

    def may_set(self, statement: Statement) -> bool:
        """Whether ``statement`` calls a function that sets parameters."""
        known = self._shared.facts.setters
        return any(word in self._made or word in known for word in statement.words)

    def _foresee_calls(self, statement: Statement, part: Part, portal: Portal | None) -> None:
        texts = portal.texts() if portal is not None else []

        def text(number: int | None) -> bytes | None:
            return texts[number - 1] if number is not None and 0 < number <= len(texts) else None

        for call in statement.set_configs:
            name = call.name or (text(call.name_param) or b"").decode("utf-8", "replace")
            is_local = call.is_local
            if is_local is None and call.local_param is not None:
                is_local = text(call.local_param) in _TRUE
            if name:
                part.settings[name.lower()] = is_local is not False
        first = statement.set_configs[0]
        for name in statement.setting_like:
            part.settings.setdefault(name, first.is_local is not False)

    def _foresee(self, calls: tuple[SetConfig, ...], part: Part) -> None:
        for call in calls:
            if call.name:
                part.settings.setdefault(call.name.lower(), call.is_local is not False)

    def defaults_of(self, names: list[str]) -> Callable[[Section], None]:
        """What keeps the answer to a question for the values of ``names`` that nobody has set yet."""

        def keep(section: Section) -> None:
            for name, value in _values(names, section.rows).items():
                self._shared.defaults.setdefault(name, value or "")

        return keep

    # -- names ------------------------------------------------------------------------------------

    def rewritten(self, client: Client, statement: Statement, text: str, at: int) -> str:
        """``text``, which is ``statement`` alone from ``at`` on, as the server is to get it from ``client``.

        Raises:
            Failure: It names what another client has.
        """
        if statement.backend_pid:
            return f"SELECT {client.pid} AS pg_backend_pid"
        if statement.kind == "set" and statement.name == AUTHORIZATION and statement.value is None:
            local = "LOCAL " if statement.is_local else ""
            return f"SET {local}SESSION AUTHORIZATION {literal(client.user)}"
        if (statement.kind == "show" or "transaction_" in text) and (shown := _virtual(statement, text)):
            return shown
        if statement.kind not in _RENAMED:
            return text
        name = self._server_name(client, statement)
        if name == statement.name or not name:
            return text
        start, end = statement.name_span
        start, end = start + at, end + at
        return f'{text[:start]}"{name}"{text[end:]}'

    def _server_name(self, client: Client, statement: Statement) -> str:
        name, kind = statement.name, statement.kind
        others = [other for other in self._shared.clients.values() if other is not client]
        if kind in ("prepare", "execute"):
            if kind == "execute" and name.encode() in client.statements:
                return client.statements[name.encode()].server_name.decode()
            taken = any(name in other.named.values() for other in others)
            if kind == "execute" and taken and name not in client.named:
                raise Failure.no_statement(name)
            return client.named.get(name) or (f"pgh_{client.pid}_{name}" if taken else name)
        if kind != "declare" and (portal := client.portals.get(name.encode())) is not None:
            return portal.server_name.decode()
        taken = any(name in other.cursors.values() for other in others)
        if kind != "declare" and taken and name not in client.cursors:
            raise Failure.no_cursor(name)
        return client.cursors.get(name) or (f"pgh_{client.pid}_{name}" if taken else name)

    # -- after ------------------------------------------------------------------------------------

    def happened(self, part: Part, rows: list[bytes]) -> None:
        """The statements of ``part`` have succeeded; ``rows`` holds the parameters they may have set."""
        shared, client = self._shared, part.client
        for statement in part.statements:
            if statement.changes_schema:
                self._changed_schema(statement)
            if statement.defers:
                shared.scope.deferrable = True
            if statement.kind in _RENAMED or statement.temp_table or statement.adds_value:
                self._named(client, statement)
        if part.settings and rows and client.transaction is not None:
            self._set(part, _values(list(part.settings), rows))

    def _changed_schema(self, statement: Statement) -> None:
        shared, scope = self._shared, self._shared.scope
        scope.schema_changed = True
        scope.let_wait = scope.checked and statement.defers
        shared.statements.schema_changed()
        if statement.body and (calls := function_settings(statement.body)):
            for name in statement.words:
                self._made[name] = calls
                self.functions += 1

    def _named(self, client: Client, statement: Statement) -> None:
        name, kind = statement.name, statement.kind
        if kind == "prepare":
            client.named[name] = self._server_name(client, statement)
        elif kind == "declare":
            client.cursors[name] = self._server_name(client, statement)
        elif kind == "close":
            client.cursors.pop(name, None)
        if statement.temp_table:
            client.temporary[statement.temp_table] = statement.temp_on_commit
            if client.transaction is not None:
                self._shared.scope.temporary[statement.temp_table] = client.transaction
        if statement.adds_value and client.transaction is not None:
            client.transaction.added_value = True

    def _set(self, part: Part, values: Mapping[str, str | None]) -> None:
        client, stack = part.client, self._shared.scope.stack
        assert client.transaction is not None  # noqa: S101 - the caller's client has one
        explicit = {statement.name for statement in part.statements if statement.kind == "set"}
        for name, value in values.items():
            before = stack.settings.get(name, self._shared.defaults.get(name, ""))
            if value is not None and (value != before or name in explicit):
                stack.changed(client.transaction, {name: value}, local=part.settings[name])
        if AUTHORIZATION in explicit:  # it has reset the role
            stack.changed(client.transaction, {ROLE: "none"}, local=part.settings[AUTHORIZATION])

    def report(self, client: Client) -> None:
        """Tell ``client`` of parameters that have changed with the end of its transaction."""
        if client.told is client.settings:
            return
        client.told = client.settings
        defaults = self._shared.defaults
        for shown in list(client.reported):
            name = shown.lower()
            value = client.settings.get(name, client.asked.get(name, defaults.get(name)))
            if name in REPORTED and value is not None and value != client.reported[shown]:
                client.reported[shown] = value
                client.out += wire.parameter_status(shown, value)


def _values(names: list[str], rows: list[bytes]) -> dict[str, str | None]:
    """The one row of an answer to `current`, by name."""
    if not rows:
        return {}
    found = wire.row_values(rows[0])
    return {
        name: None if value is None else value.decode("utf-8", "surrogateescape")
        for name, value in zip(names, found, strict=False)
    }


def _virtual(statement: Statement, text: str) -> str:
    """``text`` asking for what stands for the parameters of `VIRTUAL`; empty if it asks for none of them."""
    if statement.kind == "show" and statement.name in VIRTUAL:
        return f"SELECT pg_catalog.current_setting('{VIRTUAL[statement.name]}') AS {statement.name}"
    if "current_setting" not in statement.words:
        return ""
    found, tokens = "", tokenize(text)
    for index in range(len(tokens) - 1, 1, -1):
        token = tokens[index]
        called = tokens[index - 2].value == "current_setting" and tokens[index - 1].value == "("
        if called and token.kind == "string" and token.value in VIRTUAL:
            found = text = f"{text[: token.start]}'{VIRTUAL[token.value]}'{text[token.end :]}"
    return found
