"""The asyncio tasks of a test: those that use the database, and those that outlive the test."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Iterable
from typing import Any

from pgharness.errors import IsolationError
from pgharness.runs.origin import is_library, relative

_GRACE_SECONDS = 0.2


def current() -> asyncio.Task[Any] | None:
    """The running task, in any kind of code."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def pending(used: Iterable[asyncio.Task[Any]]) -> list[asyncio.Task[Any]]:
    """Those of the project's own code that are not done, after a moment in which they may end.

    A runner of tests, such as anyio's, is a task as well, and goes on to the next test by design.
    """
    found = [task for task in used if _is_left(task) and task is not current()]
    loops = {task.get_loop() for task in found}
    for loop in loops:
        if not loop.is_running() and not loop.is_closed():
            mine = [task for task in found if task.get_loop() is loop]
            loop.run_until_complete(asyncio.wait(mine, timeout=_GRACE_SECONDS))
    return [task for task in found if _is_left(task)]


class Outlived:
    """The tasks of the project's own code that were not done when the test that began them ended."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._before: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()
        self._tasks: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()

    def begin(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Begin a test, on ``loop`` if that is known; what runs on it by now is not the test's."""
        self._loop = loop
        self._before = weakref.WeakSet(_all(loop))

    def end(self) -> None:
        """End the test."""
        self.add(task for task in _all(self._loop) if task not in self._before and _is_left(task))
        self._loop = None

    def add(self, tasks: Iterable[asyncio.Task[Any]]) -> None:
        self._tasks.update(tasks)

    def check(self, test_id: str, task: asyncio.Task[Any]) -> None:
        """See that ``task``, which is about to use the database, is not one of an earlier test.

        Raises:
            IsolationError: It is.
        """
        if task in self._tasks:
            raise IsolationError.task_of_earlier_test(test_id, name(task))


def _all(loop: asyncio.AbstractEventLoop | None) -> set[asyncio.Task[Any]]:
    return asyncio.all_tasks(loop) if loop is not None and not loop.is_closed() else set()


def name(task: asyncio.Task[Any]) -> str:
    """``job() at app/jobs.py:12``, for messages."""
    code = _code(task)
    coroutine = task.get_coro()
    place = f" at {relative(code.co_filename)}:{code.co_firstlineno}" if code is not None else ""
    return f"{getattr(coroutine, '__qualname__', task.get_name())}(){place}"


def _is_left(task: asyncio.Task[Any]) -> bool:
    code = _code(task)
    return (
        not task.done()
        and not task.get_loop().is_closed()
        and code is not None
        and not is_library(code.co_filename)
    )


def _code(task: asyncio.Task[Any]) -> Any:
    return getattr(task.get_coro(), "cr_code", None)
