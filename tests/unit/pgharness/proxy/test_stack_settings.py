"""Run-time parameters and snapshots of transactions that share one."""

from __future__ import annotations

import pytest

from pgharness.proxy.core.refusals import Refused
from pgharness.proxy.core.stack import Stack
from tests.support.savepoint_model import transaction
from tests.unit.pgharness.proxy.test_stack import read, write

a, b = "a", "b"
SET = "SELECT pg_catalog.set_config('work_mem', '{}', true)"


def test_the_settings_of_a_connection_hold_for_its_statements_alone(stack: Stack) -> None:
    tuned, plain = transaction(a, settings={"work_mem": "1MB"}), transaction(b)

    assert read(stack, tuned) == ["SAVEPOINT pgh_1", SET.format("1MB")]
    assert read(stack, tuned) == []
    assert read(stack, plain) == ["SAVEPOINT pgh_2", SET.format("4MB")]


def test_settings_are_quoted_and_set_in_one_query(stack: Stack) -> None:
    tuned = transaction(a, settings={"search_path": "o'brien", "work_mem": "1MB"})

    assert read(stack, tuned)[1:] == [
        "SELECT pg_catalog.set_config('search_path', 'o''brien', true), "
        "pg_catalog.set_config('work_mem', '1MB', true)"
    ]


def test_settings_are_set_again_after_a_rollback_has_undone_them(stack: Stack) -> None:
    tuned = transaction(a, settings={"work_mem": "1MB"})
    stack.savepoint(tuned, "s")
    again = transaction(b, settings={"work_mem": "1MB"})
    stack.rollback(tuned)

    assert read(stack, again)[-1] == SET.format("1MB")


def test_what_a_statement_has_set_is_known(stack: Stack) -> None:
    tuned, plain = transaction(a), transaction(b)
    write(stack, tuned)

    stack.changed(tuned, {"work_mem": "1MB"}, local=True)

    assert read(stack, tuned) == []
    assert read(stack, plain) == ["SAVEPOINT pgh_2", SET.format("4MB")]
    assert read(stack, tuned) == ["SAVEPOINT pgh_3", SET.format("1MB")]


def test_what_is_set_locally_ends_with_its_transaction(stack: Stack) -> None:
    tuned = transaction(a)
    write(stack, tuned)
    stack.changed(tuned, {"work_mem": "1MB"}, local=True)

    stack.commit(tuned)

    assert dict(tuned.settings) == {}
    assert read(stack, transaction(b))[-1] == SET.format("4MB")


def test_what_the_session_sets_ends_what_was_set_locally(stack: Stack) -> None:
    tuned = transaction(a)
    write(stack, tuned)
    stack.changed(tuned, {"work_mem": "1MB"}, local=True)
    stack.changed(tuned, {"work_mem": "2MB"}, local=False)

    assert (tuned.settings, tuned.local) == ({"work_mem": "2MB"}, {})
    assert read(stack, tuned) == []


def test_what_was_set_since_a_savepoint_is_rolled_back_to_it(stack: Stack) -> None:
    tuned = transaction(a)
    stack.savepoint(tuned, "s")
    write(stack, tuned)
    stack.changed(tuned, {"work_mem": "1MB"}, local=False)

    stack.rollback_to(tuned, "s")

    assert dict(tuned.settings) == {}
    assert read(stack, tuned) == ["ROLLBACK TO SAVEPOINT pgh_2"]


def test_a_snapshot_that_others_have_overtaken_is_refused(stack: Stack) -> None:
    reader, writer = transaction(a, snapshot="REPEATABLE READ"), transaction(b)
    read(stack, reader)
    write(stack, writer)

    with pytest.raises(Refused) as caught:
        read(stack, reader)

    assert (caught.value.kind, caught.value.arguments) == (
        "stale_snapshot",
        ("a.py:1 in a", "REPEATABLE READ", ["b.py:1 in b"]),
    )


def test_a_snapshot_goes_on_once_the_others_are_rolled_back(stack: Stack) -> None:
    reader, writer = transaction(a, snapshot="SERIALIZABLE"), transaction(b)
    read(stack, reader)
    write(stack, writer)

    stack.rollback(writer)

    assert read(stack, reader)[0] == "ROLLBACK TO SAVEPOINT pgh_2"


def test_a_snapshot_begins_with_the_first_statement_and_ends_with_the_transaction(stack: Stack) -> None:
    reader, writer = transaction(a, snapshot="SERIALIZABLE"), transaction(b)
    write(stack, writer)
    write(stack, reader)
    stack.commit(reader)

    write(stack, writer)

    assert reader.overlapped == ()


def test_a_read_of_others_does_not_disturb_a_snapshot(stack: Stack) -> None:
    reader, other = transaction(a, snapshot="SERIALIZABLE"), transaction(b)
    read(stack, reader)
    read(stack, other)

    assert read(stack, reader) == ["SAVEPOINT pgh_3"]
