"""What each tier may touch: sockets.

Python's sockets are watched where they connect, look up a name or send; libpq opens its own, so
psycopg 2 and 3 are watched where they connect, by their public names.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import socket
import sys
from collections.abc import Iterable
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
    for watched in _watched.values():
        for owner, original in watched:
            owner.connect = original
    _watched.clear()
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


_CLASSES = ("Connection", "AsyncConnection")
_watched: dict[str, list[tuple[Any, Any]]] = {}
"""By module, the owners of what was replaced, with what they had."""


def watch_libpq() -> None:
    """Watch the connections of psycopg 2 and 3, whose sockets are libpq's, once they have been imported."""
    for name in ("psycopg", "psycopg2"):
        module = sys.modules.get(name)
        if module is None or name in _watched or not hasattr(module, "connect"):
            continue
        owners = [module, *(getattr(module, cls) for cls in _CLASSES if hasattr(module, cls))]
        _watched[name] = [(owner, owner.__dict__["connect"]) for owner in owners]
        for owner, original in _watched[name]:
            owner.connect = _checking(original, name)


def _checking(original: Any, name: str) -> Any:
    if isinstance(original, classmethod):
        return classmethod(_checking(original.__func__, name))

    @functools.wraps(original)
    def connect(*args: Any, **options: Any) -> Any:
        if current is not None:
            _check_libpq(current, name, args, options)
        return original(*args, **options)

    return connect


def _check_libpq(policy: Policy, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> None:
    texts = [arg for arg in args if isinstance(arg, str)] + [options.get("conninfo") or options.get("dsn")]
    parameters = {**_parsed(name, next(filter(None, texts), "")), **options}
    host = str(parameters.get("host") or os.environ.get("PGHOST") or "localhost")
    port = str(parameters.get("port") or os.environ.get("PGPORT") or 5432)
    if host.startswith("/"):
        policy.check_unix(host)
    else:
        policy.check(host, int(port) if port.isdecimal() else port)


def _parsed(name: str, text: str) -> dict[str, Any]:
    """What ``text``, a URL or ``key=value`` pairs, says; nothing where libpq will refuse it."""
    driver: Any = sys.modules[name]
    parse = driver.extensions.parse_dsn if name == "psycopg2" else driver.conninfo.conninfo_to_dict
    try:
        return dict(parse(text))
    except driver.ProgrammingError:
        return {}


def allowed_hosts(addresses: Iterable[tuple[str, int]], extra: Iterable[str]) -> frozenset[str]:
    """What integration and API tests may reach: the harness's own addresses and the configured hosts."""
    return frozenset((*(f"{host}:{port}" for host, port in addresses), *extra))
