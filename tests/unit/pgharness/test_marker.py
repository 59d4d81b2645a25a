"""What the marker `pg` says of a test, the closest first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pgharness.errors import ConfigError
from pgharness.runs.markers import marker


class Item:
    """A test with these markers, the closest first, as pytest yields them."""

    nodeid = "test_x"

    def __init__(self, *marks: pytest.MarkDecorator) -> None:
        self.marks = [decorator.mark for decorator in marks]

    def iter_markers(self, name: str) -> Iterator[pytest.Mark]:
        return (mark for mark in self.marks if mark.name == name)


def asked(*marks: pytest.MarkDecorator) -> Any:
    item: Any = Item(*marks)
    return marker(item, "rollback")


def refusal(*marks: pytest.MarkDecorator) -> str:
    with pytest.raises(ConfigError) as caught:
        asked(*marks)
    return str(caught.value)


def test_no_marker() -> None:
    assert asked() == ("rollback", (), None)


def test_the_closest_wins_and_hosts_add_up() -> None:
    found = asked(
        pytest.mark.pg(reset_sequences=False, allow_hosts=["near"]),
        pytest.mark.pg,
        pytest.mark.pg(reset_sequences=True, isolation="database", allow_hosts=["far"]),
    )

    assert found == ("database", ("far", "near"), False)


def test_an_isolation_that_there_is_not() -> None:
    assert refusal(pytest.mark.pg(isolation="none")) == (
        "pgharness: test_x: @pytest.mark.pg(isolation='none') is not valid.\n"
        "To fix this: use one of: auto, rollback, database"
    )


@pytest.mark.parametrize("value", ["yes", 2, 0.0])
def test_reset_sequences_is_a_boolean(value: object) -> None:
    assert refusal(pytest.mark.pg(reset_sequences=value)) == (
        f"pgharness: test_x: @pytest.mark.pg(reset_sequences={value!r}) is not valid.\n"
        "To fix this: use one of: True, False"
    )


def test_another_argument() -> None:
    assert refusal(pytest.mark.pg(reset=True)) == (
        "pgharness: test_x: @pytest.mark.pg got an unexpected keyword argument 'reset'.\n"
        'To fix this: its arguments are isolation="auto", "rollback" or "database", allow_hosts=[...], '
        "reset_sequences=True"
    )
