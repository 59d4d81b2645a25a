"""What the terminal shows: one header line, one summary line. Pure objects that yield text."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from pgharness.config.check import TIERS
from pgharness.runs.run import Facts

SLOW_LOOPS = 'a loop per test; asyncio_default_test_loop_scope = "session" is faster'
EMPTY = "an empty database (there is no alembic.ini beside the pytest ini, no pg_metadata and no pg_sql)"


def header(facts: Facts) -> str:
    """``pg: 17.11 in a container (postgres:17), template 3f9c2e hit in 14 ms``."""
    server = facts.server
    took = f"{'hit' if facts.template_hit else 'built'} in {facts.template_seconds * 1000:.0f} ms"
    parts = [f"pg: {server.version} {server.detail}", f"template {facts.template[:6]} {took}"]
    if server.owner is not None and server.owner.user == server.address.user:
        parts.append(f"the app connects as {server.owner.user!r}")
    if facts.no_schema:
        parts.append(EMPTY)
    if facts.tried:
        parts.append("tried before: " + "; ".join(facts.tried))
    if facts.note:
        parts.append(facts.note)
    return ", ".join(parts)


def overwritten(names: Sequence[str]) -> str:
    """Which variables of pg_env have another value by the time the tests have been imported."""
    has = "has" if len(names) == 1 else "have"
    return (
        f"pg: {', '.join(names)} of pg_env {has} another value by now: a conftest, or a module that is "
        "imported, sets it, and the app may connect elsewhere"
    )


def real_commits(tests: Mapping[str, str]) -> list[str]:
    """Which ``tests`` had real commits without having asked for them, and why, a line for each."""
    if not tests:
        return []
    count = "1 test" if len(tests) == 1 else f"{len(tests)} tests"
    return [f"pg: {count} had real commits:", *(f"  {test}: {why}" for test, why in sorted(tests.items()))]


@dataclasses.dataclass(slots=True)
class TierTally:
    """Tests of one tier and the seconds they took, over all workers."""

    tests: int = 0
    seconds: float = 0.0


class Pyramid:
    """Counts tests per tier."""

    def __init__(self) -> None:
        self.tiers: dict[str, TierTally] = {}

    def add(self, tier: str, *, seconds: float, ended: bool) -> None:
        """Add a phase of a test, whose ``tier`` may be empty; ``ended`` is True for its last."""
        tally = self.tiers.setdefault(tier, TierTally())
        tally.seconds += seconds
        tally.tests += ended

    def summary(self, facts: Facts) -> str:
        """``pg: 17.11 in a container (postgres:17), template 3f9c2e built in 812 ms, 2 clones; unit ...``."""
        clones = f"{facts.clones} clone{'' if facts.clones == 1 else 's'}"
        only = not any(self.tiers.keys() - {""})
        tiers = [
            f"{'' if only else (name or 'other') + ' '}{tally.tests} test{'' if tally.tests == 1 else 's'} "
            f"in {tally.seconds:.2f} s"
            for name in (*TIERS, "")
            if (tally := self.tiers.get(name)) is not None
        ]
        server = header(dataclasses.replace(facts, no_schema=False, tried=(), note=""))
        return "; ".join([f"{server}, {clones}", *tiers])
