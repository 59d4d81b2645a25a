"""Logins through the proxy: of the run's role, of others with their own passwords, and wrong ones."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from pgharness.proxy.core import wire
from tests.support.in_this_process import InThisProcess
from tests.support.proxied import ERRORS, Bare, Proxied

pytestmark = pytest.mark.pg(allow_hosts=["127.0.0.1"])


@pytest.fixture
def proxied_control() -> type[InThisProcess]:
    return InThisProcess


def test_a_wrong_password_and_a_wrong_database_are_refused_as_by_postgresql(proxied: Proxied) -> None:
    with proxied.test():
        with pytest.raises(psycopg.OperationalError, match="password authentication failed for user"):
            psycopg.connect(proxied.url_of(proxied.server.user, "wrong"))
        with pytest.raises(psycopg.OperationalError, match='database "nowhere" does not exist'):
            psycopg.connect(proxied.url, dbname="nowhere")
        with pytest.raises(psycopg.OperationalError, match='unrecognized configuration parameter "nonsense"'):
            psycopg.connect(proxied.url, options="-c nonsense=1")


@pytest.mark.parametrize("method", ["scram-sha-256", "md5"])
def test_a_role_that_the_test_has_made_logs_in_with_its_own_password(proxied: Proxied, method: str) -> None:
    with proxied.test(), psycopg.connect(proxied.url, autocommit=True) as owner:
        owner.execute(f"SET password_encryption = '{method}'")
        owner.execute("CREATE ROLE clerk LOGIN PASSWORD 'ink'")
        owner.execute("GRANT SELECT ON t TO clerk")
        with psycopg.connect(proxied.url_of("clerk", "ink"), autocommit=True) as clerk:
            who = clerk.execute("SELECT session_user, current_user").fetchone()
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                clerk.execute("INSERT INTO t VALUES (1)")
            owner.execute("INSERT INTO t VALUES (1)")
            seen = clerk.execute("SELECT x FROM t").fetchall()
        with pytest.raises(ERRORS):
            psycopg.connect(proxied.url_of("clerk", "wrong"))

    assert (who, seen) == (("clerk", "clerk"), [(1,)])


@pytest.mark.parametrize("state", ["SET ROLE clerk", "SELECT 1/0", "BEGIN; SELECT 1/0"])
def test_a_login_disturbs_nobody(proxied: Proxied, direct: psycopg.Connection[Any], state: str) -> None:
    direct.execute("DROP ROLE IF EXISTS pgh_clerk; CREATE ROLE pgh_clerk LOGIN PASSWORD 'ink'")
    try:
        with proxied.test():
            one = Bare(proxied)
            one.query("INSERT INTO t VALUES (1)")
            one.query(state.replace("clerk", "pgh_clerk"))

            with psycopg.connect(proxied.url_of("pgh_clerk", "ink")) as clerk:
                assert clerk.execute("SELECT session_user").fetchone() == ("pgh_clerk",)

            one.query("ROLLBACK")
            one.query("RESET ROLE")
            assert one.query("SELECT x FROM t") == ["1", "SELECT 1"]
            one.close()
    finally:
        direct.execute("DROP ROLE pgh_clerk")


def test_a_login_does_not_wait_for_the_statement_of_another(
    proxied: Proxied, direct: psycopg.Connection[Any]
) -> None:
    direct.execute("DROP ROLE IF EXISTS pgh_clerk; CREATE ROLE pgh_clerk LOGIN PASSWORD 'ink'")
    try:
        with proxied.test():
            one = Bare(proxied)
            one.send(wire.query("SELECT pg_sleep(0.5)"))

            psycopg.connect(proxied.url_of("pgh_clerk", "ink")).close()

            assert one.answer() == ["", "SELECT 1"]
            one.close()
    finally:
        direct.execute("DROP ROLE pgh_clerk")


def test_a_role_that_there_is_not_is_refused(proxied: Proxied) -> None:
    with proxied.test(), psycopg.connect(proxied.url, autocommit=True) as one:
        one.execute("INSERT INTO t VALUES (1)")

        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(proxied.url_of("nobody_there", proxied.password)).execute("SELECT 1")

        assert one.execute("SELECT x FROM t").fetchall() == [(1,)]
