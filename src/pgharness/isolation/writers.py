"""Who is open and who has written, as the savepoints of a stack tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pgharness.isolation.savepoint import Savepoint
from pgharness.isolation.transaction import Transaction


def wrote(savepoints: Iterable[Savepoint], transaction: Transaction) -> bool:
    """Whether ``transaction`` may have written what has not been undone."""
    return transaction in _writers(savepoints)


def open_transactions(savepoints: Iterable[Savepoint]) -> list[str]:
    """Where those began, each once, that have sent a statement and have not ended."""
    return _origins(savepoint.owner for savepoint in savepoints if not savepoint.owner.ended)


def others(owner: Transaction, savepoints: Iterable[Savepoint]) -> list[str]:
    """Where those began, each once, who have written in ``savepoints`` besides ``owner``."""
    return _origins(writer for writer in _writers(savepoints) if writer is not owner)


def open_others(owner: Transaction, savepoints: Iterable[Savepoint]) -> list[str]:
    """Those of `others` that have not ended."""
    return _origins(writer for writer in _writers(savepoints) if writer is not owner and not writer.ended)


def uncommitted(
    reader: Transaction, savepoints: Iterable[Savepoint], tables: frozenset[str]
) -> Iterator[tuple[str, str]]:
    """Which of ``tables`` others have changed and not committed, and where those began."""
    for writer in _writers(savepoints):
        if writer is not reader and not writer.ended:
            for table in sorted(writer.tables & tables):
                yield table, writer.origin


def _writers(savepoints: Iterable[Savepoint]) -> dict[Transaction, None]:
    return {writer: None for savepoint in savepoints for writer in savepoint.writers}


def _origins(transactions: Iterable[Transaction]) -> list[str]:
    return list(dict.fromkeys(transaction.origin for transaction in transactions))
