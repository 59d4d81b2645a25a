"""What each tier may touch: sockets.

Python's sockets are watched where they connect, look up a name or send; libpq opens its own, so
psycopg is watched where it connects.
"""

from __future__ import annotations

import dataclasses
import socket
import sys
from collections.abc import Callable, Iterable
from typing import Any

from pgharness.errors import TierError
from pgharness.tiers.tier import Tier

_LOOPBACK = ("localhost", "127.0.0.1", "::1", "0.0.0.0", "::", "")  # noqa: S104 - compared, not bound
_ANY_PORT = (None, 0, "")


@dataclasses.dataclass(slots=True)
class Policy:
    """What one test may reach. ``allowed`` holds ``HOST``, ``HOST:PORT`` and ``unix:PATH``.

    The names of loopback stand for each other, and an address for every name it was found by.
    """

    test: str
    tier: Tier
    allowed: frozenset[str] = frozenset()
    violations: list[TierError] = dataclasses.field(default_factory=list)

    def check(self, host: str, port: object) -> None:
        """Raise TierError unless the test may reach ``host``; without a ``port``, on any of its ports."""
        is_loopback = host in _LOOPBACK
        if self.tier != "unit":
            names = {host, *_names.get(host, ()), *(_LOOPBACK if is_loopback else ())}
            if any(self._allows(name, port) for name in names) or (is_loopback and port in _listening):
                return
        self._refuse(host if port in _ANY_PORT else f"{host}:{port}")

    def _allows(self, name: str, port: object) -> bool:
        if name in self.allowed or f"{name}:{port}" in self.allowed:
            return True
        return port in _ANY_PORT and any(entry.startswith(f"{name}:") for entry in self.allowed)

    def check_unix(self, path: str) -> None:
        if self.tier == "unit" or not {"unix:*", f"unix:{path}"} & self.allowed:
            self._refuse(f"unix:{path}")

    def _refuse(self, address: str) -> None:
        if self.tier == "unit":
            error = TierError.socket_in_unit(self.test, address)
        else:
            error = TierError.foreign_host(self.test, self.tier, address)
        self.violations.append(error)
        raise error


current: Policy | None = None
"""The policy of the running test; None lets everything through."""
_listening: set[object] = set()
_names: dict[str, set[str]] = {}
"""The names that were looked up, by the addresses found."""
_originals: dict[str, Any] = {}


def install() -> None:
    """Watch the sockets of this process. Safe to call twice."""
    if _originals:
        return
    for name in ("connect", "connect_ex", "sendto", "listen"):
        _originals[name] = getattr(socket.socket, name)
    _originals["getaddrinfo"] = socket.getaddrinfo
    socket.socket.connect = _connect  # type: ignore[method-assign, assignment]  # watching is what this is for
    socket.socket.connect_ex = _connect_ex  # type: ignore[method-assign, assignment]  # the same
    socket.socket.sendto = _sendto  # type: ignore[method-assign, assignment]  # the same
    socket.socket.listen = _listen  # type: ignore[method-assign, assignment]  # the same
    socket.getaddrinfo = _getaddrinfo


def remove() -> None:
    """Give the sockets back as they were."""
    if not _originals:
        return
    socket.getaddrinfo = _originals.pop("getaddrinfo")
    for name in list(_originals):
        setattr(socket.socket, name, _originals.pop(name))
    _listening.clear()
    _names.clear()


def _check(address: Any, family: int) -> None:
    if current is None:
        return
    if family in (socket.AF_INET, socket.AF_INET6):
        current.check(str(address[0]), address[1])
    elif family == getattr(socket, "AF_UNIX", None):
        current.check_unix(address.decode() if isinstance(address, bytes) else str(address))


def _check_or_close(made: socket.socket, address: Any) -> None:
    """Close what is refused: callers such as `socket.create_connection` do so for an OSError alone."""
    try:
        _check(address, made.family)
    except TierError:
        made.close()
        raise


def _connect(self: socket.socket, address: Any) -> None:
    _check_or_close(self, address)
    _originals["connect"](self, address)


def _connect_ex(self: socket.socket, address: Any) -> int:
    _check_or_close(self, address)
    return int(_originals["connect_ex"](self, address))


def _sendto(self: socket.socket, data: Any, *args: Any) -> int:
    _check(args[-1], self.family)
    return int(_originals["sendto"](self, data, *args))


def _listen(self: socket.socket, *args: Any) -> None:
    _originals["listen"](self, *args)
    if self.family in (socket.AF_INET, socket.AF_INET6):
        _listening.add(self.getsockname()[1])


def stopped_listening(port: int) -> None:
    """Forget the port of a server of this process that has closed; the next one there is a stranger."""
    _listening.discard(port)


def _getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
    name = host.decode() if isinstance(host, bytes) else str(host or "")
    watched = name not in _LOOPBACK and not _is_address(name)
    if watched and current is not None:
        current.check(name, port)
    found = _originals["getaddrinfo"](host, port, *args, **kwargs)
    if watched:
        for *_, address in found:
            _names.setdefault(str(address[0]), set()).add(name)
    return found


def _is_address(name: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, name)
        except (OSError, UnicodeEncodeError):
            continue
        return True
    return False


_watched: set[str] = set()


def watch_psycopg() -> None:
    """Watch psycopg's connections, once it has been imported by somebody."""
    psycopg = sys.modules.get("psycopg")
    if psycopg is None or "psycopg" in _watched or not hasattr(psycopg, "AsyncConnection"):
        return
    _watched.add("psycopg")
    for cls in (psycopg.Connection, psycopg.AsyncConnection):
        cls._get_connection_params = classmethod(_checking(cls._get_connection_params.__func__))


def _checking(original: Callable[..., Any]) -> Callable[..., Any]:
    def get_connection_params(cls: Any, conninfo: str, **kwargs: Any) -> Any:
        if current is not None:
            from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415 - it has been imported already

            params = conninfo_to_dict(conninfo, **kwargs)
            host = str(params.get("host") or "localhost")
            if host.startswith("/"):
                current.check_unix(host)
            else:
                current.check(host, int(str(params.get("port") or 5432)))
        return original(cls, conninfo, **kwargs)

    return get_connection_params


def allowed_hosts(address: tuple[str, int] | None, extra: Iterable[str]) -> frozenset[str]:
    """What integration and API tests may reach: the server's address and the configured hosts."""
    own = () if address is None else (f"{address[0]}:{address[1]}",)
    return frozenset((*own, *extra))
