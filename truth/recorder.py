"""A pytest plugin: runs each behaviour and its next test, and records how both ended.

It stops the run after a behaviour that left anything but a clean state, and ends the process if a
test does not end: `truth.run` goes on with a process of its own, so that no verdict owes anything
to the behaviour before.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

LIMIT = float(os.environ.get("TRUTH_LIMIT", "10"))
STARTING = 60.0
"""Seconds for what comes before a test: the first one waits for the server of its contender."""
HUNG = 17


def record(behaviour: str, part: str, outcome: str, line: str = "") -> None:
    """Append one line to the record. ``part`` is ``itself`` or ``after``."""
    with Path(os.environ["TRUTH_RECORD"]).open("a", encoding="utf-8") as file:
        file.write(
            json.dumps({"behaviour": behaviour, "part": part, "outcome": outcome, "line": line}) + "\n"
        )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "loops(scope): how long the event loop of the test lives.")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "after" in metafunc.fixturenames:
        metafunc.parametrize("after", _wanted())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    order = {name: number for number, name in enumerate(_wanted())}
    kept = [item for item in items if _of(item)[0] in order]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = sorted(kept, key=lambda item: (order[_of(item)[0]], _of(item)[1] == "after"))


def _wanted() -> list[str]:
    return os.environ["TRUTH_BEHAVIOURS"].split()


def _of(item: pytest.Item) -> tuple[str, str]:
    """The behaviour that a test is about, and the part of it."""
    name: str = item.originalname  # type: ignore[attr-defined]  # a Function has one
    if name == "test_nothing_left":
        return item.callspec.params["after"], "after"  # type: ignore[attr-defined]  # a Function has one
    return name.removeprefix("test_"), "itself"


clean: dict[str, bool] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, Any, Any]:
    behaviour, part = _of(item)
    clean.setdefault(behaviour, True)
    result = yield
    if part == "after" and not clean[behaviour]:
        item.session.shouldstop = "the next behaviour gets a process of its own"
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, Any, Any]:
    with limited(item, STARTING):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    with limited(item, LIMIT):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, Any, Any]:
    with limited(item, LIMIT):
        return (yield)


@contextlib.contextmanager
def limited(item: pytest.Item, seconds: float) -> Iterator[None]:
    """End this process, with a record, if the phase lasts longer."""
    timer = threading.Timer(seconds, _give_up, (*_of(item), seconds))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _give_up(behaviour: str, part: str, seconds: float) -> None:
    record(behaviour, part, "hang", f"has not ended after {seconds:g} s")
    os._exit(HUNG)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    report = yield
    behaviour, part = _of(item)
    if call.excinfo is None:
        if call.when == "call":
            record(behaviour, part, "passed")
        return report
    outcome, line = describe(call.excinfo.value)
    if outcome == "wrong" and call.when != "call":  # an assertion, but none of the behaviour's
        outcome, line = "error", line or f"AssertionError in the test's {call.when}"
    clean[behaviour] = False
    record(behaviour, part, outcome, line)
    return report


def describe(error: BaseException) -> tuple[str, str]:
    """How a test has failed, and the first line of why."""
    for found in _chain(error):
        kinds = {(kind.__module__.partition(".")[0], kind.__name__) for kind in type(found).__mro__}
        if ("pgharness", "HarnessError") in kinds:
            # Without a way out it is an error like any other.
            return ("refused" if getattr(found, "fix", ()) else "error"), _first_line(found)
    if isinstance(error, AssertionError):
        return "wrong", _first_line(error)
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    driver = getattr(error, "orig", None)
    told = (driver.__cause__ or driver) if driver is not None else error
    return "error", f"{type(told).__name__}: {_first_line(told)}"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """``error`` and all that led to it."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        found = waiting.pop(0)
        if found is None or id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        waiting += [found.__cause__, found.__context__, *getattr(found, "exceptions", ())]


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "")
