"""The modes of a transaction, as BEGIN and SET TRANSACTION name them."""

from __future__ import annotations

from typing import Any

from pgharness.proxy.core.reading.pieces import Cursor

_LEVELS = (("read", "uncommitted"), ("read", "committed"), ("repeatable", "read"), ("serializable",))


def modes(c: Cursor) -> dict[str, Any] | None:
    """The modes up to the end, of which the last of each kind holds; None where something else is there."""
    fields: dict[str, Any] = {}
    while True:
        if not (mode := _mode(c)):
            return None
        fields |= mode
        if c.done:
            return fields
        c.take(",")


def _mode(c: Cursor) -> dict[str, Any]:
    if c.take("isolation", "level"):
        for level in _LEVELS:
            if c.take(*level):
                return {"isolation": " ".join(level).upper()}
        return {}
    if c.take("read"):
        access = c.take_any("only", "write")
        return {"read_only": access == "only"} if access else {}
    if c.take("not", "deferrable"):
        return {"deferrable": False}
    return {"deferrable": True} if c.take("deferrable") else {}
