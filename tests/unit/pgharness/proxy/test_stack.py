"""The SQL that makes one transaction behave as several, example by example."""

from __future__ import annotations

import pytest

from pgharness.proxy.core.refusals import Refused
from pgharness.proxy.core.stack import Stack
from pgharness.proxy.core.transaction import Transaction
from tests.support.savepoint_model import transaction

a, b = "a", "b"


def read(stack: Stack, reader: Transaction) -> list[str]:
    return stack.before(reader, writes=False)


def write(stack: Stack, writer: Transaction) -> list[str]:
    return stack.before(writer, writes=True)


# -- one after the other ------------------------------------------------------------------------------


def test_a_commit_releases_when_the_next_statement_comes(stack: Stack) -> None:
    first, second = transaction(a), transaction(b)

    assert write(stack, first) == ["SAVEPOINT pgh_1"]
    assert write(stack, first) == []
    assert stack.commit(first) is True
    assert read(stack, second) == ["RELEASE SAVEPOINT pgh_1", "SAVEPOINT pgh_2"]


def test_a_savepoint_in_which_nobody_has_written_serves_the_next(stack: Stack) -> None:
    first, second, third = transaction(a), transaction(b), transaction("c")

    assert read(stack, first) == ["SAVEPOINT pgh_1"]
    stack.commit(first)
    assert read(stack, second) == []
    stack.rollback(second)
    assert read(stack, third) == ["ROLLBACK TO SAVEPOINT pgh_1"]


def test_a_rollback_goes_back_to_the_first_savepoint_which_serves_the_next(stack: Stack) -> None:
    first, second = transaction(a), transaction(b)
    write(stack, first)

    stack.rollback(first)

    assert read(stack, second) == ["ROLLBACK TO SAVEPOINT pgh_1"]


def test_a_transaction_without_statements_costs_nothing(stack: Stack) -> None:
    stack.commit(transaction(a))
    stack.rollback(transaction(b))

    assert (stack.pending, stack.savepoints) == ([], [])


def test_a_statement_that_fails_is_undone_at_once(stack: Stack) -> None:
    failing = transaction(a)
    write(stack, failing)
    stack.failed(failing)

    assert stack.pending == ["ROLLBACK TO SAVEPOINT pgh_1"]
    assert not stack.aborted
    assert failing.failed


def test_commit_of_a_failed_transaction_is_a_rollback(stack: Stack) -> None:
    failing = transaction(a)
    write(stack, failing)
    stack.failed(failing)

    assert stack.commit(failing) is False
    assert stack.pending == ["ROLLBACK TO SAVEPOINT pgh_1"]


# -- overlapping --------------------------------------------------------------------------------------


def test_a_release_is_postponed_until_what_lies_above_has_ended(stack: Stack) -> None:
    lower, upper = transaction(a), transaction(b)
    write(stack, lower)
    assert write(stack, upper) == ["SAVEPOINT pgh_2"]

    stack.commit(lower)
    assert stack.pending == []
    stack.commit(upper)
    assert stack.pending == ["RELEASE SAVEPOINT pgh_1"]


def test_each_turn_gets_a_savepoint_so_that_a_failure_takes_nothing_else(stack: Stack) -> None:
    one, other = transaction(a), transaction(b)
    write(stack, one)
    write(stack, other)

    assert write(stack, one) == ["SAVEPOINT pgh_3"]
    stack.failed(one)
    assert stack.diverged is not None  # what it wrote first lies under the other's rows
    assert stack.diverged.kind == "diverged"


def test_a_failure_takes_nothing_else_where_others_have_only_read(stack: Stack) -> None:
    one, other = transaction(a), transaction(b)
    write(stack, one)
    read(stack, other)
    write(stack, one)
    stack.failed(one)

    assert stack.diverged is None
    assert stack.pending == [
        "ROLLBACK TO SAVEPOINT pgh_1",
        "RELEASE SAVEPOINT pgh_1",
        "SAVEPOINT pgh_2",
    ]
    assert read(stack, other)[3:] == []


def test_a_rollback_spares_what_others_wrote_before_it_did(stack: Stack) -> None:
    reader_first, writer = transaction(a), transaction(b)
    read(stack, reader_first)
    write(stack, writer)
    write(stack, reader_first)
    stack.commit(writer)

    stack.rollback(reader_first)

    assert stack.diverged is None
    assert stack.pending == ["ROLLBACK TO SAVEPOINT pgh_3", "RELEASE SAVEPOINT pgh_1"]


def test_a_rollback_sets_the_open_savepoints_of_readers_again(stack: Stack) -> None:
    writer, reader = transaction(a), transaction(b, read_only=True)
    write(stack, writer)
    read(stack, reader)

    stack.rollback(writer)

    assert stack.pending == [
        "ROLLBACK TO SAVEPOINT pgh_1",
        "RELEASE SAVEPOINT pgh_1",
        "SAVEPOINT pgh_2",
        "SET TRANSACTION READ ONLY",
    ]
    assert read(stack, reader)[4:] == []


def test_a_rollback_undoes_nothing_if_only_others_have_written(stack: Stack) -> None:
    reader, writer = transaction(a), transaction(b)
    read(stack, reader)
    write(stack, writer)
    stack.commit(writer)
    assert stack.pending == ["RELEASE SAVEPOINT pgh_2"]

    stack.rollback(reader)

    assert stack.pending == ["RELEASE SAVEPOINT pgh_2", "RELEASE SAVEPOINT pgh_1"]


def test_a_statement_after_others_have_committed_gets_a_savepoint_of_its_own(stack: Stack) -> None:
    outer, inner = transaction(a), transaction(b)
    read(stack, outer)
    write(stack, inner)
    stack.commit(inner)

    assert write(stack, outer) == ["RELEASE SAVEPOINT pgh_2", "SAVEPOINT pgh_3"]


def test_a_failed_statement_above_does_not_stand_in_the_way_of_a_rollback(stack: Stack) -> None:
    writer, failing = transaction(a), transaction(b)
    write(stack, writer)
    write(stack, failing)
    stack.failed(failing)

    stack.rollback(writer)

    assert stack.diverged is None
    assert failing.failed


def test_what_was_lost_by_a_failure_can_be_rolled_back_beside_others(stack: Stack) -> None:
    failing, writer = transaction(a), transaction(b)
    write(stack, failing)
    stack.failed(failing)
    write(stack, writer)

    stack.rollback(failing)

    assert stack.diverged is None
    assert read(stack, writer) == []


# -- divergence ---------------------------------------------------------------------------------------


def test_a_rollback_under_what_others_wrote_diverges(stack: Stack) -> None:
    lower, upper = transaction(a), transaction(b)
    write(stack, lower)
    write(stack, upper)

    stack.rollback(lower)

    with pytest.raises(Refused) as caught:
        read(stack, transaction("c"))
    assert caught.value is stack.diverged
    assert (caught.value.kind, caught.value.arguments) == (
        "diverged",
        ("a.py:1 in a", ["b.py:1 in b"], ""),
    )


def test_only_the_first_divergence_is_told(stack: Stack) -> None:
    lower, upper = transaction(a), transaction(b)
    write(stack, lower)
    write(stack, upper)
    stack.rollback(lower)
    first = stack.diverged

    stack.rollback(upper)

    assert stack.diverged is first


def test_others_are_named_once_each(stack: Stack) -> None:
    lower = transaction(a)
    write(stack, lower)
    for _ in range(3):
        request = transaction(b)
        write(stack, request)
        stack.commit(request)

    stack.rollback(lower)

    assert stack.diverged is not None
    assert stack.diverged.arguments[1] == ["b.py:1 in b"]
