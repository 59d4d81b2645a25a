"""From the records of a contender's runs to a verdict for each behaviour."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

Word = Literal["right", "leaks", "wrong", "error", "refused", "hang", "n/a"]
MEANING: dict[Word, str] = {
    "right": "as PostgreSQL in production, and the next test finds nothing of it",
    "refused": "the test fails with a sentence that says what cannot be shown and names the way out",
    "error": "the test fails with an exception that production would not raise",
    "wrong": "something else than in production, and nothing says so",
    "leaks": "as in production, but the next test finds what this one has left",
    "hang": "the test does not end",
    "n/a": "not what this is for",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """How one phase of one test ended; ``part`` is ``itself`` or ``after``, the next test."""

    behaviour: str
    part: str
    outcome: str
    line: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """One cell of the table, and the first line of why."""

    word: Word
    line: str = ""


def verdict(records: Sequence[Record]) -> Verdict:
    """The verdict on one behaviour from all that was recorded of it.

    A behaviour is refused only if the next test is unharmed. Nothing recorded is an error: the
    process ended before it could say anything.
    """
    itself = [record for record in records if record.part == "itself"]
    after = [record for record in records if record.part == "after"]
    hung = _first(("hang",), [*itself, *after])
    failed = _first(("refused", "wrong", "error"), itself)
    harmed = _first(("wrong", "error", "refused"), after)
    if hung:
        return Verdict("hang", hung.line)
    if failed and failed.outcome == "refused":
        return Verdict("error" if harmed else "refused", failed.line)
    if failed:
        return Verdict("wrong" if failed.outcome == "wrong" else "error", failed.line)
    if harmed and harmed.outcome == "wrong":
        return Verdict("leaks", harmed.line)
    if harmed:
        return Verdict("error", f"in the next test: {harmed.line}")
    return Verdict("right") if itself and after else Verdict("error", "the run ended before it")


def _first(outcomes: tuple[str, ...], records: list[Record]) -> Record | None:
    """The first record of the first outcome that there is one of."""
    for outcome in outcomes:
        for record in records:
            if record.outcome == outcome:
                return record
    return None
