"""One worker process and its database: what begins and ends each test that asks for it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import sys
from collections.abc import Callable, Collection, Iterator
from typing import Any, Literal

from pgharness.config import Config
from pgharness.config.options import DEFAULT_ROLE
from pgharness.errors import HarnessError, IsolationError
from pgharness.proxy.control import Control
from pgharness.proxy.core.refusals import Refused
from pgharness.proxy.server.sentences import error_of
from pgharness.runs import tasks
from pgharness.runs.clones import ReadyClones
from pgharness.runs.levels import Levels, Phase
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
        control.ask("use", database=database.name)
        self._clones = ReadyClones(name, provider, self._prepare)
        self.levels = Levels(name, provider, control, self._clones, database.name)
        control.claim = self._claim
        self._tests: list[_Running] = []
        """The running test."""
        self._fixtures: list[_Fixture] = []
        """The fixtures of wider scope that are being set up or torn down, one in the other."""

    def _claim(self) -> str:
        """Have nobody else change what all databases share, until the test has ended; asked by the proxy."""
        with contextlib.suppress(HarnessError):  # what is not kept apart fails by itself, or does not
            self.provider.claim(self.name)
        return ""

    def _prepare(self, clone: str) -> None:
        self._control.tell("prepare", database=clone)

    # -- tests --------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def test(  # noqa: PLR0913 - all but two by name
        self,
        test_id: str,
        isolation: Isolation,
        *,
        around: Collection[str] = (),
        loop: asyncio.AbstractEventLoop | None = None,
        reset_sequences: bool = False,
        has_failed: Callable[[], bool] = lambda: False,
        refused: Callable[[IsolationError], None] | None = None,
    ) -> Iterator[None]:
        """Isolate one test; raises at its end what the test must not have done.

        ``around`` holds the node ids of what is around the test: what fixtures of other scopes have written
        is undone first. ``loop`` is what it runs on, if that is known and outlives it.
        ``reset_sequences`` sets the sequences to where they stood when the database was cloned, or when the
        fixtures of wider scope had written.
        Where the test ``has_failed`` already, what may be a mere consequence of that is not raised.
        ``refused`` is called in place of that with what only real commits can show, if there is any.
        """
        self.levels.settle(around)
        running = _Running(test_id, isolation, reset_sequences)
        self._begin(running)
        self.places.outlived.begin(loop)
        self.places.threads.begin()
        self._tests.append(running)
        try:
            yield
        finally:
            self.places.outlived.end()
            self.places.threads.end()
            self._tests.pop()
            errors = self._end(running)
            if running.claimed:
                self._clones.drop_now(running.clone)
                self.provider.restore(self.name, running.claimed)
            elif running.clone:
                self._clones.give_back(running.clone)
            elif any(isinstance(error, IsolationError) and error.leaked_rows for error in errors):
                self.levels.spoilt = test_id
        needing = (e for e in errors if isinstance(e, IsolationError) and e.needs_real_commits)
        if refused is not None and (error := next(needing, None)) is not None:
            refused(error)
            return
        if has_failed():
            errors = [error for error in errors if not getattr(error, "secondary", False)]
        if errors:
            raise errors[0]

    def _begin(self, running: _Running) -> None:
        if running.isolation == "database":
            running.clone = self.levels.take()
        else:
            self.levels.share(running.id)
        self.places.begin(running.id, running.isolation)
        self._control.tell(
            "begin",
            test=running.id,
            isolation=running.isolation,
            database=running.clone,
            reset=running.reset_sequences,
            frozen=any(name in sys.modules for name in _CLOCKS),
        )

    def _end(self, running: _Running) -> list[HarnessError]:
        errors: list[HarnessError] = []
        pending = tasks.pending(self.places.tasks) if running.isolation == "rollback" else []
        if pending:
            self.places.outlived.add(pending)
            errors.append(IsolationError.task_pending(running.id, map(tasks.name, pending)))
        report = self._control.ask("end", held=self.places.held.processes())
        self.places.begin("", "")
        running.claimed = report.get("claimed", [])
        return [*(error_of(running.id, Refused(kind, *args)) for kind, args in report["refusals"]), *errors]

    def refusals(self) -> list[IsolationError]:
        """What the running test has been refused so far."""
        if not self._tests:
            return []
        found = self._control.ask("refusals")["refusals"]
        return [error_of(self._tests[-1].id, Refused(kind, *arguments)) for kind, arguments in found]

    def denied(self) -> list[str]:
        """What has been denied to the role of the app that a superuser may, since this was last asked."""
        found: list[str] = self._control.ask("denied")["denied"]
        return found

    def refuse(self, test_id: str) -> None:
        """``test_id`` runs, and has not asked for the database; empty where none does."""
        self._control.tell("refuse", test=test_id)

    # -- fixtures of wider scope ------------------------------------------------------------------------

    def begin_fixture(self, phase: Phase, around: Collection[str], *, tears_down: bool = False) -> None:
        """A fixture of wider scope than a test is about to be set up, or torn down.

        ``around`` is that of `Levels.begin`.
        """
        running = self._tests[-1] if self._tests else None
        fixture = _Fixture(phase)
        if self._fixtures:
            fixture.is_late = self._fixtures[-1].is_late
        elif running is not None:
            fixture.is_late = not self._control.ask("untouched")["untouched"]
        if fixture.is_late:
            self._control.ask("watch")
        elif running is not None and not self._fixtures:
            self._control.ask("end")
            if running.clone:
                self._clones.drop(running.clone)
            fixture.paused = running
        if not fixture.is_late:
            self.levels.begin(phase, around, tears_down=tears_down)
        self._fixtures.append(fixture)

    def make_way(self, phase: Phase) -> None:
        """A fixture is about to be set up before which those of narrower scope are torn down."""
        if not (self._tests or self._fixtures):
            self.levels.make_way(phase)

    def end_fixture(self, finish: Callable[[], None] | None = None, *, torn_down: bool = False) -> None:
        """The fixture is set up, or ``torn_down``; ``finish`` will tear it down.

        Raises:
            IsolationError: It has done what its scope cannot have.
        """
        fixture = self._fixtures.pop()
        if fixture.is_late:
            if self._control.ask("watch")["wrote"] and not torn_down:
                raise IsolationError.wider_in_test(self._tests[-1].id, fixture.phase.fixture)
            return
        try:
            self.levels.end(finish, torn_down=torn_down)
        finally:
            if fixture.paused is not None:
                self._begin(fixture.paused)

    @property
    def has_ended(self) -> bool:
        """Whether the proxy has ended though nobody has closed it."""
        return self._control.has_ended

    def close(self) -> None:
        self._clones.close()
        self.places.remove()


@dataclasses.dataclass(slots=True)
class _Running:
    """A test that runs. ``clone`` is its database where it has real commits."""

    id: str
    isolation: Isolation
    reset_sequences: bool
    clone: str = ""
    claimed: list[str] = dataclasses.field(default_factory=list)
    """Its statements that have changed what all databases share."""


@dataclasses.dataclass(slots=True)
class _Fixture:
    """A fixture of wider scope that is being set up or torn down."""

    phase: Phase
    is_late: bool = False
    """Whether the running test has used the database before."""
    paused: _Running | None = None
    """The test that goes on afterwards."""
