"""The hooks of a project that wants tiers: tests are marked by their directory, and held to its rules."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

import pytest

from pgharness.errors import HarnessError, TierError
from pgharness.runs import database_use
from pgharness.tiers import Tier, guard, tier_of

if TYPE_CHECKING:
    from pgharness.runs.harness import Harness


class TierHooks:
    """Registered where ``pg_tiers`` names directories.

    Args:
        harness: The harness of this process.
    """

    def __init__(self, harness: Harness) -> None:
        self._harness = harness

    def _tier(self, item: pytest.Item) -> Tier | None:
        config = self._harness.config
        return tier_of(item.path, config.root, config.tiers)

    def pytest_configure(self, config: pytest.Config) -> None:
        for tier in self._harness.config.tiers:
            config.addinivalue_line("markers", f"{tier}: a test below tests/{tier} (pgharness).")

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Mark the tier before ``-m`` selects."""
        if tier := self._tier(item):
            item.add_marker(tier)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        wanting = {item: database_use.asks(item) for item in items if self._tier(item) == "unit"}
        found = [(item.nodeid, asked[0]) for item, asked in wanting.items() if asked]
        if found:
            items.clear()
            self._harness.abort(TierError.unit_asks_for_database(found))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        tier = self._tier(item)
        if tier is None:
            return (yield)
        guard.install()
        guard.watch_libpq()
        hosts: tuple[str, ...] = ()
        if tier != "unit":
            hosts = database_use.requested(item, self._harness.config.isolation).allow_hosts
        allowed = frozenset[str]() if tier == "unit" else self._harness.allowed(hosts)
        guard.current = guard.Policy(item.nodeid, tier, allowed)
        try:
            return (yield)
        finally:
            guard.current = None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, None, None]:
        if self._tier(item) in ("integration", "api"):
            allowed = guard.current.allowed if guard.current is not None else frozenset()
            self._harness.get_http().begin(item.nodeid, named=False, allowed=allowed)
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Fail a test whose app has swallowed what the tier refuses."""
        result = yield
        if call.when == "call" and self._tier(item) is not None:
            violations: list[HarnessError] = []
            if guard.current is not None:
                violations += guard.current.violations
            if self._harness.http is not None:
                violations += self._harness.http.finish()
            if violations and result.passed:
                result.outcome = "failed"
                result.longrepr = str(violations[0])
        return result
