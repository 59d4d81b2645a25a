"""The parts of an error, and that it survives the way between processes."""

from __future__ import annotations

import inspect
import pickle
from typing import Any

import pytest

from pgharness import errors
from pgharness.errors import HarnessError


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({}, "pgharness: it failed."),
        ({"cause": "Because."}, "pgharness: it failed.\nBecause."),
        ({"checked": ["a", "b"]}, "pgharness: it failed.\nChecked:\n  - a\n  - b"),
        ({"fix": ["do a"]}, "pgharness: it failed.\nTo fix this: do a"),
        (
            {"cause": "Because.", "checked": ["c"], "fix": ["do a", "do b"]},
            "pgharness: it failed.\nBecause.\nChecked:\n  - c\nTo fix this, either:\n  - do a\n  - do b",
        ),
    ],
)
def test_an_error_says_what_why_and_how_to_fix_it(parts: dict[str, Any], message: str) -> None:
    assert str(HarnessError("it failed.", **parts)) == message


def test_an_error_is_the_same_after_pickling() -> None:
    error = HarnessError("it failed.", cause="Because.", checked=iter(["c"]), fix=iter(["a", "b"]))

    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own

    assert type(again) is HarnessError
    assert vars(again) == vars(error)
    assert str(again) == str(error)


def classes() -> list[type[HarnessError]]:
    found = [value for value in vars(errors).values() if inspect.isclass(value)]
    return [value for value in found if issubclass(value, HarnessError)]


@pytest.mark.parametrize("cls", classes())
def test_every_class_keeps_its_type_in_a_pickle(cls: type[HarnessError]) -> None:
    again = pickle.loads(pickle.dumps(cls("it failed.", fix=["a"])))  # noqa: S301 - our own

    assert (type(again), str(again)) == (cls, "pgharness: it failed.\nTo fix this: a")
