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
        self.checked: tuple[str, ...] = tuple(checked)
        self.fix: tuple[str, ...] = tuple(fix)
        super().__init__(self.render())

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.failed, self.cause, self.checked, self.fix), vars(self)

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
