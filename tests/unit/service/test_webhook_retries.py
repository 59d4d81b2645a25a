"""How long a failed delivery rests."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.webhooks.retries import ceiling, pause

attempts = st.integers(min_value=1, max_value=10_000)


@pytest.mark.parametrize(
    ("attempt", "seconds"), [(1, 10), (2, 20), (3, 40), (9, 2560), (10, 3600), (99, 3600)]
)
def test_the_pause_doubles_until_it_is_long_enough(attempt: int, seconds: float) -> None:
    assert ceiling(attempt, 10, 3600) == seconds


@given(attempts)
def test_a_pause_is_at_least_half_and_at_most_all_of_what_it_may_be(attempt: int) -> None:
    most = ceiling(attempt, 10, 3600)

    # Many: hypothesis lets the dice fall in the same way for each of its examples.
    pauses = [pause(attempt, 10, 3600).total_seconds() for _ in range(20)]
    assert most / 2 <= min(pauses) <= max(pauses) <= most


def test_what_failed_together_is_not_tried_again_together() -> None:
    assert len({pause(5, 10, 3600) for _ in range(20)}) > 1
