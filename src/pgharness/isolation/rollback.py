"""Rollback isolation: every engine of the process joins the one transaction of the running test.

Which physical connection a test gets: psycopg's serves every thread and loop. asyncpg's belongs
to one loop: that of the tests, once a loop has been seen to outlive a test; before that, and for
tests whose loop ends with them, the harness's own loop in the background.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Coroutine, Mapping, MutableMapping
from typing import Any

from pgharness.databases.sequences import Restart
from pgharness.errors import HarnessError, IsolationError, IsolationWarning
from pgharness.isolation import tasks, writers
from pgharness.isolation.foreign import Foreign
from pgharness.isolation.link import DriverName, Link
from pgharness.isolation.origin import origin
from pgharness.isolation.running import Test
from pgharness.isolation.target import Target
from pgharness.server.background import background

_CREATOR = "async_creator_fn"


def connect_next(options: MutableMapping[str, Any], creator: Callable[..., Coroutine[Any, Any, Any]]) -> None:
    """Have the next connection with these arguments made by ``creator``, and no later one.

    SQLAlchemy 2.0 hands out the engine's own arguments: what stays in them holds after the test.
    """
    before = options.get(_CREATOR)

    def create(*args: Any, **given: Any) -> Coroutine[Any, Any, Any]:
        if before is None:
            options.pop(_CREATOR, None)
        else:
            options[_CREATOR] = before
        return creator(*args, **given)

    options[_CREATOR] = create


class Rollback:
    """The transactions of the tests of one worker, on its database."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.test: Test | None = None
        self.in_call = False
        """Whether the test's own body runs, rather than its fixtures."""
        self._home: Any = None
        self._direct: Any = None
        self._psycopg: Any = None
        self._tests_loop: asyncio.AbstractEventLoop | None = None
        self._seen_loop: asyncio.AbstractEventLoop | None = None
        self._foreign = Foreign(target, lambda: self.test)
        self.outlived = tasks.Outlived()

    # -- the test -----------------------------------------------------------------------------

    def start(self, test_id: str, restart: Restart | None = None) -> None:
        """Begin a test, or a module or class; inside one that has begun, it sees its data.

        ``restart`` sets the sequences back.

        Raises:
            IsolationError: The data of that module or class is not committed, or is gone.
        """
        parent = self.test
        link = parent.link if parent is not None else None
        if parent is not None and link is not None:
            if link.state.lost:
                raise IsolationError.scope_lost(test_id, parent.id)
            if origins := writers.open_transactions(link.state.stack.savepoints):
                raise IsolationError.scope_open(test_id, parent.id, origins)
        self.test = Test(test_id, parent, restart)
        if link is not None:
            self._use(self.test, link)
        self._foreign.watch()
        self._seen_loop = None

    def finish(self) -> list[HarnessError]:
        """Roll back; what is returned fails the test."""
        test = self.test
        if test is None:
            return []
        for text in test.warnings:
            warnings.warn(text, IsolationWarning, stacklevel=2)
        pending = tasks.pending(test.tasks)
        self.test = test.parent
        errors: list[HarnessError] = list(test.errors)
        if pending:
            self.outlived.add(pending)
            errors.append(IsolationError.task_pending(test.id, map(tasks.name, pending)))
        test.ended = True
        if test.link is not None:
            errors += test.link.finish()
        errors += (
            IsolationError.committed_past(test.id, commit.statement, commit.where)
            for commit in self._foreign.take()
        )
        if self._seen_loop is not None:
            self._tests_loop = None if self._seen_loop.is_closed() else self._seen_loop
            self._seen_loop = None
        return errors

    def disconnect(self) -> None:
        """Close the physical connections; the next test opens what it needs."""
        for link in (self._home, self._direct, self._psycopg):
            if link is not None:
                link.close()
        self._home = self._direct = self._psycopg = None

    def close(self) -> None:
        """Close the connections and leave the drivers as they were."""
        self.disconnect()
        self._foreign.remove()

    # -- links ----------------------------------------------------------------------------------

    def asyncpg_link(self) -> Any:
        """The link of the running test, for an asyncpg connection."""
        test = self._running_test()
        self._note_task(test)
        loop = asyncio.get_running_loop()
        if self.in_call and self._seen_loop is None:
            self._seen_loop = loop
        if test.link is None:
            self._use(test, self._asyncpg_for(loop))
        return self._checked(test, "asyncpg")

    def psycopg_link(self) -> Any:
        """The link of the running test, for a psycopg connection of either kind."""
        test = self._running_test()
        self._note_task(test)
        if test.link is None:
            from pgharness.isolation.psycopg_driver import PsycopgLink  # noqa: PLC0415 - psycopg is optional

            if self._psycopg is None:
                self._psycopg = PsycopgLink(self.target)
            self._use(test, self._psycopg)
        return self._checked(test, "psycopg")

    def _asyncpg_for(self, loop: asyncio.AbstractEventLoop) -> Any:
        from pgharness.isolation.asyncpg_driver import AsyncpgLink  # noqa: PLC0415 - loads asyncpg

        if loop is not self._tests_loop:
            if self._home is None:
                self._home = AsyncpgLink(self.target, background.loop)
            return self._home
        if self._direct is None or self._direct.loop is not loop:
            if self._direct is not None:
                self._direct.close()
            self._direct = AsyncpgLink(self.target, loop)
        return self._direct

    def _use(self, test: Test, link: Link) -> None:
        test.link = link
        link.start(test)

    def _checked(self, test: Test, driver: DriverName) -> Link:
        link = test.link
        assert link is not None  # noqa: S101 - set by the callers, for the type checker
        if link.driver != driver:
            raise IsolationError.two_drivers(test.id, link.driver, driver, origin())
        return link

    def _note_task(self, test: Test) -> None:
        task = tasks.current()
        if task is not None and task not in test.tasks:
            self.outlived.check(test.id, task)
            test.tasks.add(task)

    def _running_test(self) -> Test:
        if self.test is None:
            raise IsolationError.outside_test(origin(), "")
        return self.test

    # -- joining ------------------------------------------------------------------------------------

    def join(
        self, driver: str, *, is_async: bool, options: MutableMapping[str, Any], user: str | None
    ) -> Any:
        """A virtual connection for an engine; for an async driver the way to make one, in ``options``.

        ``options`` are the arguments for the driver's ``connect``. Returns the connection, or None if
        the driver is to go on with the changed ``options``.

        Raises:
            IsolationError: No test runs, or the engine cannot share the test's transaction.
        """
        test = self._running_test()
        if driver not in ("asyncpg", "psycopg"):
            raise IsolationError.unknown_driver(test.id, driver, origin())
        if user is not None and user != self.target.user:
            raise IsolationError.second_role(test.id, user, self.target.user, origin())
        if driver == "asyncpg":
            connect_next(options, self._connect_asyncpg)
            return None
        from pgharness.isolation import psycopg_virtual  # noqa: PLC0415 - psycopg is optional

        if not is_async:
            return psycopg_virtual.VirtualConnection(self.psycopg_link, dict(options))
        connect_next(options, self._connect_async_psycopg)
        return None

    async def _connect_asyncpg(self, *_: Any, **options: Any) -> Any:
        from pgharness.isolation.asyncpg_virtual import VirtualConnection  # noqa: PLC0415 - loads asyncpg

        settings: Mapping[str, str] = options.get("server_settings") or {}
        link = self.asyncpg_link()
        if settings:
            await link.reach(lambda: link.know_defaults(settings))
        return VirtualConnection(
            self.asyncpg_link, {k: str(v) for k, v in settings.items()}, options.get("record_class")
        )

    async def _connect_async_psycopg(self, *_: Any, **options: Any) -> Any:
        from pgharness.isolation.psycopg_virtual import AsyncVirtualConnection  # noqa: PLC0415 - optional

        return AsyncVirtualConnection(self.psycopg_link, options)
