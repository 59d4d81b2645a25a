"""Which tests are known to use the database, and when in a test its isolation begins."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from pgharness.runs.markers import Requested, marker

DATABASE_FIXTURES = frozenset(
    (
        *("client", "sync_client", "live_server", "db_session"),
        *("pg_database", "pg_server", "pg_empty_database"),
    )
)
ISOLATED: pytest.StashKey[bool] = pytest.StashKey()
"""Set on a test that is isolated."""
_OURS = "pgharness.fixtures."
_RUNNERS = frozenset(("event_loop", "anyio_backend", "event_loop_policy"))


def database_fixtures(item: pytest.Item) -> list[str]:
    """The database fixtures of the harness that ``item`` uses.

    A project's own fixture of the same name, ``client`` say, is one of them only if it builds on
    the harness's: so installing the plugin changes nothing for a suite that does not use it.
    """
    names: list[str] = getattr(item, "fixturenames", [])
    known = [name for name in names if name in DATABASE_FIXTURES]
    return [name for name in known if _is_ours(_definitions(item).get(name, ()), name)]


def _is_ours(chain: Any, name: str) -> bool:
    """Whether the last definition of ``chain`` is the harness's, or overrides it and asks for it."""
    for definition in reversed(chain):
        if (definition.func.__module__ or "").startswith(_OURS):
            return True
        if name not in definition.argnames:
            return False
    return False


def asks(item: pytest.Item) -> list[str]:
    """What of ``item`` asks for the database: fixtures of the harness, or the marker."""
    marked = ["@pytest.mark.pg"] if item.get_closest_marker("pg") is not None else []
    return [*database_fixtures(item), *marked]


def requested(item: pytest.Item, default: str) -> Requested:
    """What ``item`` asks for by its markers; ``default`` is the isolation if none says.

    Raises:
        ConfigError: A marker is not valid.
    """
    return marker(item, default)


def isolate(item: Any) -> None:
    """Have ``_pg_test`` set up after fixtures of wider scope and before the test's own."""
    names: list[str] = item.fixturenames
    if "_pg_test" in names:
        names.remove("_pg_test")
    definitions = _definitions(item)
    for index, name in enumerate(names):
        found = definitions.get(name)
        narrow = not found or found[-1].scope == "function"
        if narrow and name not in _RUNNERS and not name.endswith("_scoped_runner") and name != "request":
            names.insert(index, "_pg_test")
            return
    names.append("_pg_test")


def around(item: pytest.Item) -> frozenset[str]:
    """The node ids of ``item`` and of all that is around it."""
    return frozenset(node.nodeid for node in item.listchain())


def pay_for_loops(config: pytest.Config, items: Iterable[pytest.Item]) -> bool:
    """Whether tests of pytest-asyncio among ``items`` each have a loop of their own to connect on."""
    try:
        scope = config.getini("asyncio_default_test_loop_scope")
    except ValueError:  # no pytest-asyncio, or one that does not have the setting yet
        return False
    if scope in ("session", "package", "module"):
        return False
    return any(getattr(item, "_loop_scope", "") == "function" for item in items)


def _definitions(item: Any) -> Any:
    return item._fixtureinfo.name2fixturedefs  # noqa: SLF001 - no public way to look at overrides or to order
