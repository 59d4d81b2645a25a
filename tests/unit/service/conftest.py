"""What holds for the unit tests of the service."""

import os

import pytest


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of these tests are their own, not those of the machine or of the run."""
    for name in os.environ:
        if name.startswith("SERVICE_"):
            monkeypatch.delenv(name)
