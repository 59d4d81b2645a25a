"""PostgreSQL from binaries on this machine, kept by a keeper process."""

from __future__ import annotations

import os
import pwd
import secrets
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import asyncpg

from pgharness.config import Config
from pgharness.errors import ServerError
from pgharness.server import failures
from pgharness.server.base import Address
from pgharness.server.binaries import Binaries, User, find, no_match
from pgharness.server.connect import Login, log_in
from pgharness.server.directories import PREFIX
from pgharness.server.running import RunningServer
from pgharness.server.scram import verifier
from pgharness.server.settings import settings_of
from pgharness.server.supervise import Event, Keeper

UNPRIVILEGED = ("postgres", "nobody")
_MEMORY = Path("/dev/shm")  # noqa: S108 - a directory of its own is made in it
_ROOM = 512 * 1024 * 1024
_SOCKET_PATH_LIMIT = 100  # bytes; the system's own is 103 (macOS) or 107


def start(config: Config, address: Address, users: Iterable[str] = UNPRIVILEGED) -> RunningServer:
    """Make a cluster and start it at ``address``. It ends with this process, however that ends.

    If this process is root's, it runs as the first of ``users`` that exists.

    Raises:
        ServerError: No binaries, another major than ``pg_version`` pins, no user, no directory
            to keep the data in, or one of the programs failed.
    """
    binaries = _choose(config)
    user = unprivileged(tuple(users)) if os.geteuid() == 0 else None
    order, home = plan(config, address, binaries, user)
    keeper = Keeper(order)
    try:
        _wait(keeper, config, address, home)
        login = _log_in(address, config.start_timeout)
    except BaseException:
        keeper.stop()
        raise
    detail = f"from {binaries.directory}, data in {home}"
    return RunningServer("local", address, login.version, detail, owned=True, on_stop=keeper.stop)


def _choose(config: Config) -> Binaries:
    found, tried = find(config, os.environ)
    if not found:
        raise failures.no_binaries(tried)
    for binaries in found:
        if config.version in (0, binaries.major):
            return binaries
    raise no_match(found, config.version)


def unprivileged(names: tuple[str, ...]) -> User:
    """The first of the users ``names`` that exists.

    Raises:
        ServerError: None does.
    """
    for name in names:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return User(name, entry.pw_uid, entry.pw_gid)
    raise failures.root_without_user(names)


def plan(
    config: Config, address: Address, binaries: Binaries, user: User | None
) -> tuple[dict[str, Any], Path]:
    """The keeper's order for a cluster, and the directory its data will be in.

    Raises:
        ServerError: No directory will do, or ``user`` may not read the binaries.
    """
    name = PREFIX + secrets.token_hex(4)
    home = _data_home(config, user)
    base = home / name
    directories, copies, programs = [base], [], binaries.directory
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    environment |= {"LC_ALL": "C", "TZ": "UTC"}
    if user is not None and not _readable(binaries, user):
        copy = _program_home(user) / f"{name}-bin"
        copies = _copies(binaries, user, copy)
        programs = Path(copies[0][1]) / binaries.directory.resolve().name
        directories.append(copy)
        environment["LD_LIBRARY_PATH"] = str(programs.parent / "lib")
    order = {
        "kind": "cluster",
        "base": str(base),
        "directories": [str(path) for path in directories],
        "copies": copies,
        "uid": None if user is None else user.uid,
        "gid": None if user is None else user.gid,
        "secret": verifier(address.password),
        "environment": environment,
        "initdb": [_initdb(programs, base, binaries.major, locale) for locale in ("C.UTF-8", "C")],
        "server": _server(programs, base, address, settings_of(config)),
    }
    return order, home


def _initdb(programs: Path, base: Path, major: int, locale: str) -> list[str]:
    # Checksums, on by default from 18, guard a disk that these tests do not use.
    extra = ["--no-data-checksums"] if major >= 18 else []  # noqa: PLR2004 - the first with checksums by default
    return [
        str(programs / "initdb"),
        f"--pgdata={base / 'data'}",
        "--username=postgres",
        f"--pwfile={base / 'password'}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        f"--locale={locale}",
        "--no-sync",
        *extra,
    ]


def _server(programs: Path, base: Path, address: Address, wanted: dict[str, str]) -> list[str]:
    socket = base / "socket"
    fits = len(os.fsencode(socket)) + len("/.s.PGSQL.65535.lock") <= _SOCKET_PATH_LIMIT
    settings = {
        "timezone": "UTC",
        "log_timezone": "UTC",
        **wanted,
        "listen_addresses": address.host,
        "port": str(address.port),
        "unix_socket_directories": str(socket) if fits else "",
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return [str(programs / "postgres"), "-D", str(base / "data"), *options]


def _readable(binaries: Binaries, user: User) -> bool:
    deepest = [
        path
        for tree in binaries.trees
        for pattern in ("*", "share/**/postgres.bki")
        for path in tree.glob(pattern)
    ]
    programs = [binaries.directory / program for program in ("initdb", "postgres")]
    return all(user.may_read(path) for path in (*programs, *deepest))


def _copies(binaries: Binaries, user: User, target: Path) -> list[list[str]]:
    """What to copy where; relative places are kept, for that is how libraries are found."""
    if not binaries.trees:
        raise failures.binaries_not_enterable(str(binaries.directory), user.name)
    top = Path(os.path.commonpath(binaries.trees)) if len(binaries.trees) > 1 else binaries.trees[0].parent
    return [[str(tree), str(target / tree.relative_to(top))] for tree in binaries.trees]


def _data_home(config: Config, user: User | None) -> Path:
    if config.tmpdir:
        home = config.path(config.tmpdir)
        if reason := _unfit(home, user):
            raise failures.no_room(str(home), reason)
        return home
    if sys.platform == "linux" and not _unfit(_MEMORY, user) and _free(_MEMORY) >= _ROOM:
        return _MEMORY
    return _first_fit([home for home in _temporary() if not _unfit(home, user)])


def _program_home(user: User) -> Path:
    runs = [home for home in (*_temporary(), _MEMORY) if not _unfit(home, user) and not _noexec(home)]
    return _first_fit(runs)


def _first_fit(homes: list[Path]) -> Path:
    if not homes:
        looked = ", ".join(str(home) for home in _temporary())
        raise failures.no_room(looked, "none of them can be written to")
    return homes[0]


def _temporary() -> list[Path]:
    return [Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")]  # noqa: S108 - the same as above


def _unfit(home: Path, user: User | None) -> str:
    """Why ``home`` cannot hold what ``user`` (None: this one) is to use; empty if it can."""
    if not os.path.isdir(home):  # noqa: PTH112 - that of Path may raise
        return "there is no such directory"
    try:
        with tempfile.TemporaryFile(dir=home) as file:
            file.write(b"\0" * 4096)
    except OSError as error:
        return os.strerror(error.errno or 0)
    if user is not None and not user.may_enter(home):
        return f"user {user.name!r}, whom PostgreSQL must run as, may not enter it"
    return ""


def _free(home: Path) -> int:
    status = os.statvfs(home)
    return status.f_bavail * status.f_frsize


def _noexec(home: Path) -> bool:
    return bool(os.statvfs(home).f_flag & getattr(os, "ST_NOEXEC", 0))


def _wait(keeper: Keeper, config: Config, address: Address, home: Path) -> None:
    event = keeper.event(config.start_timeout)
    if event.name != "ready":
        raise _explained(event, config, address, home)


def _explained(event: Event, config: Config, address: Address, home: Path) -> ServerError:
    said = event.said
    full = next((line for line in said.splitlines() if "No space left on device" in line), "")
    if event.step == "directory" or full:
        return failures.no_room(str(home), full or said)
    if event.step == "postgres" and "Address already in use" in said:
        return failures.port_taken(address)
    if event.name == "lost":
        return (
            failures.keeper_lost(said)
            if said != "nothing"
            else failures.too_slow("PostgreSQL", config.start_timeout, "")
        )
    return failures.program_failed(event.step, said)


def _log_in(address: Address, seconds: float) -> Login:
    try:
        return log_in(address, seconds, ssl=False)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise failures.program_failed(
            "the first connection to PostgreSQL", str(error) or repr(error)
        ) from None
