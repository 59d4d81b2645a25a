"""Keeping the Docker libraries out of the app's log and of its tests' clock."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from types import ModuleType

_TALKERS = ("testcontainers", "docker", "urllib3")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what Docker's libraries log from the root logger; warnings go to standard error.

    The app has been imported by now and may have set the root logger up, at DEBUG on a test's
    console: a container's start would be dozens of lines there.
    """
    loggers = [logging.getLogger(name) for name in _TALKERS]
    before = [logger.propagate for logger in loggers]
    try:
        for logger in loggers:
            logger.propagate = False
        yield
    finally:
        for logger, propagate in zip(loggers, before, strict=True):
            logger.propagate = propagate


def hide_deprecated_names(module: ModuleType) -> None:
    """Leave out of ``dir(module)`` the deprecated names that testcontainers computes when asked.

    freezegun asks every module for every name that dir() tells of; one of these asks the engine.
    """
    module.__dir__ = lambda: sorted(vars(module))  # type: ignore[method-assign]  # a module asks its own
