"""Environment variables that a run sets, and sets back."""

from __future__ import annotations

import os


class Environment:
    """The variables of this process that the harness has changed."""

    def __init__(self) -> None:
        self._saved: dict[str, str | None] = {}
        self._set: dict[str, str] = {}

    def set(self, name: str, value: str) -> None:
        """Set the variable ``name``."""
        self._saved.setdefault(name, os.environ.get(name))
        self._set[name] = value
        os.environ[name] = value

    @property
    def overwritten(self) -> list[str]:
        """The variables that somebody else has set since."""
        return sorted(name for name, value in self._set.items() if os.environ.get(name) != value)

    def restore(self) -> None:
        """Have every variable as it was before `set`."""
        for name, value in self._saved.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        self._saved.clear()
        self._set.clear()
