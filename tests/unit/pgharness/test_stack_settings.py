"""Run-time parameters and snapshots of transactions that share one."""

from __future__ import annotations

import pytest

from pgharness.errors import IsolationError
from pgharness.isolation.stack import Stack
from pgharness.isolation.statements import Statement
from tests.support.savepoint_model import READ, WRITE, transaction

WAY_OUT = 'mark the test @pytest.mark.pg(isolation="database"): a database of its own, with real commits'


a, b = "a", "b"


def test_the_settings_of_a_connection_hold_for_its_statements_alone(stack: Stack) -> None:
    tuned, plain = transaction(a, settings={"work_mem": "1MB"}), transaction(b)

    assert stack.before(tuned, READ) == [
        "SAVEPOINT pgh_1",
        "SELECT set_config('work_mem', '1MB', true)",
    ]
    assert stack.before(tuned, READ) == []
    assert stack.before(plain, READ) == [
        "SAVEPOINT pgh_2",
        "SELECT set_config('work_mem', '4MB', true)",
    ]


def test_settings_are_quoted_and_set_in_one_query(stack: Stack) -> None:
    tuned = transaction(a, settings={"search_path": "o'brien", "work_mem": "1MB"})

    assert stack.before(tuned, READ)[1:] == [
        "SELECT set_config('search_path', 'o''brien', true), set_config('work_mem', '1MB', true)"
    ]


def test_settings_are_set_again_after_a_rollback_has_undone_them(stack: Stack) -> None:
    tuned = transaction(a, settings={"work_mem": "1MB"})
    stack.savepoint(tuned, "s")
    again = transaction(b, settings={"work_mem": "1MB"})
    stack.rollback(tuned)

    assert stack.before(again, READ)[2:] == [
        "SAVEPOINT pgh_3",
        "SELECT set_config('work_mem', '1MB', true)",
    ]


def test_a_local_setting_ends_with_its_transaction(stack: Stack) -> None:
    tuned = transaction(a)

    assert stack.before(tuned, READ, "Work_mem") == [
        "SAVEPOINT pgh_1",
        "SELECT set_config('pgharness.saved_work_mem', current_setting('Work_mem', true), true)",
    ]
    assert stack.before(tuned, READ, "Work_mem") == []
    stack.commit(tuned)
    assert stack.pending == [
        "SELECT set_config('Work_mem', current_setting('pgharness.saved_work_mem', true), true)",
        "RELEASE SAVEPOINT pgh_1",
    ]


def test_a_local_setting_that_was_rolled_back_is_not_restored(stack: Stack) -> None:
    tuned = transaction(a)
    stack.savepoint(tuned, "s")
    stack.before(tuned, READ, "work_mem")
    stack.rollback_to(tuned, "s")

    stack.commit(tuned)

    assert stack.pending == ["RELEASE SAVEPOINT pgh_1"]


def test_a_local_setting_is_a_write_that_others_rolling_back_would_undo(stack: Stack) -> None:
    lower, tuned = transaction(a), transaction(b)
    stack.before(lower, WRITE)
    stack.before(tuned, READ, "work_mem")

    stack.rollback(lower)

    assert stack.diverged is not None


def test_a_local_setting_refuses_others_and_loses_nothing_pending(stack: Stack) -> None:
    early, tuned = transaction(a), transaction(b)
    stack.before(early, READ)
    stack.before(tuned, READ, "work_mem")
    stack.pending = ["RELEASE SAVEPOINT pending"]

    with pytest.raises(IsolationError) as caught:
        stack.before(early, READ)

    assert str(caught.value) == (
        "pgharness: test_x: the transaction begun at a.py:1 in a overlaps the one begun at b.py:1 in b, "
        "which has set work_mem for itself alone.\n"
        "Inside one transaction SET LOCAL holds for both.\n"
        "To fix this, either:\n"
        "  - end the first transaction before the other begins\n"
        f"  - {WAY_OUT}"
    )
    assert stack.pending == ["RELEASE SAVEPOINT pending"]
    stack.commit(tuned)
    assert stack.before(early, READ)[0] == "RELEASE SAVEPOINT pending"


def test_a_snapshot_that_others_have_overtaken_is_refused(stack: Stack) -> None:
    reader, writer = transaction(a, snapshot="REPEATABLE READ"), transaction(b)
    stack.before(reader, READ)
    stack.before(writer, WRITE)

    with pytest.raises(IsolationError) as caught:
        stack.before(reader, READ)

    assert str(caught.value) == (
        "pgharness: test_x: the REPEATABLE READ transaction begun at a.py:1 in a goes on after others "
        "have written.\n"
        "On a connection of its own it would not see their rows; inside one transaction it does.\n"
        "Checked:\n"
        "  - written meanwhile: by the transaction begun at b.py:1 in b\n"
        f"To fix this: {WAY_OUT}"
    )


def test_a_snapshot_goes_on_once_the_others_are_rolled_back(stack: Stack) -> None:
    reader, writer = transaction(a, snapshot="SERIALIZABLE"), transaction(b)
    stack.before(reader, READ)
    stack.before(writer, WRITE)

    stack.rollback(writer)

    assert stack.before(reader, READ) == ["ROLLBACK TO SAVEPOINT pgh_2", "RELEASE SAVEPOINT pgh_2"]


def test_a_snapshot_begins_with_the_first_statement_and_ends_with_the_transaction(stack: Stack) -> None:
    reader, writer = transaction(a, snapshot="SERIALIZABLE"), transaction(b)
    stack.before(writer, WRITE)
    stack.before(reader, WRITE)
    stack.commit(reader)

    stack.before(writer, WRITE)

    assert reader.overlapped == {}


def test_a_read_of_others_does_not_disturb_a_snapshot(stack: Stack) -> None:
    reader, other = transaction(a, snapshot="SERIALIZABLE"), transaction(b)
    stack.before(reader, READ)
    stack.before(other, Statement("plain", writes=False, words=frozenset({"count"})))

    assert stack.before(reader, READ) == ["SAVEPOINT pgh_3"]
