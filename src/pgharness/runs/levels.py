"""What fixtures of wider scope than a test write: committed, in a database for each scope.

What session fixtures write is in the worker's own database. The first fixture of a package, module or class
that reaches the database gets a clone of that, in which the tests of the scope then share their transactions;
at the end of the scope the worker goes back to what was before. A clone for real commits is made from a copy
of the innermost, so it holds the same rows, with the same ids and times.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection

from pgharness.errors import HarnessError, IsolationError
from pgharness.proxy.control import Control
from pgharness.proxy.core.refusals import Refused
from pgharness.proxy.server.sentences import error_of
from pgharness.runs.clones import ReadyClones
from pgharness.runs.run import Provider


@dataclasses.dataclass(frozen=True, slots=True)
class Phase:
    """A fixture that is set up or torn down.

    ``node`` is the node id of its scope, empty for the session, and ``depth`` how many nodes are around that.
    ``parameter`` tells its instances apart where it has several.
    """

    fixture: str
    node: str
    depth: int = 0
    parameter: str = ""

    def is_within(self, other: Phase) -> bool:
        """Whether its scope is narrower than that of ``other``; one with parameters has a scope for each."""
        return (self.depth, bool(self.parameter)) > (other.depth, bool(other.parameter))


@dataclasses.dataclass(slots=True)
class _Level:
    phase: Phase
    """The first fixture that has reached the database in this scope."""
    database: str
    written: bool = False
    copied: bool = False
    """Whether clones are made from a copy of it."""
    ended: bool = False
    """Whether its fixture, one with parameters, has been torn down."""
    finish: list[Callable[[], None]] = dataclasses.field(default_factory=list)
    """What tears down the fixtures that have reached it."""

    def is_of(self, phase: Phase) -> bool:
        """Whether the fixture of ``phase`` writes here; one with parameters has a database for each."""
        if self.phase.parameter or phase.parameter:
            return self.phase == phase
        return self.phase.node == phase.node


class Levels:
    """The databases of one worker, that of the session first.

    Args:
        worker: The worker's name.
        provider: Where clones come from.
        control: The proxy.
        clones: The clones of the worker.
        database: The worker's own database.
    """

    def __init__(
        self, worker: str, provider: Provider, control: Control, clones: ReadyClones, database: str
    ) -> None:
        self._worker = worker
        self._provider = provider
        self._control = control
        self._clones = clones
        self._levels = [_Level(Phase("", ""), database)]
        self._shared = database
        """In which of them tests share their transactions, as the proxy has been told."""
        self._phases: list[Phase] = []
        self._late: _Level | None = None
        """The level of a narrower scope in which a wider fixture is being set up."""
        self._error: HarnessError | None = None
        """Why there is no database for a fixture."""
        self.spoilt = ""
        """The test that has left rows in the innermost database."""
        control.database = self._wanted

    # -- fixtures ---------------------------------------------------------------------------------------

    def begin(self, phase: Phase, around: Collection[str], *, tears_down: bool = False) -> None:
        """A fixture is about to be set up, or torn down: what is sent from now on belongs to its scope.

        ``around`` holds the node ids of the running test and of all that is around it; where the fixture is
        torn down, of the next test.
        """
        if self._phases:
            self._end_phase()
        self.settle(around, phase if tears_down else None)
        self._phases.append(phase)
        self._control.tell("wide", fixture=phase.fixture)

    def make_way(self, phase: Phase) -> None:
        """Tear down what is narrower than ``phase`` and has written; pytest sets it up again where needed.

        Else a fixture that is first used late would write where its rows are undone too early.
        """
        if self._phases:
            return
        narrower = [level for level in self._levels if level.phase.is_within(phase)]
        if any(level.written for level in narrower):
            for level in reversed(narrower):
                while level.finish:
                    level.finish.pop()()
                if self._top is level:
                    self._pop()

    def end(self, finish: Callable[[], None] | None = None, *, torn_down: bool = False) -> None:
        """The fixture is set up, or ``torn_down``; ``finish`` will tear it down.

        Raises:
            IsolationError: It has kept something that belongs to its connection alone, or has written what a
                fixture of narrower scope can no longer be without.
        """
        try:
            self._end_phase(finish)
        finally:
            phase = self._phases.pop()
            for level in self._levels if torn_down and phase.parameter else ():
                level.ended = level.ended or level.phase == phase
            self._pop_ended()
            if self._phases:
                self._control.tell("wide", fixture=self._phases[-1].fixture)

    def _end_phase(self, finish: Callable[[], None] | None = None) -> None:
        phase = self._phases[-1]
        answer = self._control.ask("end")
        error, self._error = self._error, None
        if error is not None:
            raise error
        late, self._late = self._late, None
        if answer["reached"] and finish is not None:
            self._top.finish.append(finish)
        if answer["wrote"]:
            top = self._top
            if top.copied:
                self._forget_copy(top)
            top.written = True
            if late is not None:
                raise IsolationError.wider_late(phase.fixture, late.phase.fixture)
        for kind, arguments in answer["refusals"]:
            raise error_of(phase.fixture, Refused(kind, *arguments))

    def _wanted(self) -> str:
        """The database for the fixture that reaches for one now; asked by the proxy, in a thread."""
        try:
            return self._database_for(self._phases[-1])
        except HarnessError as error:
            self._error = error
            return ""

    def _database_for(self, phase: Phase) -> str:
        if not any(level.is_of(phase) for level in self._levels):
            self._copy()
            self._levels.append(_Level(phase, self._clones.take()))
        elif not self._top.is_of(phase):
            self._late = self._top
        return self._top.database

    # -- tests --------------------------------------------------------------------------------------------

    def settle(self, around: Collection[str], beneath: Phase | None = None) -> None:
        """End the scopes not ``around`` what comes next; where ``beneath`` is given, only those within it."""
        while (node := self._top.phase.node) and node not in around:
            if beneath is not None and not self._top.phase.is_within(beneath):
                break
            self._pop()
        self._pop_ended()

    def share(self, test: str) -> None:
        """Have the tests that follow share their transactions in the innermost database.

        Raises:
            IsolationError: An earlier test has left rows in it, and what its fixtures have written cannot be
                had without them.
        """
        top = self._top
        if self.spoilt:
            if top.written and not top.copied:
                raise IsolationError.scope_lost(test, top.phase.fixture, self.spoilt)
            old, top.database, self.spoilt = top.database, self._clones.take(), ""
            self._use(top.database)
            self._clones.drop(old)
        elif self._shared != top.database:
            self._use(top.database)

    def take(self) -> str:
        """A clone of the innermost database, for a test with real commits."""
        if any(level.written and not level.copied for level in self._levels):
            self._control.ask("rest")
            self._copy()
        return self._clones.take()

    # -- databases ------------------------------------------------------------------------------------------

    @property
    def _top(self) -> _Level:
        return self._levels[-1]

    def _use(self, database: str) -> None:
        self._control.ask("use", database=database)
        self._shared = database

    def _copy(self) -> None:
        """Have clones made from the innermost database as it stands; nobody may be connected to it."""
        written = next((level for level in reversed(self._levels) if level.written), None)
        if written is not None and not written.copied:
            made = self._provider.copy(self._worker, written.database)
            self._clones.discard_next()
            self._provider.keep(self._worker, made)
            written.copied = True

    def _forget_copy(self, level: _Level) -> None:
        self._clones.discard_next()
        self._provider.forget(self._worker)
        level.copied = False

    def _pop_ended(self) -> None:
        while self._top.ended:
            self._pop()

    def _pop(self) -> None:
        ended = self._levels.pop()
        self.spoilt = ""
        if ended.copied:
            self._forget_copy(ended)
        if self._shared == ended.database:
            self._use(self._top.database)
        self._clones.drop(ended.database)
