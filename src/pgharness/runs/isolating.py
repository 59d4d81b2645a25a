"""What is being isolated in this process, be there a server yet or not."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING

from pgharness.errors import HarnessError
from pgharness.runs.levels import Phase

if TYPE_CHECKING:
    from pgharness.runs.worker import Worker

Test = Callable[["Worker"], contextlib.AbstractContextManager[None]]


@dataclasses.dataclass(slots=True)
class _Entry:
    """A test, or a fixture of wider scope that is being set up or torn down."""

    enter: Callable[[Worker], Callable[[], None]]
    """Begins it; returns what ends it."""
    leave: Callable[[], None] | None = None


class Isolating:
    """Begins and ends tests and fixtures for the worker; what runs when that is made is begun then."""

    def __init__(self) -> None:
        self.worker: Worker | None = None
        self._entries: list[_Entry] = []
        self._lock = threading.RLock()

    def started(self, worker: Worker) -> None:
        """The server is there, and somebody waits for it already."""
        with self._lock:
            self.worker = worker
            for entry in self._entries:
                entry.leave = entry.enter(worker)

    @contextlib.contextmanager
    def test(self, make: Test) -> Iterator[None]:
        """Isolate the test that ``make`` is for; what is raised at its end is what it must not have done."""

        def enter(worker: Worker) -> Callable[[], None]:
            manager = make(worker)
            manager.__enter__()
            return lambda: _end(manager)

        entry = self._begin(enter)
        try:
            yield
        finally:
            self._end(entry)

    def begin_fixture(self, phase: Phase, around: Collection[str], *, tears_down: bool = False) -> None:
        """A fixture of wider scope than a test is about to be set up, or torn down."""

        def enter(worker: Worker) -> Callable[[], None]:
            worker.begin_fixture(phase, around, tears_down=tears_down)
            return worker.end_fixture

        with self._said_once(tears_down):
            self._begin(enter)

    def end_fixture(self, finish: Callable[[], None] | None = None, *, torn_down: bool = False) -> None:
        """The fixture is set up, or ``torn_down``; ``finish`` will tear it down.

        Raises:
            IsolationError: It has done what its scope cannot have.
        """
        with self._lock:
            entry = self._entries.pop()
        if entry.leave is not None and self.worker is not None:
            with self._said_once(torn_down):
                self.worker.end_fixture(finish, torn_down=torn_down)

    @contextlib.contextmanager
    def _said_once(self, is_teardown: bool) -> Iterator[None]:
        """Where the proxy has ended, the test has said so, and no teardown has to."""
        try:
            yield
        except HarnessError:
            if not (is_teardown and self.worker is not None and self.worker.has_ended):
                raise

    def _begin(self, enter: Callable[[Worker], Callable[[], None]]) -> _Entry:
        entry = _Entry(enter)
        with self._lock:
            self._entries.append(entry)
            if self.worker is not None:
                entry.leave = enter(self.worker)
        return entry

    def _end(self, entry: _Entry) -> None:
        with self._lock:
            self._entries.remove(entry)
        if entry.leave is not None:
            entry.leave()


def _end(manager: contextlib.AbstractContextManager[None]) -> None:
    manager.__exit__(None, None, None)
