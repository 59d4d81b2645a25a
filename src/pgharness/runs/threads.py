"""The threads of a test, and what it has handed to executors, that outlive it."""

from __future__ import annotations

import functools
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import CodeType, FrameType
from typing import Any

from pgharness.errors import IsolationError
from pgharness.runs.origin import is_library, relative

_NO_JOB = ("", None)


class Threads:
    """Knows which test has begun what runs beside it.

    Args:
        running: Tells the running test, empty where none uses the database.
    """

    def __init__(self, running: Callable[[], str]) -> None:
        self._running = running
        self._before: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
        self._outlived: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
        self._submit: Any = None
        self._job = threading.local()
        """What the running thread does for an executor: the test that has asked for it, and the function."""

    def install(self) -> None:
        """Know from now on which test hands a job to an executor."""
        original: Any = ThreadPoolExecutor.submit
        self._submit = original

        @functools.wraps(original)
        def submit(executor: Any, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
            if test := self._running():
                function = self._known(test, function)
            return original(executor, function, *args, **kwargs)

        ThreadPoolExecutor.submit = submit  # type: ignore[method-assign]  # a public name, and given back

    def remove(self) -> None:
        """Give the executors back as they were."""
        if self._submit is not None:
            ThreadPoolExecutor.submit = self._submit  # type: ignore[method-assign]  # the same
            self._submit = None

    def begin(self) -> None:
        """Begin a test: what runs by now is not the test's."""
        self._before = weakref.WeakSet(threading.enumerate())

    def end(self) -> None:
        """End the test: those of its threads that are still at work have outlived it."""
        made = [thread for thread in threading.enumerate() if thread not in self._before]
        self._outlived.update(thread for thread in made if _work(thread) is not None)

    def check(self, test: str) -> None:
        """See that the running thread, which is about to use the database, is not an earlier test's.

        Raises:
            IsolationError: It is, or does what an earlier test has handed to an executor.
        """
        if threading.current_thread() in self._outlived:
            code = _work(threading.current_thread())
            raise IsolationError.thread_of_earlier_test(test, "thread", _named(code))
        began, job = getattr(self._job, "running", _NO_JOB)
        if began and began != test:
            raise IsolationError.thread_of_earlier_test(test, "job", _named(getattr(job, "__code__", None)))

    def _known(self, test: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            before = getattr(self._job, "running", _NO_JOB)
            self._job.running = test, function
            try:
                return function(*args, **kwargs)
            finally:
                self._job.running = before

        return run


def _work(thread: threading.Thread) -> CodeType | None:
    """What the project has ``thread`` do; None for one of a library's, which serves others by turns."""
    frame: FrameType | None = sys._current_frames().get(thread.ident or 0)  # noqa: SLF001 - documented
    outermost: CodeType | None = None
    while frame is not None:
        if frame.f_code.co_filename != threading.__file__:
            outermost = frame.f_code
        frame = frame.f_back
    return outermost if outermost is not None and not is_library(outermost.co_filename) else None


def _named(code: CodeType | None) -> str:
    """``record() at app/jobs.py:12``, for messages."""
    if code is None:
        return ""
    return f"{code.co_name}() at {relative(code.co_filename)}:{code.co_firstlineno}"
