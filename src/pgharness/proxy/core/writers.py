"""Who is open and who has written, as the savepoints of a stack tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pgharness.proxy.core.transaction import Savepoint, Transaction


def wrote(savepoints: Iterable[Savepoint], transaction: Transaction) -> bool:
    """Whether ``transaction`` may have written what has not been undone."""
    return any(transaction in savepoint.writers for savepoint in savepoints)


def open_transactions(savepoints: Iterable[Savepoint]) -> list[str]:
    """Where those began, each once, that have sent a statement and have not ended."""
    return _places(s.owner for s in savepoints if not s.owner.ended and not s.done)


def others(owner: Transaction, savepoints: Iterable[Savepoint]) -> list[str]:
    """Where those began, each once, who have written in ``savepoints`` besides ``owner``."""
    return _places(writer for writer in _writers(savepoints) if writer is not owner)


def open_others(owner: Transaction, savepoints: Iterable[Savepoint]) -> list[str]:
    """Those of `others` that have not ended."""
    return _places(w for w in _writers(savepoints) if w is not owner and not w.ended)


def uncommitted(
    reader: Transaction, savepoints: Iterable[Savepoint], tables: frozenset[str]
) -> Iterator[tuple[str, Transaction]]:
    """Which of ``tables`` others have changed and not committed, and who."""
    for writer in _writers(savepoints):
        if writer is not reader and not writer.ended:
            for table in sorted(writer.tables & tables):
                yield table, writer


def _writers(savepoints: Iterable[Savepoint]) -> dict[Transaction, None]:
    return {writer: None for savepoint in savepoints for writer in savepoint.writers}


def _places(transactions: Iterable[Transaction]) -> list[str]:
    return list(dict.fromkeys(transaction.place for transaction in transactions))
