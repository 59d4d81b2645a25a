"""Constraints that are checked at a commit, which is none on the server."""

from __future__ import annotations

import dataclasses

import pytest

from pgharness.proxy.core import wire
from pgharness.proxy.core.refusals import Refused
from tests.support.wired import FACTS, Wired, extended

DEFERRABLE = dataclasses.replace(FACTS, deferrable=True)


@pytest.mark.parametrize("how", ["simple", "extended"])
def test_a_constraint_is_checked_at_the_commit(how: str) -> None:
    client = Wired(DEFERRABLE).client()
    client.query("BEGIN")

    inserted = client.query("INSERT INTO child VALUES (1)")
    said = client.query("COMMIT") if how == "simple" else client.send(extended("COMMIT") + wire.SYNC)

    assert inserted == ["INSERT 0 1", "ready T"]
    assert said[-2:] == ["error 23503 1 has no parent", "ready I"]
    assert client.send(extended("SELECT 5") + wire.SYNC)[2:] == ["row 5", "SELECT 1", "ready I"]
    assert client.query("SELECT x FROM t") == ["columns", "SELECT 0", "ready I"]


def test_a_constraint_that_holds_by_then_is_no_error() -> None:
    one, two = (wired := Wired(DEFERRABLE)).client(), wired.client()
    one.query("BEGIN; INSERT INTO child VALUES (1); UPDATE child SET parent = 1")

    assert one.query("COMMIT") == ["COMMIT", "ready I"]
    assert two.query("SELECT x FROM child") == ["columns", "row 1", "SELECT 1", "ready I"]


@pytest.mark.parametrize("how", ["simple", "extended"])
def test_a_constraint_is_checked_at_the_end_of_a_statement_of_its_own(how: str) -> None:
    client = Wired(DEFERRABLE).client()
    sql = "INSERT INTO child VALUES (1)"

    said = client.query(sql) if how == "simple" else client.send(extended(sql) + wire.SYNC)

    assert said[-2:] == ["error 23503 1 has no parent", "ready I"]
    assert client.send(extended("SELECT 5") + wire.SYNC) == [
        "parsed",
        "bound",
        "row 5",
        "SELECT 1",
        "ready I",
    ]
    assert client.query("SELECT x FROM t") == ["columns", "SELECT 0", "ready I"]


def test_what_follows_a_commit_that_fails_in_a_script_is_not_done() -> None:
    client = Wired(DEFERRABLE).client()

    said = client.query("BEGIN; INSERT INTO child VALUES (1); COMMIT; INSERT INTO t VALUES (2)")

    assert said == ["BEGIN", "INSERT 0 1", "error 23503 1 has no parent", "ready I"]
    assert client.query("SELECT x FROM t") == ["columns", "SELECT 0", "ready I"]


def test_rows_of_another_that_are_still_open_may_be_what_fails() -> None:
    one, two = (wired := Wired(DEFERRABLE)).client(), wired.client()
    one.query("BEGIN; INSERT INTO child VALUES (1)")

    said = two.query("INSERT INTO t VALUES (2)")

    assert said == ["INSERT 0 1", "error 0A000 refused: deferred_constraint", "ready I"]
    assert [kind for kind, *_ in wired.end()] == ["deferred_constraint", "left_open"]


def test_a_connection_that_is_lost_at_the_check_is_one_error() -> None:
    client = (wired := Wired(DEFERRABLE)).client()
    client.put(extended("INSERT INTO child VALUES (1)") + wire.SYNC)
    wired.exchange()

    wired.shared.lost(Refused("connection_lost"))

    assert client.answers() == [
        "parsed", "bound", "INSERT 0 1", "error 0A000 refused: connection_lost", "ready I",
    ]  # fmt: skip
    assert client.query("SELECT 1") == ["error 0A000 refused: connection_lost", "ready I"]
