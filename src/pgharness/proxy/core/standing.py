"""What a transaction or a connection has one of, and so is the same for all that share one.

The time of CURRENT_TIMESTAMP stands still from the beginning of the test's transaction; a transaction has one
number, a connection one process on the server.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal

from pgharness.proxy.core.refusals import Refused

if TYPE_CHECKING:
    from pgharness.proxy.core.client import Client
    from pgharness.proxy.core.running import Facts, Scope
    from pgharness.proxy.core.statements import Statement
    from pgharness.proxy.core.transaction import Transaction

Kind = Literal["time", "transaction", "backend", "notification"]
KINDS: dict[str, Kind] = {
    **dict.fromkeys(
        ("current_timestamp", "current_time", "localtime", "localtimestamp", "transaction_timestamp"), "time"
    ),
    **dict.fromkeys(
        (
            *("txid_current", "txid_current_if_assigned", "txid_current_snapshot", "pg_current_snapshot"),
            *("pg_current_xact_id", "pg_current_xact_id_if_assigned"),
        ),
        "transaction",
    ),
    **dict.fromkeys(
        (
            *("pg_backend_pid", "pg_blocking_pids", "pg_stat_activity", "pg_locks", "pg_stat_get_activity"),
            *("pg_stat_xact_all_tables", "pg_stat_xact_user_tables", "pg_prepared_statements", "pg_cursors"),
        ),
        "backend",
    ),
    **dict.fromkeys(("pg_notify", "notify"), "notification"),
}
"""What names such a thing in a statement or in the body of a function; and what is delivered at a commit."""
WORDS = frozenset(KINDS)
_WORD = re.compile(r"[a-z_][a-z0-9_$]*")
CHANGED = " changed"
"""Follows the name of a table for what its triggers and its columns' defaults do."""


def reaching(sources: Iterable[tuple[str, str]]) -> dict[str, frozenset[Kind]]:
    """Which of ``sources``, pairs of a name and its SQL text, come to such things, also by each other."""
    texts: dict[str, set[str]] = {}
    for name, text in sources:
        texts.setdefault(name, set()).update(_WORD.findall(text.lower()))
    found: dict[str, frozenset[Kind]] = {}
    while True:
        before = dict(found)
        for name, words in texts.items():
            kinds = {KINDS[word] for word in words & WORDS}
            for other in words & found.keys():
                kinds |= found[other]
            if kinds:
                found[name] = frozenset(kinds)
        if found == before:
            return found


def check(scope: Scope, facts: Facts, client: Client, transaction: Transaction, statement: Statement) -> None:
    """See that ``statement`` does not ask for what it would share with others.

    Raises:
        Refused: It does.
    """
    if scope.first is None:
        scope.first = transaction
    if statement.backend_pid or not (statement.standing or facts.standing):
        return
    for word in sorted(statement.standing):
        if KINDS[word] == "backend":
            raise Refused("session_state", word, transaction.place)
    for what, kind in sorted(_asked(statement, facts.standing).items()):
        if kind == "time":
            is_shared = facts.clock and transaction is not scope.first
        else:
            asker = transaction if kind == "transaction" else client
            is_shared = scope.askers.setdefault(kind, asker) is not asker
        if is_shared:
            raise Refused("session_state", what, transaction.place)


def notifies(facts: Facts, statement: Statement) -> bool:
    """Whether ``statement`` may send a notification, by itself or by way of a function or a trigger."""
    names = _names(statement, facts.standing) if facts.standing else ()
    return statement.notifies or any("notification" in facts.standing[name] for name in names)


def _names(statement: Statement, standing: Mapping[str, frozenset[Kind]]) -> frozenset[str]:
    """Which of the objects in ``standing`` the statement uses."""
    changed = {table + CHANGED for table in statement.changed_tables}
    return (statement.words | statement.read_tables | changed) & standing.keys()


def _asked(statement: Statement, standing: Mapping[str, frozenset[Kind]]) -> dict[str, Kind]:
    """What ``statement`` asks for, by the name to be shown."""
    kinds = {word: KINDS[word] for word in statement.standing if KINDS[word] != "notification"}
    found = {word.upper() if kind == "time" else word: kind for word, kind in kinds.items()}
    for name in _names(statement, standing) if standing else ():
        for kind in standing[name] - {"notification"}:
            found[f"{_SHOWN[kind]}, by way of {name.removesuffix(CHANGED)}"] = kind
    return found


_SHOWN: dict[Kind, str] = {
    "time": "the time at which its transaction began",
    "transaction": "the number of its transaction",
    "backend": "its process on the server",
}
