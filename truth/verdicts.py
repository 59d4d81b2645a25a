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
    if found := _first(("hang",), [*itself, *after]):
        return Verdict("hang", found.line)
    harmed = _first(("wrong", "error", "refused"), after)
    if (refused := _first(("refused",), itself)) and not harmed:
        return Verdict("refused", refused.line)
    if found := _first(("wrong", "error", "refused"), itself):
        return Verdict("wrong" if found.outcome == "wrong" else "error", found.line)
    if harmed:
        if harmed.outcome == "wrong":
            return Verdict("leaks", harmed.line)
        return Verdict("error", f"in the next test: {harmed.line}")
    if not itself or not after:
        return Verdict("error", "the run ended before it")
    return Verdict("right")


def _first(outcomes: tuple[str, ...], records: list[Record]) -> Record | None:
    """The first record of the first outcome that there is one of."""
    for outcome in outcomes:
        for record in records:
            if record.outcome == outcome:
                return record
    return None
