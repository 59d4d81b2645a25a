"""Fix the address of the server before anything runs, so that the app can be told at once."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import secrets
import socket
from collections.abc import Mapping

from pgharness.config import Config
from pgharness.server.base import Address
from pgharness.server.urls import parse_url

LOOPBACK = "127.0.0.1"


@dataclasses.dataclass(slots=True)
class Reservation:
    """An address, and what keeps its port from others: a socket that is bound and does not listen."""

    address: Address
    # A bare descriptor: a run that needs no server may end without closing it, and no warning.
    _descriptor: int | None = dataclasses.field(default=None, repr=False)

    def close(self) -> None:
        """Give the port up. Safe to call twice."""
        held, self._descriptor = self._descriptor, None
        if held is not None:
            os.close(held)


def reserve(config: Config) -> Reservation:
    """The address that the server of this run will have. Starts nothing, takes about a millisecond.

    Raises:
        ConfigError: ``pg_url`` is not an address.
    """
    if config.backend == "external" or config.url:
        return Reservation(parse_url(config.url, config.sources["url"]))
    host = _host(config, os.environ)
    held, port = _hold(config.port)
    return Reservation(Address(host, port, "postgres", secrets.token_urlsafe(24)), held)


def bind(port: int) -> socket.socket:
    """A socket bound to loopback ``port`` (0: a free one), on which PostgreSQL may listen all the same.

    Raises:
        OSError: The port is taken.
    """
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        # On Linux two sockets with this option may share a port as long as one of them listens.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((LOOPBACK, port))
    except OSError:
        held.close()
        raise
    return held


def _hold(port: int) -> tuple[int | None, int]:
    if port:
        # Taken or not matters to the runs that start a server; `start` says so.
        with contextlib.suppress(OSError):
            return bind(port).detach(), port
        return None, port
    held = bind(0)
    port = int(held.getsockname()[1])
    return held.detach(), port


def _host(config: Config, environ: Mapping[str, str]) -> str:
    """Where a server of this run will listen: elsewhere only if a remote engine is to run it."""
    if config.backend == "local":
        return LOOPBACK
    from pgharness.server import engine  # noqa: PLC0415 - only where an engine is asked

    home = engine.home_directory()
    for candidate in engine.candidates(environ, home):
        host = candidate.published_host(environ)
        if host == LOOPBACK:
            return LOOPBACK
        # A remote engine that is down must not turn the address of a local server into its own.
        if config.backend == "container" or not candidate.ping(1.0):
            return host
    return LOOPBACK
