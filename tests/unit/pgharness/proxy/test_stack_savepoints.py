"""The application's own savepoints, and READ ONLY transactions, which float above those of others."""

from __future__ import annotations

from pgharness.proxy.core.stack import Stack
from tests.support.savepoint_model import transaction
from tests.unit.pgharness.proxy.test_stack import read, write

a, b = "a", "b"


def test_nested_savepoints_of_one_transaction(stack: Stack) -> None:
    one = transaction(a)

    assert stack.savepoint(one, "s") == ["SAVEPOINT pgh_1", "SAVEPOINT pgh_2"]
    assert stack.savepoint(one, "t") == ["SAVEPOINT pgh_3"]
    assert stack.rollback_to(one, "t") is True
    assert stack.take_pending() == ["ROLLBACK TO SAVEPOINT pgh_3"]
    assert stack.release_to(one, "s") is True
    assert stack.take_pending() == ["RELEASE SAVEPOINT pgh_2"]
    assert stack.release_to(one, "t") is False


def test_two_transactions_may_use_the_same_label(stack: Stack) -> None:
    one, other = transaction(a), transaction(b)
    stack.savepoint(one, "s")
    write(stack, one)
    assert stack.savepoint(other, "s") == ["SAVEPOINT pgh_3", "SAVEPOINT pgh_4"]

    assert stack.rollback_to(one, "s")
    assert stack.take_pending() == [
        "ROLLBACK TO SAVEPOINT pgh_2",
        "SAVEPOINT pgh_3",
        "SAVEPOINT pgh_4",
    ]
    assert stack.release_to(other, "s")
    assert stack.take_pending() == ["RELEASE SAVEPOINT pgh_4"]
    assert not stack.release_to(other, "s")


def test_a_label_hides_an_earlier_one_of_the_same_name(stack: Stack) -> None:
    one = transaction(a)
    stack.savepoint(one, "s")
    stack.savepoint(one, "s")

    assert stack.release_to(one, "s")
    assert stack.take_pending() == ["RELEASE SAVEPOINT pgh_3"]
    assert stack.rollback_to(one, "s")
    assert stack.take_pending() == ["ROLLBACK TO SAVEPOINT pgh_2"]


def test_rollback_to_heals_a_failed_transaction(stack: Stack) -> None:
    one = transaction(a)
    stack.savepoint(one, "s")
    write(stack, one)
    stack.failed(one)
    assert stack.pending == ["ROLLBACK TO SAVEPOINT pgh_2"]

    assert stack.rollback_to(one, "s")
    assert (one.failed, stack.aborted) == (False, False)
    stack.take_pending()
    assert write(stack, one) == []


def test_rollback_to_spares_others_and_forgets_the_labels_above(stack: Stack) -> None:
    one, other = transaction(a), transaction(b)
    stack.savepoint(one, "s")
    stack.savepoint(one, "t")
    write(stack, other)
    write(stack, one)

    assert stack.rollback_to(one, "s")
    assert stack.take_pending()[0] == "ROLLBACK TO SAVEPOINT pgh_5"
    assert not stack.rollback_to(one, "t")
    assert stack.diverged is None


def test_released_work_is_not_mixed_with_what_others_have_committed(stack: Stack) -> None:
    one, other = transaction(a), transaction(b)
    stack.savepoint(one, "s")
    write(stack, other)
    stack.commit(other)
    write(stack, one)
    assert stack.release_to(one, "s")
    assert stack.take_pending() == []

    stack.rollback(one)

    assert stack.diverged is None
    assert stack.pending == ["ROLLBACK TO SAVEPOINT pgh_4", "RELEASE SAVEPOINT pgh_1"]


def test_released_work_is_not_mixed_with_that_of_an_open_transaction(stack: Stack) -> None:
    one, other = transaction(a), transaction(b)
    stack.savepoint(one, "s")
    write(stack, other)
    write(stack, one)
    assert stack.release_to(one, "s")
    assert stack.take_pending() == []

    stack.rollback(one)

    assert stack.diverged is None
    assert stack.pending == ["ROLLBACK TO SAVEPOINT pgh_4"]


def test_a_read_only_transaction_gives_its_place_up(stack: Stack) -> None:
    reader, writer = transaction(a, read_only=True), transaction(b)

    assert read(stack, reader) == ["SAVEPOINT pgh_1", "SET TRANSACTION READ ONLY"]
    assert write(stack, writer) == ["RELEASE SAVEPOINT pgh_1", "SAVEPOINT pgh_2"]
    assert read(stack, reader) == ["SAVEPOINT pgh_3", "SET TRANSACTION READ ONLY"]


def test_a_read_only_transaction_that_has_failed_gives_its_place_up_too(stack: Stack) -> None:
    reader, writer = transaction(a, read_only=True), transaction(b)
    write(stack, reader)
    stack.failed(reader)

    assert write(stack, writer) == [
        "ROLLBACK TO SAVEPOINT pgh_1",
        "RELEASE SAVEPOINT pgh_1",
        "SAVEPOINT pgh_2",
    ]


def test_a_read_only_transaction_keeps_its_labels(stack: Stack) -> None:
    reader, writer = transaction(a, read_only=True), transaction(b)
    stack.savepoint(reader, "s")
    write(stack, writer)

    assert stack.rollback_to(reader, "s")
    assert stack.take_pending() == [
        "SAVEPOINT pgh_4",
        "SET TRANSACTION READ ONLY",
        "SAVEPOINT pgh_5",
        "SET TRANSACTION READ ONLY",
        "ROLLBACK TO SAVEPOINT pgh_5",
    ]
    assert not stack.release_to(reader, "t")
