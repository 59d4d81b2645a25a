"""Addresses, versions and the words of errors: what is said before any server is asked."""

from __future__ import annotations

import getpass
import json
import os
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgharness.config import Config
from pgharness.errors import ConfigError
from pgharness.server.base import Address
from pgharness.server.binaries import User
from pgharness.server.container import image_of
from pgharness.server.engine import Engine, candidates, find, home_directory
from pgharness.server.running import RunningServer, major_of
from pgharness.server.scram import verifier
from pgharness.server.urls import parse_url
from tests.support.server_runs import make_config

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("postgresql://u:p@h:1/d", Address("h", 1, "u", "p", "d")),
        ("postgres://u:p@h", Address("h", 5432, "u", "p", "postgres")),
        ("postgresql+asyncpg://u:p%40%2F@h/", Address("h", 5432, "u", "p@/", "postgres")),
        ("postgresql://u@[::1]:1/d%20e", Address("::1", 1, "u", "", "d e")),
        ("postgresql://h/d", Address("h", 5432, getpass.getuser(), "", "d")),
    ],
)
def test_a_url_is_read(url: str, address: Address) -> None:
    assert parse_url(url, "ini") == address


@given(user=TEXT, password=TEXT, database=TEXT.filter(lambda name: name.strip("/") == name))
def test_a_url_that_we_wrote_is_read_back(user: str, password: str, database: str) -> None:
    address = Address("127.0.0.1", 5432, user, password, database)

    assert parse_url(address.url(driver="asyncpg"), "ini") == address


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("mysql://u:secret@h/d", "it does not start with postgresql://"),
        ("u:secret@h/d", "it does not start with postgresql://"),
        ("postgresql://u:secret@h:port/d", "its host or port cannot be read"),
        ("postgresql:///d", "it names no host; a server on a socket alone is not supported"),
        ("postgresql://u:secret@%2Ftmp/d", "it names no host; a server on a socket alone is not supported"),
    ],
)
def test_what_is_no_address_is_refused_and_not_shown(url: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_url(url, "environment")

    assert str(caught.value) == (
        f"pgharness: pg_url (environment) is not the address of a PostgreSQL server: {reason}.\n"
        "To fix this: write it like postgresql://user:password@host:port/database, "
        "special characters in names and password percent-encoded"
    )


def test_parameters_are_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_url("postgresql://u:secret@h/d?sslmode=require", "ini")

    assert str(caught.value) == (
        "pgharness: pg_url (ini) carries the parameter 'sslmode', "
        "which the addresses made from it would lose.\n"
        "Drivers disagree on what parameters are called.\n"
        "To fix this, either:\n"
        "  - drop it, and set PGSSLMODE in the environment if it is about TLS: every driver reads that\n"
        '  - or write it into the template: pg_env = ["DATABASE_URL={asyncpg_url}?name=value"]'
    )


def test_a_user_without_a_name_is_postgres(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError(1000)

    monkeypatch.setattr(getpass, "getuser", nameless)

    assert parse_url("postgresql://h", "ini").user == "postgres"


@pytest.mark.parametrize(
    ("version", "major"), [("17.11", 17), ("15.18 (Debian 15.18-0)", 15), ("19beta1", 19), ("devel", 0)]
)
def test_the_major_of_a_version(version: str, major: int) -> None:
    assert major_of(version) == major
    assert RunningServer("local", Address("h", 1, "u", "p"), version, "", owned=True).major == major


def test_no_password_in_what_is_printed_of_a_server() -> None:
    server = RunningServer("local", Address("h", 1, "u", "very-secret"), "17.1", "", owned=True)

    assert "very-secret" not in repr(server)
    server.stop()


def test_a_stored_password_holds_no_clear_text_and_is_salted() -> None:
    assert verifier("secret").startswith("SCRAM-SHA-256$1:")
    assert "secret" not in verifier("secret")
    assert verifier("secret") != verifier("secret")


@pytest.mark.parametrize(
    ("options", "image"),
    [
        ({}, "postgres:17"),
        ({"version": "16"}, "postgres:16"),
        ({"version": "16", "image": "postgis/postgis:16-3.4"}, "postgis/postgis:16-3.4"),
    ],
)
def test_the_image_follows_the_version_unless_one_is_named(options: dict[str, str], image: str) -> None:
    config: Config = make_config(**options)

    assert image_of(config) == image


def test_the_environment_names_the_one_engine_to_ask(tmp_path: Path) -> None:
    environment = {"DOCKER_HOST": "tcp://build:2376", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/certs"}

    assert candidates(environment, tmp_path) == [Engine("tcp://build:2376", "/certs")]
    assert candidates({"DOCKER_HOST": "unix:///a"}, tmp_path) == [Engine("unix:///a")]


def test_the_properties_of_testcontainers_come_first(tmp_path: Path) -> None:
    (tmp_path / ".testcontainers.properties").write_text("ryuk.disabled=true\ntc.host = tcp://cloud:1\n")

    assert candidates({"DOCKER_HOST": "unix:///a"}, tmp_path) == [Engine("tcp://cloud:1")]


def context(home: Path, name: str, host: str) -> None:
    folder = home / ".docker" / "contexts" / "meta" / sha256(name.encode()).hexdigest()
    folder.mkdir(parents=True)
    (folder / "meta.json").write_text(json.dumps({"Endpoints": {"docker": {"Host": host}}}))


def test_the_current_docker_context_is_asked_before_the_usual_sockets(tmp_path: Path) -> None:
    context(tmp_path, "colima", "unix:///colima.sock")
    context(tmp_path, "remote", "ssh://me@build")
    (tmp_path / ".docker" / "config.json").write_text('{"currentContext": "colima"}')
    usual = tmp_path / ".orbstack" / "run"
    usual.mkdir(parents=True)
    (usual / "docker.sock").touch()

    by_config = candidates({}, tmp_path)
    by_environment = candidates({"DOCKER_CONTEXT": "remote"}, tmp_path)

    assert by_config[0] == Engine("unix:///colima.sock")
    assert (
        by_config[-1] == Engine(f"unix://{usual}/docker.sock")
        or Engine(f"unix://{usual}/docker.sock") in by_config
    )
    assert by_environment[0] == Engine("ssh://me@build")


@pytest.mark.parametrize(
    "settings", ['{"currentContext": "default"}', '{"currentContext": "gone"}', "[]", "nonsense"]
)
def test_a_docker_context_that_says_nothing_is_passed_over(settings: str, tmp_path: Path) -> None:
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker" / "config.json").write_text(settings)

    assert all("/.docker/" not in engine.url for engine in candidates({}, tmp_path))


@pytest.mark.parametrize(
    ("url", "environment", "host"),
    [
        ("unix:///var/run/docker.sock", {}, "127.0.0.1"),
        ("tcp://localhost:2375", {}, "127.0.0.1"),
        ("tcp://build:2375", {}, "build"),
        ("ssh://me@build", {}, "build"),
        ("unix:///var/run/docker.sock", {"TESTCONTAINERS_HOST_OVERRIDE": "gateway"}, "gateway"),
        ("unix:///var/run/docker.sock", {"TC_HOST": "a", "TESTCONTAINERS_HOST_OVERRIDE": "b"}, "a"),
        ("tcp://build:2375", {"TESTCONTAINERS_HOST_OVERRIDE": "localhost"}, "127.0.0.1"),
    ],
)
def test_where_the_ports_of_an_engine_are_reached(url: str, environment: dict[str, str], host: str) -> None:
    assert Engine(url).published_host(environment) == host


def test_an_engine_behind_ssh_is_taken_on_trust(tmp_path: Path) -> None:
    assert find({"DOCKER_HOST": "ssh://me@build"}, tmp_path) == (Engine("ssh://me@build"), ())


@pytest.mark.parametrize("before", [None, "unix:///before"])
def test_the_environment_names_the_engine_only_meanwhile(
    before: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    if before:
        monkeypatch.setenv("DOCKER_HOST", before)

    with Engine("unix:///here").as_environment():
        assert os.environ["DOCKER_HOST"] == "unix:///here"

    assert os.environ.get("DOCKER_HOST") == before


def test_no_home_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "home", homeless)

    assert home_directory() == Path("/nonexistent")


def test_a_user_may_read_what_every_part_of_the_path_lets_it(tmp_path: Path) -> None:
    stranger = User("stranger", 4_000_001, 4_000_001)
    file = Path("/etc/passwd")
    (tmp_path / "private").write_text("")

    assert stranger.may_read(file)
    assert stranger.may_enter(Path("/etc"))
    assert not stranger.may_read(tmp_path / "missing")
    assert not stranger.may_enter(tmp_path / "missing")
    tmp_path.chmod(0o700)
    assert not stranger.may_read(tmp_path / "private")
    owner = tmp_path.stat()
    assert User("owner", owner.st_uid, owner.st_gid)._bits(owner) == 0o7
    assert User("member", stranger.uid, owner.st_gid)._bits(owner) & 0o7 == 0
