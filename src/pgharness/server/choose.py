"""Reserve an address, then start or find the server behind it. Backends are imported when needed."""

from __future__ import annotations

import dataclasses
import os
import sys

from pgharness.config import Config
from pgharness.errors import ServerError
from pgharness.server import failures
from pgharness.server.base import Address, Server
from pgharness.server.quiet import quiet
from pgharness.server.reservation import LOOPBACK, Reservation, bind, reserve
from pgharness.server.running import RunningServer

__all__ = ["Reservation", "reserve", "start"]


def start(config: Config, reservation: Reservation) -> Server:
    """The server of this run, at the reserved address, once it answers. Blocks until then.

    ``auto`` takes ``pg_url``, else a Docker engine that answers, else local binaries; what did not
    work is in ``tried`` of the server.

    Raises:
        ServerError: There is no such server, or it is of another major than ``pg_version`` pins.
    """
    address = reservation.address
    if config.backend == "external" or config.url:
        from pgharness.server import external  # noqa: PLC0415 - only the backend that is chosen

        return external.find(config, address)
    _claim_port(reservation)
    try:
        if config.backend == "local":
            return _local(config, address)
        if config.backend == "container":
            return _container(config, address)
        return _auto(config, address)
    finally:
        reservation.close()


def _claim_port(reservation: Reservation) -> None:
    """Raise if the port is not to be had. Where a held port would keep the server out too, let go."""
    address = reservation.address
    if sys.platform != "linux":
        reservation.close()
    if address.host == LOOPBACK:
        try:
            bind(address.port).close()
        except OSError:
            raise failures.port_taken(address) from None


def _local(config: Config, address: Address) -> RunningServer:
    from pgharness.server import local  # noqa: PLC0415 - the same

    return local.start(config, address)


def _container(config: Config, address: Address) -> RunningServer:
    from pgharness.server import engine  # noqa: PLC0415 - the same

    with quiet():
        found, tried = engine.find(os.environ, engine.home_directory())
        if found is None:
            raise failures.no_engine(tried)
        from pgharness.server import container  # noqa: PLC0415 - the same

        return container.start(config, address, found)


def _auto(config: Config, address: Address) -> RunningServer:
    tried: list[str] = []
    try:
        return _container(config, address)
    except ServerError as error:
        tried += error.checked if error.failed.startswith("no Docker engine") else [_line("container", error)]
    if address.host != LOOPBACK:
        tried.append(
            f"local: the server was promised at {address.host}, and local binaries serve {LOOPBACK} alone"
        )
        raise failures.nothing_works(tried)
    try:
        server = _local(config, address)
    except ServerError as error:
        tried += [line for line in error.checked if line.startswith("local:")] or [_line("local", error)]
        raise failures.nothing_works(tried) from None
    return dataclasses.replace(server, tried=(*tried, *server.tried))


def _line(backend: str, error: ServerError) -> str:
    return f"{backend}: {error.failed.rstrip('.')}"
