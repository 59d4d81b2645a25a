"""One worker process and its database: what begins and ends each test that asks for it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any, Literal

from pgharness.config import Config
from pgharness.config.options import DEFAULT_ROLE
from pgharness.errors import HarnessError, IsolationError
from pgharness.proxy.control import Control
from pgharness.proxy.core.refusals import Refused
from pgharness.proxy.server.sentences import error_of
from pgharness.runs import tasks
from pgharness.runs.places import Places
from pgharness.runs.run import Provider, ServerFacts
from pgharness.server.base import Address

Isolation = Literal["rollback", "database"]
_CLOCKS = ("freezegun", "time_machine")


class Worker:
    """The worker's side of the harness.

    Args:
        name: ``main``, or xdist's name of the worker.
        config: The resolved options.
        provider: Where databases come from.
        control: The proxy of this process.
        options: What the proxy is told first, besides what is known here.
    """

    def __init__(
        self, name: str, config: Config, provider: Provider, control: Control, options: dict[str, Any]
    ) -> None:
        self.name = name
        self.config = config
        self.provider = provider
        self._control = control
        self.places = Places(control)
        self.places.install()  # before the proxy answers somebody who waits for it already
        control.launch()  # it starts while the server does
        try:
            database = provider.database(name)
        except BaseException:
            self.places.remove()
            raise
        self.server: ServerFacts = database.server
        self.places.clock = self.server.clock
        self.database = database.name
        """The name by which clients know the database of the tests."""
        self._shared = database.name
        """The database in which tests share a transaction, by its name on the server."""
        self._is_stale = False
        """Whether it holds other rows than the next test is to begin with."""
        address = self.server.address
        owner = self.server.owner or address
        self.address = Address(control.host, control.port, config.role, control.password, address.database)
        """What clients connect to: the proxy."""
        control.configure(
            {
                "server": {
                    "host": address.host,
                    "port": address.port,
                    "user": address.user,
                    "password": address.password,
                    "tls": not self.server.owned,
                },
                "database": self.database,
                "owner": {"user": owner.user, "password": owner.password},
                "user": config.role,
                "role": owner.user if config.role == DEFAULT_ROLE else config.role,
                "strict": True,
                "clock": self.server.clock,
                "lock_timeout": config.lock_timeout,
                **options,
            }
        )
        control.ask("use", database=self._shared)
        self._taker = concurrent.futures.ThreadPoolExecutor(1, "pgharness clones")
        self._next: concurrent.futures.Future[str] | None = None
        """The clone of the next test with real commits, once there has been one."""
        self._tests: list[str] = []
        """The running test, and the modules and classes around it that are rolled back."""
        self._scopes: list[str] = []
        """The modules and classes with data that is committed, one in the other."""
        self._making = ""
        """The clone in which such data is being made."""

    # -- tests --------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def test(  # noqa: PLR0913 - all but two by name
        self,
        test_id: str,
        isolation: Isolation,
        *,
        loop: asyncio.AbstractEventLoop | None = None,
        reset_sequences: bool = False,
        has_failed: Callable[[], bool] = lambda: False,
        refused: Callable[[IsolationError], None] | None = None,
    ) -> Iterator[None]:
        """Isolate one test; raises at its end what the test must not have done.

        ``loop`` is what it runs on, if that is known and outlives it.
        ``reset_sequences`` sets the sequences to where they stood when the database was cloned, or
        when the data of the test's module or class had been made.
        Where the test ``has_failed`` already, what may be a mere consequence of that is not raised.
        ``refused`` is called in place of that with what only real commits can show, if there is any.
        """
        self._keep()
        clone = self._take() if isolation == "database" else ""
        self._begin(test_id, isolation, clone, reset=reset_sequences)
        self.places.outlived.begin(loop)
        self.places.threads.begin()
        self._tests.append(test_id)
        try:
            yield
        finally:
            self.places.outlived.end()
            self.places.threads.end()
            self._tests.pop()
            errors = self._end(test_id, isolation)
            if clone:
                self._give_back(clone)
            elif any(isinstance(error, IsolationError) and error.leaked_rows for error in errors):
                self._is_stale = True
        needing = (e for e in errors if isinstance(e, IsolationError) and e.needs_real_commits)
        if refused is not None and (error := next(needing, None)) is not None:
            refused(error)
            return
        if has_failed():
            errors = [error for error in errors if not getattr(error, "secondary", False)]
        if errors:
            raise errors[0]

    def _begin(self, test_id: str, isolation: Isolation, clone: str = "", *, reset: bool = False) -> None:
        if isolation == "rollback" and self._is_stale:
            self._share_another()
        self.places.begin(test_id, isolation)
        frozen = any(name in sys.modules for name in _CLOCKS)
        self._control.tell(
            "begin", test=test_id, isolation=isolation, database=clone, reset=reset, frozen=frozen
        )

    def _end(self, test_id: str, isolation: Isolation) -> list[HarnessError]:
        errors: list[HarnessError] = []
        pending = tasks.pending(self.places.tasks) if isolation == "rollback" else []
        if pending:
            self.places.outlived.add(pending)
            errors.append(IsolationError.task_pending(test_id, map(tasks.name, pending)))
        report = self._control.ask("end")
        self.places.begin(self._tests[-1] if self._tests else "", "rollback" if self._tests else "")
        return [*(error_of(test_id, Refused(kind, *args)) for kind, args in report["refusals"]), *errors]

    def refusals(self) -> list[IsolationError]:
        """What the running test has been refused so far."""
        if not self._tests:
            return []
        found = self._control.ask("refusals")["refusals"]
        return [error_of(self._tests[-1], Refused(kind, *arguments)) for kind, arguments in found]

    def denied(self) -> list[str]:
        """What has been denied to the role of the app that a superuser may, since this was last asked."""
        found: list[str] = self._control.ask("denied")["denied"]
        return found

    def refuse(self, test_id: str) -> None:
        """``test_id`` runs, and has not asked for the database; empty where none does."""
        self._control.tell("refuse", test=test_id)

    # -- data of modules and classes ------------------------------------------------------------------

    @contextlib.contextmanager
    def scope(self, name: str, isolation: Isolation) -> Iterator[None]:
        """Make data for all tests of the module or class ``name``, undone after the last of them.

        With ``isolation="database"`` the data is committed, and what its tests get are clones of the
        database with it. Their own isolation may then be either.
        """
        if isolation == "rollback":
            with self.test(name, "rollback", reset_sequences=self.config.reset_sequences == "on"):
                yield
            return
        self._keep()
        self._scopes.append(name)
        self.note_change()
        try:
            yield
        finally:
            if self._making:
                self._end(name, "database")
                self._give_back(self._making)
                self._making = ""
            self._scopes.pop()
            self._discard_next()
            self.provider.forget(self.name, len(self._scopes) + 1)
            self._is_stale = True

    def note_change(self) -> None:
        """A fixture of wider scope than a test is about to be set up: its data belongs to the scope."""
        if self._scopes and not self._tests and not self._making:
            self._making = self._take()
            self._begin(self._scopes[-1], "database", self._making)

    def _keep(self) -> None:
        """Have the tests of the scope begin with what its fixtures have made."""
        if self._making:
            made, self._making = self._making, ""
            self._end(self._scopes[-1], "database")
            self._discard_next()
            self.provider.keep(self.name, len(self._scopes), made)
            self._is_stale = True

    # -- clones -----------------------------------------------------------------------------------------

    def _take(self) -> str:
        """A fresh clone.

        Raises:
            HarnessError: It could not be made.
        """
        following, self._next = self._next, None
        return following.result() if following is not None else self.provider.take(self.name)

    def _give_back(self, clone: str) -> None:
        """Have ``clone`` dropped, and the next one made ready; pytest goes on meanwhile."""
        self._next = self._taker.submit(self._exchange, clone)

    def _exchange(self, clone: str) -> str:
        self.provider.give_back(self.name, clone)
        taken = self.provider.take(self.name)
        self._control.tell("prepare", database=taken)
        return taken

    def _discard_next(self) -> None:
        """The clone that was made ready is not what the next test is to have."""
        following, self._next = self._next, None
        if following is not None:
            self.provider.give_back(self.name, following.result())

    def _share_another(self) -> None:
        """Have tests share a transaction in a fresh clone."""
        self._is_stale = False
        old, self._shared = self._shared, self._take()
        self._control.ask("use", database=self._shared)
        self.provider.give_back(self.name, old)

    def close(self) -> None:
        self._taker.shutdown()
        self.places.remove()
