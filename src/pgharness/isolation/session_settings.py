"""The run-time parameters and the isolation level that an application sets for itself."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pgharness.isolation import clock
from pgharness.isolation.link import LinkState
from pgharness.isolation.running import Test
from pgharness.isolation.statements import Statement
from pgharness.isolation.transaction import Transaction
from pgharness.schema.clock import SETTING

Level = Literal["", "REPEATABLE READ", "SERIALIZABLE"]
_SNAPSHOTS: tuple[Level, ...] = ("REPEATABLE READ", "SERIALIZABLE")


class SessionSettings:
    """The run-time parameters of one virtual connection, which its transactions begin with.

    A pool keeps a connection for longer than a test: what a test sets is forgotten with it, what
    the connection was made with, by its arguments or by a listener to "connect", is not.
    """

    def __init__(self, asked: Mapping[str, str]) -> None:
        self.current: Mapping[str, str] = dict(asked)
        self._asked: Mapping[str, str] = self.current
        self._made = False
        self._test: Test | None = None

    def made(self, transaction: Transaction | None) -> None:
        """The connection is handed out for the first time; what it has set by now stays."""
        if not self._made:
            self._made = True
            self._asked = self.current if transaction is None else transaction.settings

    def begin(self, link: LinkState) -> Mapping[str, str]:
        """The parameters that a transaction of ``link`` begins with."""
        return {**self.current, SETTING: clock.now()} if link.target.clock else self.current

    def serve(self, test: Test | None) -> None:
        if test is not self._test:
            self._test = test
            if self._made:
                self.current = self._asked

    def keep(self, transaction: Transaction) -> None:
        """``transaction`` has committed, and what it set with it."""
        self.current = transaction.settings


_SET_CONFIG = re.compile(
    r"set_config\s*\(\s*(?:'([\w.]+)'|\$(\d+)(?:::\w+)?|%\((\w+)\)s(?:::\w+)?|(%s)(?:::\w+)?)", re.IGNORECASE
)


def local_setting(statement: Statement, text: str, args: Sequence[Any] | Mapping[str, Any] | None) -> str:
    """The parameter that a SET LOCAL or a call of set_config sets; empty if there is none.

    A name that is itself a parameter of the statement is looked up in ``args``.
    """
    if statement.local_setting:
        return statement.local_setting
    if "set_config" not in statement.words or not (found := _SET_CONFIG.search(text)):
        return ""
    literal, number, name, _ = found.groups()
    if literal:
        return str(literal)
    values: Any = args or ()
    try:
        if name:
            return str(values[name])
        return str(values[int(number) - 1 if number else text.count("%s", 0, found.start())])
    except (LookupError, TypeError):
        return ""


def level_of(isolation: str | None) -> Level:
    """The isolation level if it is one that keeps a snapshot."""
    name = (isolation or "").upper().replace("_", " ")
    return next((level for level in _SNAPSHOTS if level == name), "")
