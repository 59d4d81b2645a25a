"""The application's own savepoints, and READ ONLY transactions, which float above those of others."""

from __future__ import annotations

import pytest

from pgharness.isolation.stack import Stack
from pgharness.isolation.transaction import Transaction
from tests.support.savepoint_model import READ, WRITE, transaction

a, b = "a", "b"


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
