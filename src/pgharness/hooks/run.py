"""The hooks of one run: when the server is started, which tests are isolated, and what is said at the end."""

from __future__ import annotations

import inspect
import signal
from collections.abc import Generator
from typing import Any

import pytest

from pgharness.errors import HarnessError
from pgharness.fixtures.clients import with_lifespan
from pgharness.fixtures.live import add_log
from pgharness.hooks.wide import WideFixtures
from pgharness.report import denied, terminal
from pgharness.runs import database_use
from pgharness.runs.harness import FAILED, Harness, usage_error
from pgharness.tiers import tier_of
from pgharness.web.app import load


class Hooks:
    """Registered where the harness is adopted.

    Args:
        harness: The harness of this process.
    """

    def __init__(self, harness: Harness) -> None:
        self._harness = harness
        self._overwritten: list[str] = []
        """The variables of pg_env that a conftest or a module has set since."""

    def pytest_configure(self, config: pytest.Config) -> None:
        config.addinivalue_line(
            "markers",
            'pg(isolation="auto"|"rollback"|"database", allow_hosts=[...], reset_sequences=True): how the '
            "changes of this test to the database are undone, what it may reach besides PostgreSQL, and "
            "whether its ids begin where the template's end (pgharness).",
        )
        config.pluginmanager.register(WideFixtures(self._harness.isolating), "pgharness-wide-fixtures")
        if not hasattr(config, "workerinput") and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, _interrupt)

    # -- collection -------------------------------------------------------------------------------------

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        harness = self._harness
        tiers, root = harness.config.tiers, harness.config.root
        try:
            for item in items:
                tier = tier_of(item.path, root, tiers)
                harness.is_foretold |= bool(database_use.asks(item)) or tier in ("integration", "api")
                database_use.requested(item, harness.config.isolation)
                if tier != "unit" and hasattr(item, "fixturenames"):
                    item.stash[database_use.ISOLATED] = True
                    database_use.isolate(item)
            if any(item.stash.get(database_use.ISOLATED, False) for item in items):
                harness.attempt(config)
        except HarnessError as error:
            items.clear()
            harness.abort(error)

    @pytest.hookimpl(tryfirst=True)  # before the terminal reports on it, and xdist to the controller
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        config, harness = session.config, self._harness
        self._overwritten = harness.environment.overwritten
        isolated = [item for item in session.items if item.stash.get(database_use.ISOLATED, False)]
        try:
            if config.option.collectonly or not isolated:
                harness.wait_no_more()
                return
            if harness.is_foretold:
                harness.wait_no_more()
                harness.get_worker()  # from here on the app can connect, also in fixtures of wider scope
            if any("pg_app" in getattr(item, "fixturenames", ()) for item in session.items):
                _load_app(harness)
            if harness.is_foretold and database_use.pay_for_loops(config, isolated):
                harness.provider.note(terminal.SLOW_LOOPS)
        except HarnessError as error:
            session.items.clear()
            harness.abort(error)

    def pytest_report_collectionfinish(self, config: pytest.Config) -> list[str]:
        harness = self._harness
        facts = harness.run.facts if harness.run is not None else None
        if facts is None or config.get_verbosity() < 0:
            return []
        harness.announced = True
        return [terminal.header(facts)]

    # -- xdist --------------------------------------------------------------------------------------------

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_setupnodes(self, config: pytest.Config) -> None:
        try:
            self._harness.remember(config)
        except HarnessError as error:
            raise usage_error(error) from None
        self._harness.listen()

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any) -> None:
        harness, run = self._harness, self._harness.run
        if run.failure is not None:
            raise usage_error(run.failure)
        if run.facts is not None and not harness.announced:
            harness.announced = True
            reporter: Any = node.config.pluginmanager.get_plugin("terminalreporter")
            if reporter is not None and reporter.verbosity >= 0:
                reporter.ensure_newline()
                reporter.write_line(terminal.header(run.facts))

    # -- tests ----------------------------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> None:
        if not item.stash.get(database_use.ISOLATED, False):
            self._harness.refuse(item.nodeid)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        if not item.stash.get(database_use.ISOLATED, False):
            return (yield)
        made: Any = item.funcargs.get("client") if hasattr(item, "funcargs") else None
        function = getattr(item, "obj", None)
        ours = hasattr(getattr(made, "_transport", None), "lifespan")  # not a client of the project's own
        if not (ours and inspect.iscoroutinefunction(function)):
            return (yield)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(item, "obj", with_lifespan(function, made))
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        result = yield
        if result.failed:
            item.stash[FAILED] = True
            if (error := self._harness.early_error) is not None:
                result.longrepr = str(error)
                item.session.shouldfail = error.failed
            denied.explain(result, self._harness)
        add_log(item, result)
        return result

    # -- the end ----------------------------------------------------------------------------------------

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """After pytest's own, which tears down what a run that was cut off has left set up."""
        self._harness.close()

    def pytest_unconfigure(self) -> None:
        self._harness.close()
        if signal.getsignal(signal.SIGTERM) is _interrupt:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        harness = self._harness
        facts = harness.run.facts if harness.run is not None else None
        if self._overwritten:
            terminalreporter.write_line(terminal.overwritten(self._overwritten))
        if facts is None:
            return
        pyramid = terminal.Pyramid()
        for report in (entry for outcome in terminalreporter.stats.values() for entry in outcome):
            if isinstance(report, pytest.TestReport):
                path = harness.config.root / report.nodeid.partition("::")[0]
                tier = tier_of(path, harness.config.root, harness.config.tiers)
                pyramid.add(tier or "", seconds=report.duration, ended=report.when == "call")
        if harness.needing is not None and terminalreporter.verbosity >= 0:
            for line in terminal.real_commits(harness.needing.seen):
                terminalreporter.write_line(line)
        terminalreporter.write_line(pyramid.summary(facts))


def _load_app(harness: Harness) -> None:
    """Import the app before the first test, so that a wrong path is said once and not per test."""
    if harness.app is None and harness.config.app:
        harness.app = load(harness.config.app, harness.config.sources["app"])


def _interrupt(_signum: int, _frame: object) -> None:
    """End as Ctrl-C does, so that what was started is stopped."""
    raise KeyboardInterrupt("SIGTERM")
