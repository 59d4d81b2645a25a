"""Every error the harness raises.

Each says what failed, the likely cause, what was checked, and how to fix it with the exact
flag. A class per kind, a named constructor per cause; no password ever appears in a message.
"""

from __future__ import annotations

from collections.abc import Iterable


class HarnessError(Exception):
    """Base class of all errors of the harness.

    Args:
        failed: What failed, one sentence.
        cause: The likely cause, one sentence, if there is one to name.
        checked: What was looked at, one short phrase each.
        fix: What to do, one line each; the first is the one most often right.
    """

    def __init__(
        self, failed: str, *, cause: str = "", checked: Iterable[str] = (), fix: Iterable[str] = ()
    ) -> None:
        self.failed = failed
        self.cause = cause
        self.checked = tuple(checked)
        self.fix = tuple(fix)
        super().__init__(self.render())

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.failed, self.cause, self.checked, self.fix)

    def render(self) -> str:
        """The message: at most one line each for what failed and why, then lists."""
        lines = [f"pgharness: {self.failed}"]
        if self.cause:
            lines.append(self.cause)
        if self.checked:
            lines.append("Checked:")
            lines.extend(f"  - {line}" for line in self.checked)
        if len(self.fix) == 1:
            lines.append(f"To fix this: {self.fix[0]}")
        elif self.fix:
            lines.append("To fix this, either:")
            lines.extend(f"  - {line}" for line in self.fix)
        return "\n".join(lines)


def _rebuild(
    cls: type[HarnessError], failed: str, cause: str, checked: tuple[str, ...], fix: tuple[str, ...]
) -> HarnessError:
    error = cls.__new__(cls)
    HarnessError.__init__(error, failed, cause=cause, checked=checked, fix=fix)
    return error


class ConfigError(HarnessError):
    """A value of an option is wrong. Shown as a usage error, exit code 4."""


class ServerError(HarnessError):
    """No PostgreSQL server could be found, started or reached."""


class SchemaError(HarnessError):
    """The template database could not be brought to the application's schema."""


class DatabaseError(HarnessError):
    """A template, clone or ledger operation on the server failed."""


_WAY_OUT = 'mark the test @pytest.mark.pg(isolation="database"): a database of its own, with real commits'


class IsolationError(HarnessError):
    """Rollback isolation cannot behave as separate connections would."""

    @classmethod
    def diverged(cls, test: str, origin: str, others: Iterable[str], where: str) -> IsolationError:
        """A rollback took others' work with it; raised by the next statement of the test."""
        at = f" at {where}" if where else ""
        return cls(
            f"{test}: the transaction begun at {origin} was rolled back{at}, and others had written meanwhile.",
            cause="On separate connections their work would have stayed; inside one transaction it is undone too.",
            checked=[f"also undone: the work of the transaction begun at {other}" for other in others],
            fix=["end the first transaction (commit, rollback or close) before the others write", _WAY_OUT],
        )

    @classmethod
    def stale_snapshot(cls, test: str, origin: str, level: str, others: Iterable[str]) -> IsolationError:
        """A REPEATABLE READ or SERIALIZABLE transaction would read what came after its snapshot."""
        return cls(
            f"{test}: the {level} transaction begun at {origin} goes on after others have written.",
            cause="On a connection of its own it would not see their rows; inside one transaction it does.",
            checked=[f"written meanwhile: by the transaction begun at {other}" for other in others],
            fix=[_WAY_OUT],
        )

    @classmethod
    def local_setting(cls, test: str, origin: str, newcomer: str, name: str) -> IsolationError:
        """SET LOCAL of one open transaction would hold for another."""
        return cls(
            f"{test}: the transaction begun at {newcomer} overlaps the one begun at {origin}, "
            f"which has set {name} for itself alone.",
            cause="Inside one transaction SET LOCAL holds for both.",
            fix=["end the first transaction before the other begins", _WAY_OUT],
        )
