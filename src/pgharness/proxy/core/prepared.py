"""The statements that are prepared on the shared connection, whoever has asked for them."""

from __future__ import annotations

from collections import OrderedDict

from pgharness.proxy.core import wire
from pgharness.proxy.core.client import Prepared

_MOST = 400


class Cache:
    """Names on the server by text and types; the same text is prepared once for all clients.

    After a change of the schema a text is prepared anew for whoever asks: what has been prepared before
    may mean something else, and keeps the clients it has. What was prepared while a schema stood that has
    been undone is prepared again when it is next used.
    """

    def __init__(self) -> None:
        self._names: OrderedDict[bytes, bytes] = OrderedDict()
        self._users: dict[bytes, list[Prepared]] = {}
        self._new: set[bytes] | None = None
        """What has been prepared since the schema was changed; None while it stands as it was."""
        self._count = 0
        self._drop: list[bytes] = []

    def find(self, prepared: Prepared) -> bool:
        """Whether ``prepared`` is on the server, under the name that it then has."""
        name = self._names.get(prepared.body)
        if name is None:
            return False
        self._names.move_to_end(prepared.body)
        self._use(prepared, name)
        return True

    def add(self, prepared: Prepared) -> bytes:
        """A name under which ``prepared`` is about to be prepared; the Parse that does so."""
        self._count += 1
        name = b"pgh_%d" % self._count
        self._names[prepared.body] = name
        if self._new is not None:
            self._new.add(name)
        self._use(prepared, name)
        return wire.parse(name, prepared.body)

    def _use(self, prepared: Prepared, name: bytes) -> None:
        prepared.server_name = name
        self._users.setdefault(name, []).append(prepared)

    def forget(self, prepared: Prepared) -> None:
        """``prepared`` could not be prepared, or its client has closed it."""
        name = prepared.server_name
        users = self._users.get(name)
        if users and prepared in users:
            users.remove(prepared)

    def failed(self, prepared: Prepared) -> None:
        """The Parse of ``prepared`` has failed: there is no such statement on the server."""
        self._remove(prepared.server_name, prepared.body)

    def _remove(self, name: bytes, body: bytes) -> None:
        if self._names.get(body) == name:
            del self._names[body]
        for user in self._users.pop(name, ()):
            user.server_name = b""
        if self._new is not None:
            self._new.discard(name)

    def schema_changed(self) -> None:
        """Let nobody new use what has been prepared by now."""
        self._names.clear()
        if self._new is None:
            self._new = set()

    def schema_undone(self) -> None:
        """The schema is as it was: what was prepared meanwhile has to be prepared again."""
        new, self._new = self._new, None
        self._names.clear()
        for name in new or ():
            for user in self._users.pop(name, ()):
                user.server_name = b""
            self._drop.append(name)

    def clear(self) -> None:
        """The connection is gone, and all of it with it."""
        for users in self._users.values():
            for user in users:
                user.server_name = b""
        self._names.clear()
        self._users.clear()
        self._drop.clear()
        self._new = None

    def closing(self) -> tuple[bytes, int]:
        """The Close messages for what is not needed any more, and how many they are."""
        while len(self._names) > _MOST:
            body, name = self._names.popitem(last=False)
            self._remove(name, body)
            self._drop.append(name)
        for name in [name for name, users in self._users.items() if not users and name not in self._live()]:
            del self._users[name]
            self._drop.append(name)
        dropped, self._drop = self._drop, []
        return b"".join(wire.close(b"S", name) for name in dropped), len(dropped)

    def _live(self) -> set[bytes]:
        return set(self._names.values())
