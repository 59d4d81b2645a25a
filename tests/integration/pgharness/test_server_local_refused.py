"""A server from binaries that cannot be had: what it says of the reason."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from pgharness.errors import ServerError
from pgharness.server import binaries, choose, local
from pgharness.server.reservation import bind
from pgharness.server.settings import SETTINGS
from tests.support.server_runs import (
    ROOT_ONLY,
    failure,
    make_config,
    mounted,
    programs,
)

pytestmark = pytest.mark.pg(allow_hosts=["127.0.0.1"])
FOUND = binaries.find(make_config(), os.environ)[0]


def test_pg_bin_without_initdb(home: Path) -> None:
    assert str(failure(make_config(backend="local", bin=str(home)))) == (
        f"pgharness: pg_bin = '{home}' has no initdb.\n"
        "It is not the directory of a PostgreSQL server; client packages lack initdb and postgres.\n"
        "To fix this, either:\n"
        "  - give the directory that has both initdb and postgres: --pg-bin=DIR\n"
        "  - drop pg_bin: the usual are searched"
    )


def test_pg_bin_whose_postgres_does_not_run(home: Path) -> None:
    programs(home, initdb="exit 0", postgres="exit 1")

    assert failure(make_config(backend="local", bin=str(home))).failed == (
        f"pg_bin = '{home}' has no postgres that runs."
    )


def test_no_binaries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(binaries, "USUAL", ("/nonexistent/*/bin",))
    monkeypatch.setattr(binaries, "WHEELS", ("no_such_wheel",))

    assert str(failure(make_config(backend="local"))) == (
        "pgharness: there are no PostgreSQL server binaries on this machine.\n"
        "Checked:\n"
        "  - local: no server binaries by pg_config\n"
        "  - local: no server binaries by PATH\n"
        "  - local: no server binaries by the usual directories\n"
        "  - local: no wheel with PostgreSQL (no_such_wheel) is installed\n"
        "To fix this, either:\n"
        "  - install PostgreSQL as a wheel: pip install 'pgharness[embedded]'\n"
        "  - name the directory of the server binaries: --pg-bin=DIR\n"
        "  - use a server that runs: --pg-url=postgresql://user:password@host:port/database"
    )


def test_another_major_than_the_one_required() -> None:
    there = ", ".join(f"{found.version} in {found.directory} ({found.origin})" for found in FOUND)

    assert str(failure(make_config(backend="local", version="99"))) == (
        f"pgharness: PostgreSQL 99 is required (pg_version), but this machine has {there}.\n"
        "To fix this, either:\n"
        "  - give the directory of a PostgreSQL 99: --pg-bin=DIR\n"
        "  - let Docker run postgres:99: --pg-backend=container\n"
        f"  - require what is there, or any: --pg-version={FOUND[0].major} or --pg-version=0"
    )


def test_the_port_is_taken() -> None:
    with bind(0) as taken:
        taken.listen()
        port = taken.getsockname()[1]

        assert str(failure(make_config(backend="local", port=str(port)))) == (
            f"pgharness: port {port} on 127.0.0.1 is taken.\n"
            "Another server listens there, perhaps that of another run with the same pg_port.\n"
            "To fix this, either:\n"
            "  - take any free port: --pg-port=0\n"
            "  - stop what listens there\n"
            "  - use a server that runs: --pg-url=postgresql://user:password@host:port/database"
        )


def no_room(home: Path | str, reason: str) -> str:
    return (
        f"pgharness: PostgreSQL cannot keep its data in {home}.\n"
        f"The system says: {reason}\n"
        "To fix this: give a directory with room that its user can enter: --pg-tmpdir=DIR"
    )


@ROOT_ONLY
def test_a_full_temporary_directory(home: Path) -> None:
    with mounted(home, "size=8m,mode=755"):
        error = failure(make_config(backend="local", tmpdir=str(home)))

        assert list(home.iterdir()) == []
    assert error.cause.endswith("No space left on device")
    assert str(error) == no_room(home, error.cause.removeprefix("The system says: "))


@ROOT_ONLY
def test_a_read_only_temporary_directory(home: Path) -> None:
    with mounted(home, "ro"):
        assert str(failure(make_config(backend="local", tmpdir=str(home)))) == no_room(
            home, "Read-only file system"
        )


@ROOT_ONLY
def test_a_temporary_directory_that_its_user_cannot_enter(home: Path) -> None:
    home.chmod(0o700)
    user = local.unprivileged(local.UNPRIVILEGED)

    assert str(failure(make_config(backend="local", tmpdir=str(home)))) == no_room(
        home, f"user {user.name!r}, whom PostgreSQL must run as, may not enter it"
    )


def test_a_temporary_directory_that_is_not_there(home: Path) -> None:
    missing = home / "missing"

    assert str(failure(make_config(backend="local", tmpdir=str(missing)))) == no_room(
        missing, "there is no such directory"
    )


@ROOT_ONLY
def test_root_and_no_user_to_run_as() -> None:
    config = make_config(backend="local")

    with pytest.raises(ServerError) as caught:
        local.start(config, choose.reserve(config).address, users=("nosuch1", "nosuch2"))

    assert str(caught.value) == (
        "pgharness: initdb and postgres refuse to run as root, and there is no user to run them as.\n"
        "Checked:\n"
        "  - user 'nosuch1' does not exist\n"
        "  - user 'nosuch2' does not exist\n"
        "To fix this, either:\n"
        "  - create one: useradd --system postgres\n"
        "  - run pytest as an ordinary user\n"
        "  - use a server that runs: --pg-url=postgresql://user:password@host:port/database"
    )


@ROOT_ONLY
def test_binaries_out_of_reach_that_cannot_be_copied(home: Path) -> None:
    programs(home, initdb="exit 0", postgres="echo 'postgres (PostgreSQL) 17.1'")
    home.chmod(0o700)
    user = local.unprivileged(local.UNPRIVILEGED)

    assert str(failure(make_config(backend="local", bin=str(home)))) == (
        f"pgharness: user {user.name!r} may not read the PostgreSQL binaries in {home}.\n"
        "PostgreSQL does not run as root, and they lie in a directory that no other user may enter.\n"
        "To fix this, either:\n"
        "  - run pytest as an ordinary user\n"
        "  - give binaries that all users may read: --pg-bin=DIR"
    )


def test_a_program_that_fails_is_quoted(home: Path) -> None:
    programs(home, initdb="echo one; echo two >&2; exit 1", postgres="echo 'postgres (PostgreSQL) 17.1'")

    assert str(failure(make_config(backend="local", bin=str(home)))) == (
        "pgharness: initdb failed.\n"
        "Its last lines say why.\n"
        "Checked:\n"
        "  - one\n"
        "  - two\n"
        "To fix this, either:\n"
        "  - give other binaries: --pg-bin=DIR\n"
        "  - use a server that runs: --pg-url=postgresql://user:password@host:port/database"
    )


def test_a_server_that_does_not_start_is_quoted(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setitem(SETTINGS, "no_such_setting", "1")

    error = failure(make_config(backend="local", tmpdir=str(home)))

    assert error.failed == "postgres failed."
    assert error.checked[-1].endswith('FATAL:  unrecognized configuration parameter "no_such_setting"')
    assert list(home.iterdir()) == []


def test_no_directory_to_write_to(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setattr(local, "_MEMORY", home / "missing")
    monkeypatch.setattr(local, "_temporary", lambda: [home / "a", home / "b"])

    assert str(failure(make_config(backend="local"))) == no_room(
        f"{home}/a, {home}/b", "none of them can be written to"
    )


def test_a_server_that_never_answers(home: Path) -> None:
    programs(home, initdb="exec sleep 60", postgres="echo 'postgres (PostgreSQL) 17.1'")

    assert str(failure(make_config(backend="local", bin=str(home), start_timeout="0.3"))) == (
        "pgharness: PostgreSQL did not answer within 0.3 s.\n"
        "Its last lines may say why.\n"
        "Checked:\n"
        "  - (it said nothing)\n"
        "To fix this: give it longer: --pg-start-timeout=SECONDS"
    )


def test_a_keeper_that_cannot_start(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    programs(home, python="echo 'no Python here' >&2; exit 1")
    monkeypatch.setattr(sys, "executable", str(home / "python"))

    assert str(failure(make_config(backend="local"))) == (
        "pgharness: the process that keeps PostgreSQL ended before the server was ready.\n"
        "Checked:\n"
        "  - no Python here\n"
        "To fix this: check that this Python can start itself (python -I -S), "
        "and that nothing kills its processes"
    )
