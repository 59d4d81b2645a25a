"""The SQL that makes one transaction behave as several, example by example."""

from __future__ import annotations

import pytest

from pgharness.errors import IsolationError
from pgharness.isolation.stack import Stack
from pgharness.isolation.statements import classify
from tests.support.savepoint_model import READ, WRITE, transaction

WAY_OUT = 'mark the test @pytest.mark.pg(isolation="database"): a database of its own, with real commits'


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
