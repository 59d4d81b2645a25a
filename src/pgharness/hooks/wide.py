"""Tells the worker when a fixture of wider scope than a test is set up and torn down."""

from __future__ import annotations

import inspect
from collections.abc import Generator
from typing import Any

import pytest

from pgharness.errors import HarnessError
from pgharness.runs.database_use import around
from pgharness.runs.isolating import Isolating
from pgharness.runs.levels import Phase


class WideFixtures:
    """The hook around the set-up of fixtures.

    Args:
        isolating: What is being isolated in this process.
    """

    def __init__(self, isolating: Isolating) -> None:
        self._isolating = isolating
        self._around: frozenset[str] = frozenset()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self._around = around(item)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_teardown(self, nextitem: pytest.Item | None) -> None:
        self._around = around(nextitem) if nextitem is not None else frozenset()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Generator[None, object, object]:
        if fixturedef.scope == "function" or _is_ours(fixturedef):
            return (yield)
        isolating, phase = self._isolating, _phase(fixturedef, request)
        if isolating.worker is not None and not _is_of_a_plugin(fixturedef):
            isolating.worker.make_way(phase)
        isolating.begin_fixture(phase, self._around)
        request.addfinalizer(lambda: isolating.end_fixture(torn_down=True))  # the last
        try:
            value = yield
            if isolating.worker is not None:
                isolating.worker.places.held.add(value)
            return value
        finally:
            try:
                isolating.end_fixture(lambda: fixturedef.finish(request))  # type: ignore[arg-type]  # a subrequest
            except HarnessError as error:
                _have_failed(fixturedef, request, error)
                raise
            finally:
                request.addfinalizer(lambda: self._tear_down(phase))  # the first

    def _tear_down(self, phase: Phase) -> None:
        self._isolating.begin_fixture(phase, self._around, tears_down=True)


def _phase(fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest) -> Phase:
    name, parameter = fixturedef.argname, ""
    if fixturedef.params is not None:
        parameter = f"{name}[{getattr(request, 'param_index', 0)}]"
    if request.scope == "session":
        return Phase(name, "", 0, parameter)
    return Phase(name, request.node.nodeid, len(request.node.listchain()), parameter)


def _have_failed(fixturedef: Any, request: Any, error: HarnessError) -> None:
    """Have every test that asks for the fixture get ``error``, as where its set-up fails by itself."""
    fixturedef.cached_result = (None, fixturedef.cache_key(request), (error, error.__traceback__))


def _is_ours(fixturedef: pytest.FixtureDef[Any]) -> bool:
    return (fixturedef.func.__module__ or "").startswith("pgharness.")


def _is_of_a_plugin(fixturedef: pytest.FixtureDef[Any]) -> bool:
    """Whether it is none of the project's own, and so writes nothing."""
    code = getattr(inspect.unwrap(fixturedef.func), "__code__", None)
    return code is not None and "site-packages" in code.co_filename
