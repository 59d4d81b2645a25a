"""PostgreSQL in a container, through testcontainers."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import secrets
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import asyncpg
import docker.errors  # type: ignore[import-untyped]  # docker has no types
import requests.exceptions
from testcontainers.community.postgres import PostgresContainer
from testcontainers.core import config as testcontainers_settings
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import Reaper

from pgharness.config import Config
from pgharness.config.options import OPTIONS
from pgharness.server import failures
from pgharness.server.base import Address
from pgharness.server.connect import Login, log_in
from pgharness.server.directories import PREFIX
from pgharness.server.engine import Engine
from pgharness.server.liveness import Identity
from pgharness.server.quiet import hide_deprecated_names, quiet
from pgharness.server.running import RunningServer, major_of
from pgharness.server.scram import verifier
from pgharness.server.settings import settings_of
from pgharness.server.supervise import Keeper

if TYPE_CHECKING:
    from docker import DockerClient

LABEL = "pgharness.run"
hide_deprecated_names(testcontainers_settings)
_DATA = "/var/lib/pgharness"
_EngineErrors = (docker.errors.DockerException, requests.exceptions.RequestException, OSError)
_PAUSE = 0.03
_UNREACHABLE_SECONDS = 5.0
_DEFAULT_IMAGE = next(option.default for option in OPTIONS if option.name == "image")


class _Postgres(PostgresContainer):
    """Without its readiness check, which looks once a second."""

    def _connect(self) -> None:
        pass


def image_of(config: Config) -> str:
    """The image to run: ``pg_image``, or that of the major which ``pg_version`` pins."""
    if config.version and config.image == _DEFAULT_IMAGE:
        return f"postgres:{config.version}"
    return config.image


def start(config: Config, address: Address, engine: Engine) -> RunningServer:
    """Run a container on ``engine`` that publishes PostgreSQL at ``address``.

    It ends with this process, however that ends; what dead processes left is removed first.

    Raises:
        ServerError: The image is not to be had, the engine refuses, the container ends or does
            not answer, or its major is not the one that ``pg_version`` pins.
    """
    image = image_of(config)
    with engine.as_environment():
        container = _prepared(image, address, settings_of(config))
        run = _Run(container, engine)
        try:
            with _reaper() as note:
                run.start(image, address)
            login = _wait(container, image, address, config.start_timeout)
            _check_major(login.version, image, config.version)
        except BaseException:
            run.stop()
            raise
    return RunningServer(
        "container",
        address,
        login.version,
        f"in a container ({image})",
        owned=True,
        tried=note,
        on_stop=run.stop,
    )


class _Run:
    """A container and the keeper that removes it should this process not get to."""

    def __init__(self, container: _Postgres, engine: Engine) -> None:
        self._container = container
        name = PREFIX + secrets.token_hex(6)
        container.with_name(name)
        order = {"kind": "container", "name": name, "url": engine.url, "certificates": engine.certificates}
        # Behind ssh there is nothing a keeper could ask; the next run's sweep remains.
        self._keeper = None if engine.is_ssh else Keeper(order)

    def start(self, image: str, address: Address) -> None:
        try:
            self._container.start()
        except _EngineErrors as error:
            reason = _first_line(error)
            if re.search(r"port is already allocated|address already in use", str(error), re.IGNORECASE):
                raise failures.port_taken(address) from None
            raise failures.engine_refused(image, reason) from None

    def stop(self) -> None:
        removed = False
        try:
            with quiet():
                self._container.stop(force=True, delete_volume=True)
            removed = self._container._container is not None  # noqa: SLF001 - testcontainers has no other way to ask
        except docker.errors.NotFound:
            removed = True
        except _EngineErrors:
            pass  # the keeper tries again
        finally:
            if self._keeper is not None:
                self._keeper.stop(goodbye=removed)


def _prepared(image: str, address: Address, settings: dict[str, str]) -> _Postgres:
    """A container to be started, its image there, and dead runs' containers gone."""
    with contextlib.ExitStack() as on_error:
        try:
            container = _configured(image, address, settings)
            client = container.get_docker_client().client
            on_error.callback(client.close)
            _sweep(client)
            _have(client, container.image)
        except _EngineErrors as error:
            raise failures.engine_refused(image, _first_line(error)) from None
        on_error.pop_all()
        return container


def _configured(image: str, address: Address, settings: dict[str, str]) -> _Postgres:
    own = Identity.own()
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    container = _Postgres(
        image, username=address.user, password=verifier(address.password), dbname=address.database
    )
    container.with_command(["postgres", *options])
    # The images' own data directory, a volume, differs from major to major.
    container.with_tmpfs_mount(_DATA)
    container.with_envs(PGDATA=f"{_DATA}/data", POSTGRES_INITDB_ARGS="--no-sync")
    container.with_kwargs(
        # The engine's 64 MB are too few for parallel queries.
        shm_size="256m",
        labels={LABEL: own.host, f"{LABEL}.pid": str(own.pid), f"{LABEL}.started": own.started},
    )
    # with_bind_ports knows no host address.
    publish: dict[str, Any] = container.ports
    publish.clear()
    publish["5432/tcp"] = (address.host, address.port) if _is_loopback(address.host) else address.port
    return container


def _is_loopback(host: str) -> bool:
    """Whether ``host`` is an address that only its own machine reaches; a name is none."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _sweep(client: DockerClient) -> None:
    """Remove the containers whose owner, on this host, is dead."""
    for left in client.containers.list(all=True, filters={"label": LABEL}, ignore_removed=True):
        labels = left.labels
        owner = Identity(
            labels[LABEL], int(labels.get(f"{LABEL}.pid", 0)), labels.get(f"{LABEL}.started", "")
        )
        if owner.is_dead():
            with contextlib.suppress(docker.errors.APIError):  # another run sweeps too
                left.remove(force=True, v=True)


def _have(client: DockerClient, image: str) -> None:
    try:
        client.images.get(image)
    except docker.errors.ImageNotFound:
        try:
            client.images.pull(image)
        except _EngineErrors as error:
            raise failures.image_missing(image, _first_line(error)) from None


@contextlib.contextmanager
def _reaper() -> Iterator[tuple[str, ...]]:
    """Testcontainers' reaper, if the environment wants it; without it, and with a line, if it fails."""
    if testcontainers_config.ryuk_disabled:
        yield ()
        return
    note: tuple[str, ...] = ()
    try:
        Reaper.get_instance()
    except Exception:  # noqa: BLE001 - whatever it is, the keeper does the same work
        Reaper.delete_instance()
        note = ("ryuk (did not start; pgharness removes its container itself)",)
    testcontainers_config.ryuk_disabled = bool(note)
    try:
        yield note
    finally:
        testcontainers_config.ryuk_disabled = False


def _wait(
    container: _Postgres,
    image: str,
    address: Address,
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
) -> Login:
    """Log in as soon as the server answers, looking after the container now and then."""
    deadline, look, ready_since = clock() + seconds, clock() + 0.5, 0.0
    while True:
        try:
            return log_in(address, max(0.1, min(5.0, deadline - clock())), ssl=False)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError):
                raise failures.engine_refused(image, str(error)) from None
        if clock() > look:
            log = _log(container)
            if container.get_wrapped_container().status in ("exited", "dead"):
                raise failures.container_ended(image, log)
            if _is_ready(log):
                ready_since = ready_since or clock()
            if ready_since and clock() > ready_since + _UNREACHABLE_SECONDS:
                raise failures.container_unreachable(image, address)
            if clock() > deadline:
                raise failures.too_slow(f"PostgreSQL in the container of {image}", seconds, log)
            look = clock() + 0.5
        time.sleep(_PAUSE)


def _log(container: _Postgres) -> str:
    wrapped = container.get_wrapped_container()
    try:
        wrapped.reload()
        return bytes(wrapped.logs(tail=100)).decode(errors="replace")
    except docker.errors.NotFound:
        wrapped.attrs["State"] = "dead"
        return "the container is gone"


def _is_ready(log: str) -> bool:
    """Whether the server proper is ready; before it the entrypoint runs one without TCP, to set up."""
    return "ready to accept connections" in log.rpartition("init process complete")[2]


def _check_major(version: str, image: str, wanted: int) -> None:
    if wanted and major_of(version) != wanted:
        fix = [f"name an image of that major: --pg-image=postgres:{wanted}"]
        raise failures.other_major(wanted, f"the server in {image} is {version}", version, fix)


def _first_line(error: Exception) -> str:
    """What the engine said, without the client's wrapping."""
    text = str(getattr(error, "explanation", None) or error).strip() or type(error).__name__
    return text.splitlines()[0][:300]
