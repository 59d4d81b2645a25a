"""The clones of one worker: the next one is made ready while pytest goes on with something else."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable

from pgharness.runs.run import Provider


class ReadyClones:
    """Fresh clones, and what becomes of used ones.

    Args:
        worker: The worker's name.
        provider: Where clones come from.
        prepare: Called with the name of the next clone as soon as it is there.
    """

    def __init__(self, worker: str, provider: Provider, prepare: Callable[[str], None]) -> None:
        self._worker = worker
        self._provider = provider
        self._prepare = prepare
        self._taker = concurrent.futures.ThreadPoolExecutor(1, "pgharness clones")
        self._next: concurrent.futures.Future[str] | None = None
        """The next clone, once there has been one."""

    def take(self) -> str:
        """A fresh clone.

        Raises:
            HarnessError: It could not be made.
        """
        following, self._next = self._next, None
        return following.result() if following is not None else self._provider.take(self._worker)

    def give_back(self, clone: str) -> None:
        """Have ``clone`` dropped, and the next one made ready; pytest goes on meanwhile."""
        self._next = self._taker.submit(self._exchange, clone)

    def _exchange(self, clone: str) -> str:
        self._provider.give_back(self._worker, clone)
        taken = self._provider.take(self._worker)
        self._prepare(taken)
        return taken

    def drop(self, database: str) -> None:
        """Have ``database``, one of this worker's, dropped."""
        self._provider.give_back(self._worker, database)

    def drop_now(self, clone: str) -> None:
        """Drop ``clone``, if there is one, and wait for it."""
        if clone:
            self._provider.drop(self._worker, clone)

    def discard_next(self) -> None:
        """The clone that was made ready is not what is wanted next."""
        following, self._next = self._next, None
        if following is not None:
            self._provider.give_back(self._worker, following.result())

    def close(self) -> None:
        self._taker.shutdown()
