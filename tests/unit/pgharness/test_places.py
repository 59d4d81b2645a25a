"""What the plugin reads from the arguments of a connect, and what it says of a connection."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from pgharness.proxy.control import Control
from pgharness.runs.places import Places, _insists_on_tls


@pytest.fixture
def places() -> Places:
    control = Control()
    control.close()
    control.port = 54321
    return Places(control)


@pytest.mark.parametrize(
    ("cargs", "cparams", "environ", "expected"),
    [
        ((), {"host": "127.0.0.1", "port": 54321}, "", True),
        ((), {"host": "127.0.0.1", "port": "54321"}, "", True),
        ((), {"port": "5432,54321"}, "", True),
        ((), {"port": 5432}, "54321", False),
        ((), {}, "54321", True),
        ((), {}, "5432", False),
        (("postgresql://u:p@127.0.0.1:54321/x",), {}, "", True),
        (("host=127.0.0.1 port=54321",), {}, "", True),
        (("host=127.0.0.1 port=5432",), {}, "54321", False),
        ((object(),), {"port": 54321}, "", True),
    ],
)
def test_which_connections_lead_to_the_proxy(  # noqa: PLR0913 - a row of the table
    places: Places,
    monkeypatch: pytest.MonkeyPatch,
    cargs: tuple[object, ...],
    cparams: dict[str, Any],
    environ: str,
    *,
    expected: bool,
) -> None:
    monkeypatch.setenv("PGPORT", environ)

    assert places._is_ours(cargs, cparams) is expected


@pytest.mark.parametrize(
    ("cargs", "cparams", "expected"),
    [
        ((), {"ssl": "require"}, True),
        ((), {"ssl": True}, True),
        ((), {"ssl": ssl.create_default_context()}, True),
        ((), {"ssl": "prefer"}, False),
        ((), {"ssl": False}, False),
        ((), {"sslmode": "verify-full"}, True),
        ((), {"sslmode": "disable"}, False),
        (("host=x sslmode=verify-ca",), {}, True),
        (("host=x sslmode = 'require'",), {}, True),
        (("host=x sslmode=prefer",), {}, False),
        ((), {}, False),
    ],
)
def test_which_connections_insist_on_tls(
    cargs: tuple[str, ...], cparams: dict[str, Any], *, expected: bool
) -> None:
    assert _insists_on_tls(cargs, cparams) is expected


def test_a_client_that_nobody_knows_has_no_place(places: Places) -> None:
    assert places.of(1) == ""
