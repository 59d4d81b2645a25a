"""What one transaction cannot show as separate connections would."""

from __future__ import annotations

from typing import Any


class Refused(Exception):  # noqa: N818 - it is the answer, no fault
    """A statement is not sent, because its answer would not be production's.

    Args:
        kind: The name of the sentence in `pgharness.errors.IsolationError`.
        arguments: What that sentence names: places, statements, tables.
    """

    def __init__(self, kind: str, *arguments: Any) -> None:
        super().__init__(kind, *arguments)
        self.kind = kind
        self.arguments = arguments
