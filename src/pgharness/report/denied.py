"""What a failed test's report says where the app's role was denied what a superuser may."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from pgharness.errors import HarnessError

if TYPE_CHECKING:
    from pgharness.runs.harness import Harness

_WHY = (
    "PostgreSQL refused: {}\n"
    "The app and its tests connect as role {!r}, which is no superuser, as in production.\n"
    "Where a test has to be one: pg_server.url is a superuser's address. If the app is one in production: "
    'pg_role = "postgres"'
)


def explain(report: pytest.TestReport, harness: Harness) -> None:
    """Add a section to ``report`` if that is a failure, and a superuser would have been let do something."""
    if not report.failed or harness.worker is None:
        return
    with contextlib.suppress(HarnessError):  # the proxy has ended, which is said elsewhere
        if denied := harness.worker.denied():
            role = harness.config.role
            report.sections.append(("pgharness", _WHY.format("; ".join(dict.fromkeys(denied)), role)))
