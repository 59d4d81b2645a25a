"""Under ``pg_isolation = auto``: a test that a shared transaction cannot show the truth runs again.

The first attempt is a whole ``pytest_runtest_protocol`` with rollback, whose reports are held back until the
test's own fixtures have been torn down. Where the proxy has refused something by then, the reports are
dropped and the whole protocol runs again with real commits; else they are given as if nothing had been.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest

from pgharness.errors import HarnessError, IsolationError
from pgharness.runs import database_use
from pgharness.runs.before import Before
from pgharness.runs.harness import Harness
from pgharness.runs.needing import Needing

REAL_COMMITS: pytest.StashKey[str] = pytest.StashKey()
"""Why a test has real commits that has not asked for them: what rollback could not show."""
_HELD = frozenset(("pytest_runtest_logreport", "pytest_runtest_logfinish", "pytest_warning_recorded"))
_WHY = "This test has real commits, as in production. With rollback it was stopped: {}"
_AGAIN = "pgharness: this attempt is dropped, for the test needs real commits"


def isolation_of(item: pytest.Item, wanted: str) -> str:
    """How ``item``, which has ``wanted``, is isolated in this attempt."""
    if wanted != "auto":
        return wanted
    return "database" if item.stash.get(REAL_COMMITS, "") else "rollback"


class _First:
    """A first attempt: what is held back of it, and why it is dropped, if it is.

    Args:
        item: The test.
        look: Calls `refused` if the proxy has refused something.
    """

    def __init__(self, item: pytest.Item, look: Callable[[], None]) -> None:
        self.item = item
        self._look = look
        self.before = Before(item)
        self.reason: IsolationError | None = None
        self._held: list[tuple[str, dict[str, Any]]] = []
        self._release: Callable[[], None] | None = None

    def hold(self) -> None:
        manager = self.item.config.pluginmanager
        self._release = manager.add_hookcall_monitoring(self._called, _nothing)

    def _called(self, name: str, implementations: Any, arguments: Any) -> None:
        if name in _HELD:
            self._held.append((name, dict(arguments)))
            implementations.clear()  # pluggy's own copy, for this one call
        elif name == "pytest_runtest_makereport" and arguments["call"].excinfo is not None:
            self._look()
            if self.reason is not None:  # a failure that nobody else is to make anything of
                implementations[:] = filter(_is_known, implementations)

    def drop(self) -> None:
        """Let go of what is held back, unseen."""
        self._let_go()
        self._held.clear()

    def stand(self) -> None:
        """Give what has been held back, and hold back no more."""
        self._let_go()
        held, self._held = self._held, []
        for name, arguments in held:
            hook = getattr(self.item.ihook, name)
            if name == "pytest_warning_recorded":
                hook.call_historic(kwargs=arguments)
            else:
                hook(**arguments)

    def _let_go(self) -> None:
        release, self._release = self._release, None
        if release is not None:
            release()

    def refused(self, error: IsolationError) -> None:
        """Only real commits can show what the test has asked for: ``error`` says why."""
        self.reason = self.reason or error


class Attempts:
    """The hooks around attempts.

    Args:
        harness: The harness of this process.
        needing: The tests that are known to need real commits.
    """

    def __init__(self, harness: Harness, needing: Needing) -> None:
        self._harness = harness
        self._needing = needing
        self._first: _First | None = None
        self._is_second = False

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        if self._is_second or not self._may_run_again(item):
            return (yield)
        if known := self._needing.reason(item.nodeid):
            item.stash[REAL_COMMITS] = known
            return (yield)
        first = self._first = _First(item, self._look)
        first.hold()
        try:
            result = yield
        except BaseException:
            first.stand()
            raise
        finally:
            self._first = None
        if first.reason is None:
            first.stand()
            return result
        first.drop()
        return self._again(first, nextitem)

    def _may_run_again(self, item: pytest.Item) -> bool:
        if not item.stash.get(database_use.ISOLATED, False):
            return False
        return database_use.requested(item, self._harness.config.isolation).isolation == "auto"

    def _again(self, first: _First, nextitem: pytest.Item | None) -> object:
        item = first.item
        first.before.restore()
        assert first.reason is not None  # noqa: S101 - the caller's attempt is dropped for it
        item.stash[REAL_COMMITS] = first.reason.failed.removeprefix(f"{item.nodeid}: ")

        def quiet(name: str, implementations: Any, _: Any) -> None:
            if name == "pytest_runtest_logstart":
                implementations.clear()  # it has been announced

        release = item.config.pluginmanager.add_hookcall_monitoring(quiet, _nothing)
        self._is_second = True
        try:
            return item.ihook.pytest_runtest_protocol(item=item, nextitem=nextitem)
        finally:
            self._is_second = False
            release()

    def refused(self, error: IsolationError) -> None:
        """The running attempt has been refused something that real commits would show."""
        if self._first is not None:
            self._first.refused(error)

    # -- the first attempt ----------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        handle = getattr(getattr(item, "obj", None), "hypothesis", None)
        if self._first is None or handle is None:
            return (yield)
        original = handle.inner_test
        handle.inner_test = self._not_to_be_shrunk(original)
        try:
            return (yield)
        finally:
            handle.inner_test = original

    def _not_to_be_shrunk(self, inner: Callable[..., Any]) -> Callable[..., Any]:
        """``inner``, a test of Hypothesis, which skips where it is refused something."""

        @contextlib.contextmanager
        def skipping() -> Iterator[None]:
            try:
                yield
            except Exception:
                self._look()
                if self._first is not None and self._first.reason is not None:
                    pytest.skip(reason=_AGAIN)
                raise

        if inspect.iscoroutinefunction(inner):

            async def run(*args: Any, **kwargs: Any) -> Any:
                with skipping():
                    return await inner(*args, **kwargs)

            return run

        def run_plainly(*args: Any, **kwargs: Any) -> Any:
            with skipping():
                return inner(*args, **kwargs)

        return run_plainly

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item, nextitem: pytest.Item | None) -> None:
        """Tear down the test's own fixtures, and decide. What is wider stays for a second attempt."""
        first = self._first
        if first is None or first.item is not item:
            return
        state = item.session._setupstate  # noqa: SLF001 - no public way to tear down a test and not its module
        failed: list[Exception] = []
        try:
            state.teardown_exact(_Sibling(item))  # type: ignore[arg-type]  # all that is asked of it
        except Exception as error:  # noqa: BLE001 - told when it is known whether it counts
            failed.append(error)
        if first.reason is not None:
            pytest.skip(reason=_AGAIN)
        first.stand()
        is_last = bool(item.session.shouldfail or item.session.shouldstop)  # not known when this was called
        if not (failed or is_last):
            return  # pytest goes on with what is wider
        try:
            state.teardown_exact(None if is_last else nextitem)
        except Exception as error:  # noqa: BLE001 - the same
            failed.append(error)
        if len(failed) > 1:
            raise ExceptionGroup(f"errors while tearing down {item.nodeid}", failed)
        if failed:
            raise failed[0]

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if self._first is not None and self._first.item is item and not report.passed:
            self._look()
            if self._first.reason is not None:
                _skip(report, call)
        elif reason := item.stash.get(REAL_COMMITS, ""):
            self._needing.note(report, reason)
            if report.failed:
                report.sections.append(("pgharness", _WHY.format(reason)))
        return report

    def _look(self) -> None:
        """Know whether the proxy has refused something in the running attempt."""
        worker = self._harness.worker
        if worker is not None:
            with contextlib.suppress(HarnessError):  # it has ended, which is said elsewhere
                for error in worker.refusals():
                    if error.needs_real_commits:
                        self.refused(error)


class _Sibling:
    """Stands for the next item of the same collector, so that pytest tears down the item alone."""

    def __init__(self, item: pytest.Item) -> None:
        self._chain: list[Any] = [*item.listchain()[:-1], self]

    def listchain(self) -> list[Any]:
        return self._chain


def _skip(report: pytest.TestReport, call: pytest.CallInfo[None]) -> None:
    """Make a skip of a failure, so that nobody runs the test again or opens a debugger for it."""
    report.outcome = "skipped"
    report.longrepr = (str(report.location[0]), report.location[1] or 0, _AGAIN)
    if call.excinfo is not None:
        skipped: Any = pytest.skip.Exception  # reason=_AGAIN
        call.excinfo = pytest.ExceptionInfo.from_exception(skipped(_AGAIN).with_traceback(call.excinfo.tb))


def _is_known(implementation: Any) -> bool:
    """Whether it is pytest's own implementation of a hook, or one of this package."""
    return str(implementation.function.__module__).startswith(("_pytest.", "pgharness."))


def _nothing(*_: object) -> None:
    """Nothing is to be done after a call."""
