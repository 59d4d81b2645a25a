"""The fixture ``live_server``: the app on a real port."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from pgharness.errors import ConfigError

if TYPE_CHECKING:
    from pgharness.fixtures import Database
    from pgharness.web.serving import ServerLog

LOG: pytest.StashKey[ServerLog] = pytest.StashKey()


@dataclasses.dataclass(frozen=True, slots=True)
class LiveServer:
    """The app under uvicorn, on 127.0.0.1."""

    port: int

    @property
    def url(self) -> str:
        """``http://127.0.0.1:PORT``, without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture
def live_server(request: pytest.FixtureRequest, app: Any, pg_database: Database) -> Iterator[LiveServer]:
    """The app under uvicorn on a free loopback port, its lifespan run; the test has real commits."""
    from pgharness.web.serving import AppServer  # noqa: PLC0415 - only tests that ask

    if pg_database.isolation != "database":  # asked for too late for the harness to choose
        raise ConfigError.live_server_rolled_back(request.node.nodeid)
    server = AppServer(app)
    request.node.stash[LOG] = server.log
    yield LiveServer(server.start())
    server.stop()


def add_log(item: pytest.Item, report: pytest.TestReport) -> None:
    """Show the server's log in ``report`` if that is a failure."""
    log = item.stash.get(LOG, None)
    if report.failed and log is not None and log.lines:
        report.sections.append(("Live server log", log.text))
