"""What a test may reach, by its tier; the sockets themselves are watched in tests/integration."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgharness.config.check import TIERS
from pgharness.errors import TierError
from pgharness.tiers import Tier, guard, tier_of
from pgharness.tiers.guard import Policy, allowed_hosts

ROOT = Path("/project")


@pytest.mark.parametrize(
    ("path", "tier"),
    [
        ("tests/unit/test_x.py", "unit"),
        ("tests/integration/users/test_x.py", "integration"),
        ("test/api/test_x.py", "api"),
        ("packages/shop/tests/api/test_x.py", "api"),
        ("tests/unit/tests/api/test_x.py", "unit"),
        ("tests/test_unit.py", None),
        ("tests/e2e/test_x.py", None),
        ("tests/e2e/unit/test_x.py", None),
        ("unit/test_x.py", None),
        ("tests/unit.py", None),
    ],
)
def test_the_directory_is_the_tier(path: str, tier: Tier | None) -> None:
    assert tier_of(ROOT / path, ROOT, TIERS) == tier


def test_a_directory_that_is_not_wanted_is_no_tier() -> None:
    assert tier_of(ROOT / "tests/unit/test_x.py", ROOT, ("api",)) is None
    assert tier_of(ROOT / "tests/unit/test_x.py", ROOT, ()) is None


def test_directories_above_the_root_do_not_count() -> None:
    root = Path("/home/me/tests/unit/project")

    assert tier_of(root / "test_x.py", root, TIERS) is None
    assert tier_of(root / "tests" / "api" / "test_x.py", root, TIERS) == "api"
    assert tier_of(Path("/elsewhere/tests/api/test_x.py"), root, TIERS) == "api"


def test_the_ini_file_may_lie_in_the_directory_of_the_tests() -> None:
    assert tier_of(ROOT / "tests/api/test_x.py", ROOT / "tests", TIERS) == "api"


def allows(policy: Policy, host: str, port: object) -> bool:
    try:
        policy.check(host, port)
    except TierError:
        return False
    return True


@pytest.mark.parametrize(
    ("allowed", "host", "port", "expected"),
    [
        ("db", "db", 5432, True),
        ("db:5432", "db", 5432, True),
        ("db:5432", "db", 5433, False),
        ("db:5432", "db", None, True),
        ("db:5432", "db", 0, True),
        ("db:5432", "db2", None, False),
        ("db", "other", 5432, False),
        ("localhost:6379", "localhost", 6379, True),
        ("localhost:6379", "127.0.0.1", 6379, True),
        ("localhost:6379", "::1", 6379, True),
        ("127.0.0.1:6379", "localhost", 6379, True),
        ("localhost:6379", "127.0.0.1", 6380, False),
        ("localhost", "127.0.0.1", 6380, True),
        ("10.0.0.1:80", "10.0.0.1", 80, True),
    ],
)
def test_hosts_and_ports(allowed: str, host: str, port: object, *, expected: bool) -> None:
    assert allows(Policy("t", "integration", frozenset({allowed})), host, port) is expected


def test_an_address_stands_for_the_names_it_was_found_by(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_names", {"10.0.0.7": {"search.internal", "db.internal"}})
    policy = Policy("t", "api", frozenset({"search.internal:9200"}))

    assert allows(policy, "10.0.0.7", 9200)
    assert not allows(policy, "10.0.0.7", 5432)
    assert not allows(policy, "10.0.0.8", 9200)


def test_a_unit_test_may_reach_nothing() -> None:
    policy = Policy("t", "unit", frozenset({"localhost", "unix:*"}))

    for host in ("localhost", "127.0.0.1", "example.com"):
        assert not allows(policy, host, 80)
    with pytest.raises(TierError) as caught:
        policy.check_unix("/run/redis.sock")
    assert str(caught.value) == str(TierError.socket_in_unit("t", "unix:/run/redis.sock"))


@pytest.mark.parametrize(
    ("allowed", "expected"),
    [({"unix:/run/redis.sock"}, True), ({"unix:*"}, True), ({"unix:/run/other.sock"}, False), (set(), False)],
)
def test_unix_sockets(allowed: set[str], *, expected: bool) -> None:
    policy = Policy("t", "integration", frozenset(allowed))

    if expected:
        policy.check_unix("/run/redis.sock")
    else:
        with pytest.raises(TierError) as caught:
            policy.check_unix("/run/redis.sock")
        assert str(caught.value) == str(TierError.foreign_host("t", "integration", "unix:/run/redis.sock"))


@pytest.mark.parametrize(
    ("port", "shown"), [(443, "x.org:443"), (None, "x.org"), (0, "x.org"), ("", "x.org")]
)
def test_a_refusal_names_the_address_and_is_remembered(port: object, shown: str) -> None:
    policy = Policy("t", "api")

    with pytest.raises(TierError) as caught:
        policy.check("x.org", port)

    assert str(caught.value) == str(TierError.foreign_host("t", "api", shown))
    assert policy.violations == [caught.value]


def test_the_server_and_the_configured_hosts_are_allowed() -> None:
    assert allowed_hosts([("127.0.0.1", 5432), ("db", 1)], ["search", "unix:/x"]) == {
        "127.0.0.1:5432",
        "db:1",
        "search",
        "unix:/x",
    }
    assert allowed_hosts([], []) == frozenset()


@contextlib.contextmanager
def running(policy: Policy) -> Iterator[None]:
    """The sockets watched for ``policy``, instead of for this test's own."""
    own, was_watched = guard.current, bool(guard._originals)
    guard.install()
    guard.current = policy
    try:
        yield
    finally:
        guard.current = own
        if not was_watched:
            guard.remove()


@pytest.mark.parametrize("connect", ["connect", "connect_ex"])
@pytest.mark.parametrize("address", [("127.0.0.1", 1), ("10.0.0.1", 80)])
def test_a_unit_test_cannot_connect(connect: str, address: tuple[str, int]) -> None:
    policy = Policy("t", "unit")

    with running(policy), socket.socket() as made, pytest.raises(TierError) as caught:
        getattr(made, connect)(address)

    assert str(caught.value) == str(TierError.socket_in_unit("t", f"{address[0]}:{address[1]}"))


def test_a_unit_test_cannot_look_up_a_name_or_send() -> None:
    policy = Policy("t", "unit")

    with running(policy):
        with pytest.raises(TierError, match=r"x\.org:443"):
            socket.getaddrinfo("x.org", 443)
        with pytest.raises(TierError, match=r"x\.org"):
            socket.getaddrinfo(b"x.org", None)
        with (
            socket.socket(type=socket.SOCK_DGRAM) as made,
            pytest.raises(TierError, match=r"127\.0\.0\.1:53"),
        ):
            made.sendto(b"x", ("127.0.0.1", 53))
        with socket.socket(socket.AF_UNIX) as made, pytest.raises(TierError, match="unix:/run/x"):
            made.connect(b"/run/x")

    assert len(policy.violations) == 4
