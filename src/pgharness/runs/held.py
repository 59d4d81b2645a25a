"""Sessions and connections that fixtures of wider scope than a test hand out.

A session that a session fixture yields has often read something when a test ends, and goes on with it in the
next. That is no leak of the test.
"""

from __future__ import annotations

import contextlib
import sys
import weakref
from collections.abc import Iterator
from typing import Any

from sqlalchemy import event


class Held:
    """Knows what such fixtures hold.

    Args:
        key: Where the connections of SQLAlchemy's pools note what they are, see `pgharness.runs.places`.
    """

    def __init__(self, key: str) -> None:
        self._key = key
        self._values: weakref.WeakSet[Any] = weakref.WeakSet()
        self._begun: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        """The process of the connection on which a session has begun its last transaction."""
        self._listening: Any = None

    def install(self) -> None:
        """Listen to the sessions of SQLAlchemy's ORM, if it is in use."""
        orm = sys.modules.get("sqlalchemy.orm")
        if orm is not None and self._listening is None:
            self._listening = orm.Session
            event.listen(orm.Session, "after_begin", self._after_begin)

    def remove(self) -> None:
        if self._listening is not None:
            event.remove(self._listening, "after_begin", self._after_begin)
            self._listening = None

    def _after_begin(self, session: Any, _: Any, connection: Any) -> None:
        opened = connection.info.get(self._key)
        if opened is not None:
            self._begun[session] = opened.pid

    def add(self, value: object) -> None:
        """A fixture of wider scope than a test has yielded ``value``."""
        for each in _parts(value):
            held = getattr(each, "sync_session", None) or getattr(each, "sync_connection", None) or each
            with contextlib.suppress(
                TypeError
            ):  # no object that can be referred to weakly holds a connection
                self._values.add(held)

    def processes(self) -> list[int]:
        """The processes, as the proxy numbers them, of the connections that are held."""
        return [pid for value in self._values if (pid := self._process(value))]

    def _process(self, value: Any) -> int:
        if value in self._begun:
            return self._begun[value]
        with contextlib.suppress(Exception):  # it is none, or closed
            if (opened := value.info.get(self._key)) is not None:
                return int(opened.pid)
        with contextlib.suppress(Exception):
            return int(value.info.backend_pid)
        with contextlib.suppress(Exception):
            return int(value.get_server_pid())
        return 0


def _parts(value: Any) -> Iterator[object]:
    """``value``, or what is in it."""
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, tuple | list):
        yield from value
    else:
        yield value
