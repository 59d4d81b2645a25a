"""The databases of the scopes of one worker, without a server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pgharness.errors import IsolationError
from pgharness.runs.levels import Levels, Phase

SESSION = Phase("of_session", "")
MODULE = Phase("of_module", "test_a.py", 2)
CLASS = Phase("of_class", "test_a.py::TestA", 3)
AROUND = ("test_a.py", "test_a.py::TestA")


class Parts:
    """What `Levels` works with: it notes what is asked of each, and answers for the proxy."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.wrote = True
        self.refusals: list[list[Any]] = []
        self._number = 0
        self.database: Callable[[], str] = str
        self.levels = Levels("gw0", self, self, self, "own")  # type: ignore[arg-type]  # it is all of them

    def _new(self, kind: str) -> str:
        self._number += 1
        return f"{kind}{self._number}"

    # the proxy

    def tell(self, do: str, **_: Any) -> None:
        pass

    def ask(self, do: str, **order: Any) -> dict[str, Any]:
        if do == "use":
            self.log.append(f"use {order['database']}")
        return {"wrote": self.wrote, "reached": True, "refusals": self.refusals}

    # the provider

    def copy(self, _: str, name: str) -> str:
        made = self._new("copy")
        self.log.append(f"{made} of {name}")
        return made

    def keep(self, _: str, name: str) -> None:
        self.log.append(f"keep {name}")

    def forget(self, _: str) -> None:
        self.log.append("forget")

    # the clones

    def take(self) -> str:
        return self._new("clone")

    def drop(self, name: str) -> None:
        self.log.append(f"drop {name}")

    def discard_next(self) -> None:
        pass

    # a fixture

    def set_up(self, phase: Phase, *, wrote: bool = True) -> str:
        """Set up a fixture that reaches the database; the name of that which it is given."""
        self.wrote = wrote
        self.levels.begin(phase, AROUND)
        name = self.database()
        self.levels.end(lambda: self.log.append(f"tear down {phase.fixture}"))
        return name

    def taken(self) -> list[str]:
        log, self.log = self.log, []
        return log


@pytest.fixture
def parts() -> Parts:
    return Parts()


def test_each_scope_has_a_database_made_from_that_around_it(parts: Parts) -> None:
    found = [parts.set_up(phase) for phase in (SESSION, MODULE, CLASS)]

    assert found == ["own", "clone2", "clone4"]
    assert parts.taken() == ["copy1 of own", "keep copy1", "copy3 of clone2", "keep copy3"]


def test_a_scope_that_has_not_written_is_not_copied(parts: Parts) -> None:
    parts.set_up(SESSION, wrote=False)
    parts.set_up(MODULE, wrote=False)
    parts.levels.take()

    assert parts.taken() == []


def test_a_database_is_copied_anew_where_its_scope_has_written_again(parts: Parts) -> None:
    parts.set_up(SESSION)
    parts.levels.take()
    parts.levels.take()
    parts.set_up(Phase("late", ""))
    parts.levels.take()

    assert parts.taken() == ["copy1 of own", "keep copy1", "forget", "copy4 of own", "keep copy4"]


def test_at_the_end_of_a_scope_there_is_what_was_before(parts: Parts) -> None:
    parts.set_up(SESSION)
    parts.set_up(MODULE)
    parts.levels.share("test_x")
    parts.taken()

    parts.levels.settle(("test_b.py",))
    parts.levels.share("test_y")

    assert parts.taken() == ["use own", "drop clone2"]


def test_narrower_fixtures_that_have_written_make_way_and_others_stay(parts: Parts) -> None:
    parts.set_up(MODULE)
    parts.set_up(CLASS)
    parts.taken()

    parts.levels.make_way(MODULE)
    assert parts.taken()[0] == "tear down of_class"
    parts.set_up(CLASS, wrote=False)
    parts.taken()
    parts.levels.make_way(MODULE)
    assert parts.taken() == []


def test_a_wider_fixture_inside_a_narrower_one_is_refused_if_it_writes(parts: Parts) -> None:
    parts.set_up(MODULE)

    assert parts.set_up(SESSION, wrote=False) == "clone1"
    with pytest.raises(IsolationError, match="'of_session' has written after 'of_module'"):
        parts.set_up(SESSION)


def test_what_a_test_has_left_goes_with_the_database(parts: Parts) -> None:
    parts.set_up(SESSION)
    parts.levels.take()
    parts.taken()

    parts.levels.spoilt = "test_x"
    parts.levels.share("test_y")

    assert parts.taken() == ["use clone3", "drop own"]
    assert parts.levels.spoilt == ""


def test_data_of_which_there_is_no_copy_is_lost_with_what_a_test_has_left(parts: Parts) -> None:
    parts.set_up(MODULE)
    parts.levels.spoilt = "test_x"

    for _ in range(2):
        with pytest.raises(IsolationError) as raised:
            parts.levels.share("test_y")
        assert raised.value.failed == (
            "test_y: what fixture 'of_module' has made cannot be had without what test_x has left."
        )
    parts.levels.settle(())
    parts.levels.share("test_z")


def test_each_instance_of_a_fixture_with_parameters_has_a_database(parts: Parts) -> None:
    instances = [Phase("db", "test_a.py", 2, f"db[{number}]") for number in range(2)]
    parts.set_up(SESSION, wrote=False)

    assert parts.set_up(instances[0]) == "clone1"
    parts.levels.begin(instances[0], AROUND, tears_down=True)
    parts.levels.end(torn_down=True)
    assert parts.taken() == ["drop clone1"]
    assert parts.set_up(instances[1]) == "clone2"
