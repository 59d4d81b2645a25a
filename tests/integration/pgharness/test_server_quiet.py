"""An app that logs everything is not made to log what Docker's libraries do."""

from __future__ import annotations

import logging
import os

import pytest
from testcontainers.core.config import testcontainers_config

from pgharness.server import choose, engine
from tests.support.server_runs import make_config

_ENGINE, _ = engine.find(os.environ, engine.home_directory())


@pytest.mark.pg(allow_hosts=["unix:*", "127.0.0.1"])
@pytest.mark.skipif(_ENGINE is None, reason="no Docker engine answers")
def test_starting_and_stopping_a_container_logs_nothing(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(testcontainers_config, "ryuk_disabled", True)
    config = make_config(backend="container")

    with caplog.at_level(logging.DEBUG):
        choose.start(config, choose.reserve(config)).stop()

    names = {record.name.partition(".")[0] for record in caplog.records}
    assert names & {"testcontainers", "docker", "urllib3"} == set()


def test_their_loggers_are_given_back(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("urllib3.connectionpool").debug("a request of the app")

    assert caplog.messages == ["a request of the app"]
