"""One savepoint of the stack, and the SQL around it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from pgharness.isolation.transaction import Transaction


@dataclasses.dataclass(eq=False, slots=True)
class Savepoint:
    """A savepoint on the server: whose it is and what it holds.

    ``label`` is the name the application gave it; empty for one of the harness's own.
    ``settings`` are those in force when it was set, to which ROLLBACK TO returns;
    ``local_settings`` counts those its owner had set by SET LOCAL.
    ``writers`` have written since it was set and before the next one was, or in one released into it.
    ``done`` means that its owner has committed and the release is postponed.
    """

    name: str
    owner: Transaction
    label: str
    settings: Mapping[str, str]
    local_settings: int
    writers: dict[Transaction, None] = dataclasses.field(default_factory=dict)
    done: bool = False

    @property
    def commands(self) -> list[str]:
        """What sets it, and READ ONLY with it, which ends with it."""
        command = f"SAVEPOINT {self.name}"
        return [command, "SET TRANSACTION READ ONLY"] if self.owner.read_only else [command]

    def mixed(self) -> bool:
        """Whether it holds what others have written, who have committed since."""
        return any(writer is not self.owner for writer in self.writers)


def set_settings(values: Mapping[str, str]) -> str:
    """Set parameters until the transaction, or the savepoint, is rolled back."""
    calls = (f"set_config({_literal(name)}, {_literal(value)}, true)" for name, value in values.items())
    return "SELECT " + ", ".join(calls)


def save_setting(name: str) -> str:
    """Keep the value of a parameter beside it."""
    return f"SELECT set_config({_saved(name)}, current_setting({_literal(name)}, true), true)"


def restore_setting(name: str) -> str:
    """Set a parameter to what `save_setting` has kept."""
    return f"SELECT set_config({_literal(name)}, current_setting({_saved(name)}, true), true)"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _saved(name: str) -> str:
    return _literal("pgharness.saved_" + name.lower().replace(".", "_"))
