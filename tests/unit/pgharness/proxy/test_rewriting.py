"""What the server is told in other words on a connection of a client's own."""

from __future__ import annotations

import pytest

from pgharness.proxy.core.rewriting import held, spared
from pgharness.proxy.core.statements import read

NOTHING, NOBODY = "DO 'BEGIN END'", "SELECT true AS pg_terminate_backend WHERE false"
ENDING = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'pgh_x'"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("DROP DATABASE pgh_x", NOTHING),
        ('drop database if exists "pgh_x" WITH (FORCE)', NOTHING),
        ("CREATE DATABASE pgh_x ENCODING 'utf8' TEMPLATE template1", NOTHING),
        (f"{ENDING}; DROP DATABASE pgh_x; SELECT 1", f"{NOBODY}; {NOTHING}; SELECT 1"),
        ("/* again */ CREATE DATABASE pgh_x", f"/* again */ {NOTHING}"),
        *(
            (same, same)
            for same in ("DROP DATABASE pgh_x2", "DROP DATABASE other", "SELECT 'DROP DATABASE pgh_x'")
        ),
        *((same, same) for same in ("COMMENT ON DATABASE pgh_x IS 'a'", ENDING.replace("pgh_x", "other"))),
    ],
)
def test_the_database_of_the_tests_is_neither_made_nor_dropped(text: str, told: str) -> None:
    assert spared(text, read(text), "pgh_x") == told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("RESET SESSION AUTHORIZATION", "SET SESSION AUTHORIZATION 'ann'"),
        ("SET LOCAL SESSION AUTHORIZATION DEFAULT", "SET LOCAL SESSION AUTHORIZATION 'ann'"),
        ("SET SESSION AUTHORIZATION ann; SELECT 1", "SET SESSION AUTHORIZATION 'ann'; SELECT 1"),
        ("SET ROLE bob", "SET ROLE bob"),
    ],
)
def test_the_way_back_leads_to_the_role_of_the_client(text: str, told: str) -> None:
    assert held(text, read(text), "ann") == told


def test_another_role_is_denied() -> None:
    text = "SELECT 1; SET SESSION AUTHORIZATION bob"

    assert "permission denied to set session authorization" in held(text, read(text), "ann")
