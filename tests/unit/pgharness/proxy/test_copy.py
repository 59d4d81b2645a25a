"""COPY through the shared core, in both protocols."""

from __future__ import annotations

import pytest

from pgharness.proxy.core import wire
from tests.support.wired import Wired, extended

SYNC = wire.SYNC
DATA, DONE, FAIL = wire.message(b"d", b"1\n2\n"), wire.message(b"c"), wire.message(b"f", b"why\0")


@pytest.fixture
def wired() -> Wired:
    return Wired()


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("how", ["simple", "extended"])
@pytest.mark.parametrize("end", ["done", "failed"])
def test_rows_are_copied_in(wired: Wired, how: str, end: str, *, together: bool) -> None:
    one, two = wired.client(), wired.client()
    is_simple = how == "simple"
    begins = wire.query("COPY t FROM STDIN") if is_simple else extended("COPY t FROM STDIN") + SYNC
    ends = (DONE if end == "done" else FAIL) + (b"" if is_simple else SYNC)

    parts = [begins + DATA + ends] if together and is_simple else [begins, DATA, ends]
    said = [line for part in parts for line in one.send(part)]

    answer = "COPY 2" if end == "done" else "error 57014 COPY from stdin failed: why"
    assert said == [*([] if is_simple else ["parsed", "bound"]), "copy in", answer, "ready I"]
    rows = ["row 1", "row 2", "SELECT 2"] if end == "done" else ["SELECT 0"]
    assert two.query("SELECT x FROM t") == ["columns", *rows, "ready I"]
    assert one.query("SELECT 5") == ["columns", "row 5", "SELECT 1", "ready I"]


def test_a_script_goes_on_behind_a_copy(wired: Wired) -> None:
    client = wired.client()

    said = [client.query("BEGIN; COPY t FROM STDIN; SELECT 3; COMMIT"), client.send(DATA + DONE)]

    assert said == [
        ["BEGIN", "copy in"],
        ["COPY 2", "columns", "row 3", "SELECT 1", "COMMIT", "ready I"],
    ]


@pytest.mark.parametrize("how", ["simple", "extended"])
def test_rows_are_copied_out(wired: Wired, how: str) -> None:
    one, two = wired.client(), wired.client()
    one.query("INSERT INTO t VALUES (1)")
    sql = "COPY t TO STDOUT"

    said = two.query(sql) if how == "simple" else two.send(extended(sql) + SYNC)

    assert [line for line in said if line not in ("parsed", "bound")] == [
        "copy out", "data 1", "copied", "COPY 1", "ready I",
    ]  # fmt: skip
    assert one.query("SELECT 5") == ["columns", "row 5", "SELECT 1", "ready I"]


@pytest.mark.parametrize("rest", [SYNC, DONE + SYNC, DATA + FAIL + SYNC])
def test_a_copy_that_fails_goes_on_at_the_sync(wired: Wired, rest: bytes) -> None:
    one, two = wired.client(), wired.client()
    one.query("INSERT INTO t VALUES (1)")
    one.send(extended("COPY t FROM STDIN") + SYNC)

    said = [one.send(DATA), one.send(rest)]

    assert said == [["error 23505 duplicate key 1"], ["ready I"]]
    assert two.query("SELECT x FROM t") == ["columns", "row 1", "SELECT 1", "ready I"]
    assert one.query("SELECT 5") == ["columns", "row 5", "SELECT 1", "ready I"]


def test_the_rest_of_a_copy_that_has_failed_is_ignored(wired: Wired) -> None:
    client = wired.client()
    client.query("INSERT INTO t VALUES (1)")
    client.query("COPY t FROM STDIN")

    said = client.send(DATA + DONE)
    rest = client.send(DATA + DONE)

    assert (said, rest) == (["error 23505 duplicate key 1", "ready I"], [])
    assert client.query("SELECT 5") == ["columns", "row 5", "SELECT 1", "ready I"]
