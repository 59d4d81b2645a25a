"""Which tests are known to need real commits: remembered from run to run, and told at the end of one.

They are kept in pytest's cache, or in the file of ``pg_real_commits``, which a project commits for its CI.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pgharness.errors import ConfigError

_KEY = "pgharness/real_commits"
_ATTRIBUTE = "pgharness_real_commits"


class Needing:
    """The tests that need real commits, by node id, each with what rollback could not show.

    Args:
        config: pytest's; an xdist worker only reads what is remembered.
        file: The value of ``pg_real_commits`` as a path; None for pytest's cache.

    Raises:
        ConfigError: The file is there and is no such list.
    """

    def __init__(self, config: pytest.Config, file: Path | None) -> None:
        self._cache: Any = getattr(config, "cache", None)
        self._file = file
        self._writes = not hasattr(config, "workerinput")
        self._known: dict[str, str] = self._read()
        self._seen: dict[str, str] = {}

    def reason(self, nodeid: str) -> str:
        """Why the test ``nodeid`` is known to need real commits; empty if it is not."""
        return self._known.get(nodeid, "")

    @property
    def seen(self) -> dict[str, str]:
        """Those of this run."""
        return self._seen

    def note(self, report: pytest.TestReport, reason: str) -> None:
        """Say in ``report``, which may go to another process, that its test has had real commits."""
        setattr(report, _ATTRIBUTE, reason)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        reason = getattr(report, _ATTRIBUTE, "")
        if reason:
            self._seen[report.nodeid] = reason

    def pytest_sessionfinish(self) -> None:
        """Keep for the next run what this one has seen."""
        if not self._writes or all(nodeid in self._known for nodeid in self._seen):
            return
        known = dict(sorted({**self._known, **self._seen}.items()))
        if self._file is not None:
            self._file.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        elif self._cache is not None:
            self._cache.set(_KEY, known)

    def _read(self) -> dict[str, str]:
        if self._file is None:
            kept: Any = self._cache.get(_KEY, {}) if self._cache is not None else {}
            return kept if _is_list(kept) else {}
        if not self._file.exists():
            return {}
        try:
            found = json.loads(self._file.read_text(encoding="utf-8"))
        except ValueError:
            found = None
        if not _is_list(found):
            raise ConfigError(
                f"pg_real_commits = {str(self._file)!r} is not a list of tests.",
                cause="It is a JSON object: the node id of each test, and why it needs real commits.",
                fix=["delete it: a run writes it again", "name another file, which need not be there"],
            )
        known: dict[str, str] = found
        return known


def _is_list(found: object) -> bool:
    return isinstance(found, dict) and all(isinstance(value, str) for value in found.values())
