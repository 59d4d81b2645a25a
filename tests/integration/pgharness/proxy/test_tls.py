"""TLS between clients and the proxy, for apps whose settings insist on it."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import psycopg2
import pytest

from pgharness.proxy.server.certificate import certificate
from pgharness.server.base import Address
from tests.support.in_this_process import InThisProcess
from tests.support.proxied import Proxied

pytestmark = pytest.mark.pg(allow_hosts=["127.0.0.1"])


@pytest.fixture
def proxied_control() -> type[InThisProcess]:
    return InThisProcess


@pytest.fixture
def proxied_options(tmp_path: Path) -> dict[str, Any]:
    return {"tls": True, "tls_directory": str(tmp_path / "tls")}


@pytest.fixture
def authority(tmp_path: Path) -> str:
    """The file of the certificate's authority, which is there once a client has asked for TLS."""
    return str(tmp_path / "tls" / "authority.pem")


def _is_encrypted(url: str, **options: str) -> bool:
    with psycopg.connect(url, **options) as connection:  # type: ignore[arg-type]  # a mapping of options
        connection.execute("SELECT 1")
        return bool(connection.pgconn.ssl_in_use)


@pytest.mark.parametrize("mode", ["allow", "prefer", "require"])
def test_psycopg_is_served(proxied: Proxied, mode: str) -> None:
    with proxied.test():
        assert _is_encrypted(proxied.url, sslmode=mode) == (mode != "allow")
        assert not _is_encrypted(proxied.url, sslmode="disable")


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_certificate_is_verified(proxied: Proxied, authority: str, mode: str, host: str) -> None:
    with proxied.test():
        _is_encrypted(proxied.url, sslmode="require")

        assert _is_encrypted(proxied.url, host=host, sslmode=mode, sslrootcert=authority)


def test_another_authority_is_not_trusted(proxied: Proxied, tmp_path: Path) -> None:
    other = certificate(str(tmp_path / "other"), [])
    assert other is not None
    with proxied.test():
        with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
            psycopg.connect(proxied.url, sslmode="verify-full", sslrootcert=str(other[2]))

        assert _is_encrypted(proxied.url, sslmode="require")


def test_a_login_is_bound_to_the_certificate(proxied: Proxied) -> None:
    with proxied.test():
        assert _is_encrypted(proxied.url, sslmode="require", channel_binding="require")
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(proxied.url, sslmode="disable", channel_binding="require")


async def test_asyncpg_is_served(proxied: Proxied, authority: str) -> None:
    with proxied.test():
        required = await asyncpg.connect(proxied.url, ssl="require")
        verifying = ssl.create_default_context(cafile=authority)
        verified = await asyncpg.connect(proxied.url, ssl=verifying)
        direct = await asyncpg.connect(proxied.url, ssl=verifying, direct_tls=True)

        seen = [await client.fetchval("SELECT count(*) FROM t") for client in (required, verified, direct)]

        for client in (required, verified, direct):
            assert client._transport.get_extra_info("ssl_object") is not None  # type: ignore[attr-defined]  # of asyncpg, where it is kept
            await client.close()
    assert seen == [0, 0, 0]


def test_psycopg2_is_served(proxied: Proxied, authority: str) -> None:
    with proxied.test():
        _is_encrypted(proxied.url, sslmode="require")
        connection = psycopg2.connect(proxied.url, sslmode="verify-full", sslrootcert=authority)

        assert connection.info.ssl_in_use
        connection.close()


def test_much_is_read_and_sent_under_tls(proxied: Proxied) -> None:
    value = "x" * 5_000_000
    with proxied.test(), psycopg.connect(proxied.url, sslmode="require") as connection:
        assert connection.execute("SELECT %s::text", [value]).fetchone() == (value,)
        rows = connection.execute("SELECT repeat('y', 100) FROM generate_series(1, 100000)").fetchall()
        with connection.cursor() as cursor, cursor.copy("COPY words (v) FROM STDIN") as copy:
            for _ in range(1000):
                copy.write(b"z" * 9_999 + b"\n")

        assert len(rows) == 100_000
        assert connection.execute("SELECT count(*), sum(length(v)) FROM words").fetchone() == (
            1000,
            9_999_000,
        )


def test_whoever_insists_in_vain_gets_it_the_next_time(
    server_address: Address, direct: Any, tmp_path: Path
) -> None:
    proxied = Proxied(server_address, direct.info.dbname, tls=False, tls_directory=str(tmp_path / "tls"))
    with proxied.test():
        first = _is_encrypted(proxied.url, sslmode="prefer")
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(proxied.url, sslmode="require")
        second = _is_encrypted(proxied.url, sslmode="require")
    proxied.close()

    assert (first, second) == (False, True)
