"""pytest hooks, and nothing heavy: Docker, Alembic, SQLAlchemy and httpx are loaded when first needed."""

from __future__ import annotations

import contextlib
import inspect
import os
import signal
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from pgharness.config import resolve
from pgharness.config.options import declare
from pgharness.errors import HarnessError, TierError
from pgharness.fixtures.clients import (  # noqa: F401 - pytest finds fixtures by name in a plugin
    app,
    client,
    external_http,
    pg_app,
    pg_client_options,
    sync_client,
    with_lifespan,
)
from pgharness.fixtures.database import (  # noqa: F401 - pytest finds fixtures by name in a plugin
    _pg_test,
    db_session,
    pg_database,
    pg_empty_database,
    pg_server,
    pg_session_options,
)
from pgharness.fixtures.live import add_log, live_server  # noqa: F401 - the same
from pgharness.report import denied, terminal
from pgharness.runs import database_use
from pgharness.runs.harness import FAILED, KEY, Harness, usage_error
from pgharness.runs.wide import WideFixtures
from pgharness.tiers import TIERS, Tier, guard, tier_of
from pgharness.web.app import load

_TIER: pytest.StashKey[Tier | None] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    declare(parser)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    _resolve(early_config, early_config.known_args_namespace)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        'pg(isolation="rollback"|"database", allow_hosts=[...], reset_sequences=True): this test asks for '
        "the database; how its changes are undone, what it may reach besides PostgreSQL, and whether its ids "
        "begin where the template's end (pgharness).",
    )
    for tier in TIERS:
        config.addinivalue_line("markers", f"{tier}: a test below tests/{tier} (pgharness).")
    if KEY not in config.stash:  # loaded by a conftest, too late for the environment of what it imports
        _resolve(config, config.option)
    if not hasattr(config, "workerinput") and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _interrupt)


def _resolve(config: pytest.Config, namespace: Any) -> None:
    root = config.inipath.parent if config.inipath is not None else config.rootpath
    try:
        resolved = resolve(
            command_line=lambda name: getattr(namespace, name, None),
            ini=config.getini,
            environ=os.environ,
            root=root,
        )
        harness = config.stash[KEY] = Harness(resolved)
        harness.wait_early()
    except HarnessError as error:
        raise usage_error(error) from None


def _interrupt(_signum: int, _frame: object) -> None:
    """End as Ctrl-C does, so that what was started is stopped."""
    raise KeyboardInterrupt("SIGTERM")


# -- collection ---------------------------------------------------------------------------------------


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark the tier before ``-m`` selects."""
    if item.config.stash[KEY].config.is_adopted and (tier := tier_of(item.path, item.config.rootpath)):
        item.add_marker(tier)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    harness = config.stash[KEY]
    named = {item: database_use.database_fixtures(item) for item in items}
    if not (harness.config.is_adopted or any(named.values())):
        return  # installed, and not used by this project
    try:
        for item in items:
            _place(item, config.rootpath, named[item])
            database_use.requested(item, harness.config.isolation)
        if any(item.stash.get(database_use.ISOLATED, False) for item in items):
            harness.attempt(config)
        wanting = {item: [*named[item], *_marks(item)] for item in items if item.stash[_TIER] == "unit"}
        if any(wanting.values()):
            raise TierError.unit_asks_for_database((i.nodeid, what[0]) for i, what in wanting.items() if what)
    except HarnessError as error:
        items.clear()
        harness.abort(error)


def _marks(item: pytest.Item) -> list[str]:
    return ["@pytest.mark.pg"] if item.get_closest_marker("pg") is not None else []


def _place(item: pytest.Item, root: Path, named: list[str]) -> None:
    """Know the tier of ``item``, and isolate it if it asks for the database."""
    tier = item.stash[_TIER] = tier_of(item.path, root)
    asks = bool(named) or tier in ("integration", "api") or item.get_closest_marker("pg") is not None
    if asks and hasattr(item, "fixturenames"):
        item.stash[database_use.ISOLATED] = True
        database_use.isolate(item)


@pytest.hookimpl(tryfirst=True)  # before the terminal reports on the collection, and xdist to the controller
def pytest_collection_finish(session: pytest.Session) -> None:
    config = session.config
    harness = config.stash[KEY]
    isolated = [item for item in session.items if item.stash.get(database_use.ISOLATED, False)]
    try:
        harness.wait_no_more()
        if config.option.collectonly or not isolated:
            return
        harness.get_worker()  # from here on the app can connect, also in fixtures of wider scope
        config.pluginmanager.register(WideFixtures(harness), "pgharness-wide-fixtures")
        if any("pg_app" in getattr(item, "fixturenames", ()) for item in session.items):
            _load_app(harness)
        if database_use.pay_for_loops(config, isolated):
            harness.provider.note(terminal.SLOW_LOOPS)
    except HarnessError as error:
        session.items.clear()
        harness.abort(error)


def _load_app(harness: Harness) -> None:
    """Import the app before the first test, so that a wrong path is said once and not per test."""
    if harness.app is None and harness.config.app:
        harness.app = load(harness.config.app, harness.config.sources["app"])


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    harness = config.stash[KEY]
    facts = harness.run.facts if harness.run is not None else None
    if facts is None or config.get_verbosity() < 0:
        return []
    harness.announced = True
    return [terminal.header(facts)]


# -- xdist ----------------------------------------------------------------------------------------------


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config) -> None:
    harness = config.stash[KEY]
    try:
        harness.remember(config)
    except HarnessError as error:
        raise usage_error(error) from None
    harness.listen()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any) -> None:
    harness: Harness = node.config.stash[KEY]
    run = harness.run
    if run.failure is not None:
        raise usage_error(run.failure)
    if run.facts is not None and not harness.announced:
        harness.announced = True
        reporter: Any = node.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None and reporter.verbosity >= 0:
            reporter.ensure_newline()
            reporter.write_line(terminal.header(run.facts))


# -- tests ------------------------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    tier = item.stash.get(_TIER, None)
    harness = item.config.stash[KEY]
    if harness.worker is not None and not item.stash.get(database_use.ISOLATED, False):
        with contextlib.suppress(HarnessError):  # a proxy that has ended is no matter to this test
            harness.worker.refuse(item.nodeid)
    if tier is None:
        return (yield)
    guard.install()
    guard.watch_libpq()
    hosts: tuple[str, ...] = ()
    if tier != "unit":
        hosts = database_use.requested(item, harness.config.isolation).allow_hosts
    policy = guard.Policy(item.nodeid, tier, frozenset() if tier == "unit" else harness.allowed(hosts))
    guard.current = policy
    try:
        return (yield)
    finally:
        guard.current = None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    if item.stash.get(_TIER, None) in ("integration", "api"):
        harness = item.config.stash[KEY]
        allowed = guard.current.allowed if guard.current is not None else frozenset()
        harness.get_http().begin(item.nodeid, named=False, allowed=allowed)
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
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
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test whose app has swallowed what the harness refused."""
    result = yield
    if call.when == "call" and item.stash.get(_TIER, None) is not None:
        harness = item.config.stash[KEY]
        violations = list(guard.current.violations) if guard.current is not None else []
        if harness.http is not None:
            violations += harness.http.finish()
        if violations and result.passed:
            result.outcome = "failed"
            result.longrepr = str(violations[0])
    if result.failed:
        item.stash[FAILED] = True
        database_use.note_unserved(result, item.config.stash[KEY])
        denied.explain(result, item.config.stash[KEY])
    add_log(item, result)
    return result


# -- the end ------------------------------------------------------------------------------------------------


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """After pytest's own, which tears down what a run that was cut off has left set up."""
    harness = session.config.stash.get(KEY, None)
    if harness is not None:
        harness.close()


def pytest_unconfigure(config: pytest.Config) -> None:
    harness = config.stash.get(KEY, None)
    if harness is not None:
        harness.close()
    if signal.getsignal(signal.SIGTERM) is _interrupt:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    harness = config.stash[KEY]
    facts = harness.run.facts if harness.run is not None else None
    reports = [entry for outcome in terminalreporter.stats.values() for entry in outcome]
    if facts is None:
        if harness.config.env and any(database_use.is_unserved(entry, harness) for entry in reports):
            terminalreporter.write_line(terminal.NOT_STARTED)
        return
    pyramid = terminal.Pyramid()
    for entry in reports:
        if isinstance(entry, pytest.TestReport):
            tier = tier_of(config.rootpath / entry.nodeid.partition("::")[0], config.rootpath)
            pyramid.add(tier or "other", seconds=entry.duration, ended=entry.when == "call")
    if harness.needing is not None and terminalreporter.verbosity >= 0:
        for line in terminal.real_commits(harness.needing.seen):
            terminalreporter.write_line(line)
    terminalreporter.write_line(pyramid.summary(facts))
