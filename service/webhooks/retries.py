"""When a failed delivery is tried again. Pure, but for the dice."""

import random
from datetime import timedelta


def ceiling(attempt: int, first: float, most: float) -> float:
    """The longest pause after the ``attempt``-th failure, in seconds: it doubles, up to ``most``."""
    return min(most, first * 2.0 ** min(attempt - 1, 64))


def pause(attempt: int, first: float, most: float) -> timedelta:
    """The pause after the ``attempt``-th failure: between half of the ceiling and all of it.

    What failed together, because a receiver was down, is then not tried again together.
    """
    return timedelta(seconds=ceiling(attempt, first, most) * random.uniform(0.5, 1))  # noqa: S311 (no secret)
