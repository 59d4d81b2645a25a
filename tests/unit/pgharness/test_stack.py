"""The SQL that makes one transaction behave as several, example by example."""

from __future__ import annotations

from typing import Any

import pytest

from pgharness.errors import IsolationError
from pgharness.isolation.stack import Stack
from pgharness.isolation.statements import Statement, classify
from pgharness.isolation.transaction import Transaction
from tests.support.savepoint_model import READ, WRITE

WAY_OUT = 'mark the test @pytest.mark.pg(isolation="database"): a database of its own, with real commits'


@pytest.fixture
def stack() -> Stack:
    return Stack("test_x", defaults={"work_mem": "4MB", "search_path": "public"})


def transaction(name: str, **options: Any) -> Transaction:
    return Transaction(f"{name}.py:1 in {name}", **options)


a, b = "a", "b"


# -- one after the other ------------------------------------------------------------------------------


def test_a_commit_releases_when_the_next_statement_comes(stack: Stack) -> None:
    first, second = transaction(a), transaction(b)

    assert stack.before(first, WRITE) == ["SAVEPOINT pgh_1"]
    assert stack.before(first, WRITE) == []
    assert stack.commit(first) is True
    assert stack.before(second, READ) == ["RELEASE SAVEPOINT pgh_1", "SAVEPOINT pgh_2"]


def test_a_rollback_goes_back_to_the_first_savepoint(stack: Stack) -> None:
    first, second = transaction(a), transaction(b)
    stack.before(first, WRITE)

    stack.rollback(first)

    assert stack.before(second, READ) == [
        "ROLLBACK TO SAVEPOINT pgh_1",
        "RELEASE SAVEPOINT pgh_1",
        "SAVEPOINT pgh_2",
    ]


def test_a_transaction_without_statements_costs_nothing(stack: Stack) -> None:
    stack.commit(transaction(a))
    stack.rollback(transaction(b))

    assert (stack.pending, stack.savepoints) == ([], [])


def test_commit_of_a_failed_transaction_is_a_rollback(stack: Stack) -> None:
    failing = transaction(a)
    stack.before(failing, WRITE)
    stack.failed(failing)

    assert stack.aborted
    assert stack.commit(failing) is False
    assert stack.pending == ["ROLLBACK TO SAVEPOINT pgh_1", "RELEASE SAVEPOINT pgh_1"]
    assert not stack.aborted


# -- overlapping --------------------------------------------------------------------------------------


def test_a_release_is_postponed_until_what_lies_above_has_ended(stack: Stack) -> None:
    lower, upper = transaction(a), transaction(b)
    stack.before(lower, WRITE)
    assert stack.before(upper, WRITE) == ["SAVEPOINT pgh_2"]

    stack.commit(lower)
    assert stack.pending == []
    stack.commit(upper)
    assert stack.pending == ["RELEASE SAVEPOINT pgh_1"]


def test_each_turn_gets_a_savepoint_so_that_a_failure_takes_nothing_else(stack: Stack) -> None:
    one, other = transaction(a), transaction(b)
    stack.before(one, WRITE)
    stack.before(other, WRITE)

    assert stack.before(one, WRITE) == ["SAVEPOINT pgh_3"]
    stack.failed(one)
    assert stack.before(other, READ) == ["ROLLBACK TO SAVEPOINT pgh_3", "SAVEPOINT pgh_4"]
    assert not stack.aborted


def test_a_rollback_spares_what_others_wrote_before_it_did(stack: Stack) -> None:
    reader_first, writer = transaction(a), transaction(b)
    stack.before(reader_first, READ)
    stack.before(writer, WRITE)
    stack.before(reader_first, WRITE)
    stack.commit(writer)

    stack.rollback(reader_first)

    assert stack.diverged is None
    assert stack.pending == [
        "ROLLBACK TO SAVEPOINT pgh_3",
        "RELEASE SAVEPOINT pgh_3",
        "RELEASE SAVEPOINT pgh_1",
    ]


def test_a_rollback_sets_the_open_savepoints_of_readers_again(stack: Stack) -> None:
    writer, reader = transaction(a), transaction(b, read_only=True)
    stack.before(writer, WRITE)
    stack.before(reader, READ)

    stack.rollback(writer)

    assert stack.pending == [
        "ROLLBACK TO SAVEPOINT pgh_1",
        "RELEASE SAVEPOINT pgh_1",
        "SAVEPOINT pgh_2",
        "SET TRANSACTION READ ONLY",
    ]
    assert stack.before(reader, READ)[4:] == []


def test_a_rollback_undoes_nothing_if_only_others_have_written(stack: Stack) -> None:
    reader, writer = transaction(a), transaction(b)
    stack.before(reader, READ)
    stack.before(writer, WRITE)
    stack.commit(writer)
    assert stack.pending == ["RELEASE SAVEPOINT pgh_2"]

    stack.rollback(reader)

    assert stack.pending == ["RELEASE SAVEPOINT pgh_2", "RELEASE SAVEPOINT pgh_1"]


def test_a_statement_after_others_have_committed_gets_a_savepoint_of_its_own(stack: Stack) -> None:
    outer, inner = transaction(a), transaction(b)
    stack.before(outer, READ)
    stack.before(inner, WRITE)
    stack.commit(inner)

    assert stack.before(outer, WRITE) == ["RELEASE SAVEPOINT pgh_2", "SAVEPOINT pgh_3"]


def test_a_failed_statement_above_does_not_stand_in_the_way_of_a_rollback(stack: Stack) -> None:
    writer, failing = transaction(a), transaction(b)
    stack.before(writer, WRITE)
    stack.before(failing, WRITE)
    stack.failed(failing)

    stack.rollback(writer)

    assert stack.diverged is None
    assert stack.pending == [
        "ROLLBACK TO SAVEPOINT pgh_1",
        "RELEASE SAVEPOINT pgh_1",
        "SAVEPOINT pgh_2",
    ]
    assert failing.failed


def test_what_was_lost_by_a_failure_can_be_rolled_back_beside_others(stack: Stack) -> None:
    failing, writer = transaction(a), transaction(b)
    stack.before(failing, WRITE)
    stack.failed(failing)
    stack.before(writer, WRITE)

    stack.rollback(failing)

    assert stack.diverged is None
    assert stack.before(writer, READ) == []


# -- divergence ---------------------------------------------------------------------------------------


def test_a_rollback_under_what_others_wrote_diverges(stack: Stack) -> None:
    lower, upper = transaction(a), transaction(b)
    stack.before(lower, WRITE)
    stack.before(upper, WRITE)

    stack.rollback(lower, where=lambda: "c.py:3 in c")

    with pytest.raises(IsolationError) as caught:
        stack.before(transaction("c"), READ)
    assert caught.value is stack.diverged
    assert str(caught.value) == (
        "pgharness: test_x: the transaction begun at a.py:1 in a was rolled back at c.py:3 in c, "
        "and others had written meanwhile.\n"
        "On separate connections their work would have stayed; inside one transaction it is undone too.\n"
        "Checked:\n"
        "  - also undone: the work of the transaction begun at b.py:1 in b\n"
        "To fix this, either:\n"
        "  - end the first transaction (commit, rollback or close) before the others write\n"
        f"  - {WAY_OUT}"
    )


def test_only_the_first_divergence_is_told(stack: Stack) -> None:
    lower, upper = transaction(a), transaction(b)
    stack.before(lower, WRITE)
    stack.before(upper, WRITE)
    stack.rollback(lower)
    first = stack.diverged

    stack.rollback(upper)

    assert stack.diverged is first
    assert first is not None
    assert "was rolled back, and others had written meanwhile." in first.failed


def test_others_are_named_once_each(stack: Stack) -> None:
    lower = transaction(a)
    stack.before(lower, WRITE)
    for _ in range(3):
        request = transaction(b)
        stack.before(request, WRITE)
        stack.commit(request)

    stack.rollback(lower)

    assert stack.diverged is not None
    assert stack.diverged.checked == ("also undone: the work of the transaction begun at b.py:1 in b",)


def test_a_function_of_the_schema_that_can_write_counts_as_a_write() -> None:
    stack = Stack("test_x", writers=["audit"])
    lower, upper = transaction(a), transaction(b)
    stack.before(lower, WRITE)
    stack.before(upper, classify("SELECT Audit(1)"))

    stack.rollback(lower)

    assert stack.diverged is not None


# -- savepoints of the application --------------------------------------------------------------------


def test_nested_savepoints_of_one_transaction(stack: Stack) -> None:
    one = transaction(a)

    assert stack.savepoint(one, "s") == ["SAVEPOINT pgh_1", "SAVEPOINT pgh_2"]
    assert stack.savepoint(one, "t") == ["SAVEPOINT pgh_3"]
    assert stack.rollback_to(one, "t") == ["ROLLBACK TO SAVEPOINT pgh_3"]
    assert stack.release_to(one, "s") == ["RELEASE SAVEPOINT pgh_2"]
    assert stack.release_to(one, "t") is None


def test_two_transactions_may_use_the_same_label(stack: Stack) -> None:
    one, other = transaction(a), transaction(b)
    stack.savepoint(one, "s")
    stack.before(one, WRITE)
    assert stack.savepoint(other, "s") == ["SAVEPOINT pgh_3", "SAVEPOINT pgh_4"]

    assert stack.rollback_to(one, "s") == [
        "ROLLBACK TO SAVEPOINT pgh_2",
        "SAVEPOINT pgh_3",
        "SAVEPOINT pgh_4",
    ]
    assert stack.release_to(other, "s") == ["RELEASE SAVEPOINT pgh_4"]
    assert stack.release_to(other, "s") is None


def test_a_label_hides_an_earlier_one_of_the_same_name(stack: Stack) -> None:
    one = transaction(a)
    stack.savepoint(one, "s")
    stack.savepoint(one, "s")

    assert stack.release_to(one, "s") == ["RELEASE SAVEPOINT pgh_3"]
    assert stack.rollback_to(one, "s") == ["ROLLBACK TO SAVEPOINT pgh_2"]


def test_rollback_to_heals_a_failed_transaction(stack: Stack) -> None:
    one = transaction(a)
    stack.savepoint(one, "s")
    stack.before(one, WRITE)
    stack.failed(one)

    assert stack.rollback_to(one, "s") == ["ROLLBACK TO SAVEPOINT pgh_2"]
    assert (one.failed, stack.aborted) == (False, False)
    assert stack.before(one, WRITE) == []


def test_rollback_to_spares_others_and_forgets_the_labels_above(stack: Stack) -> None:
    one, other = transaction(a), transaction(b)
    stack.savepoint(one, "s")
    stack.savepoint(one, "t")
    stack.before(other, WRITE)
    stack.before(one, WRITE)

    assert stack.rollback_to(one, "s") == ["ROLLBACK TO SAVEPOINT pgh_5", "RELEASE SAVEPOINT pgh_5"]
    assert stack.rollback_to(one, "t") is None
    assert stack.diverged is None


def test_released_work_is_not_mixed_with_what_others_have_committed(stack: Stack) -> None:
    one, other = transaction(a), transaction(b)
    stack.savepoint(one, "s")
    stack.before(other, WRITE)
    stack.commit(other)
    stack.before(one, WRITE)
    assert stack.release_to(one, "s") == []

    stack.rollback(one)

    assert stack.diverged is None
    assert stack.pending == [
        "ROLLBACK TO SAVEPOINT pgh_4",
        "RELEASE SAVEPOINT pgh_4",
        "RELEASE SAVEPOINT pgh_1",
    ]


def test_released_work_is_not_mixed_with_that_of_an_open_transaction(stack: Stack) -> None:
    one, other = transaction(a), transaction(b)
    stack.savepoint(one, "s")
    stack.before(other, WRITE)
    stack.before(one, WRITE)
    assert stack.release_to(one, "s") == []

    stack.rollback(one)

    assert stack.diverged is None
    assert stack.pending == ["ROLLBACK TO SAVEPOINT pgh_4", "RELEASE SAVEPOINT pgh_4"]


# -- READ ONLY ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "expected"), [("on", True), ("TRUE", True), ("off", False)])
def test_a_connection_may_make_its_transactions_read_only(value: str, expected: bool) -> None:
    made = Transaction("a.py:1 in a", settings={"default_transaction_read_only": value})

    assert made.read_only is expected


def test_a_read_only_transaction_gives_its_place_up(stack: Stack) -> None:
    reader, writer = transaction(a, read_only=True), transaction(b)

    assert stack.before(reader, READ) == ["SAVEPOINT pgh_1", "SET TRANSACTION READ ONLY"]
    assert stack.before(writer, WRITE) == ["RELEASE SAVEPOINT pgh_1", "SAVEPOINT pgh_2"]
    assert stack.before(reader, READ) == ["SAVEPOINT pgh_3", "SET TRANSACTION READ ONLY"]


def test_a_read_only_transaction_that_has_failed_gives_its_place_up_too(stack: Stack) -> None:
    reader, writer = transaction(a, read_only=True), transaction(b)
    stack.before(reader, WRITE)
    stack.failed(reader)

    assert stack.before(writer, WRITE) == [
        "ROLLBACK TO SAVEPOINT pgh_1",
        "RELEASE SAVEPOINT pgh_1",
        "SAVEPOINT pgh_2",
    ]


def test_a_read_only_transaction_keeps_its_labels(stack: Stack) -> None:
    reader, writer = transaction(a, read_only=True), transaction(b)
    stack.savepoint(reader, "s")
    stack.before(writer, WRITE)

    assert stack.rollback_to(reader, "s") == [
        "SAVEPOINT pgh_4",
        "SET TRANSACTION READ ONLY",
        "SAVEPOINT pgh_5",
        "SET TRANSACTION READ ONLY",
        "ROLLBACK TO SAVEPOINT pgh_5",
    ]
    assert stack.release_to(reader, "t") is None


# -- settings -----------------------------------------------------------------------------------------


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


# -- snapshots ----------------------------------------------------------------------------------------


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
