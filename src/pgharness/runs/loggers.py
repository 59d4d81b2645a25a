"""The loggers of this process, given back after a test as they were before it.

``fileConfig`` in an env.py that a test runs, or in an app that starts, disables every logger that there is,
and takes the handlers of the root: ``caplog`` would see nothing for the rest of the run.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Have every logger as it was, at the end of the block."""
    disabled, before = logging.root.manager.disable, {logger: _state(logger) for logger in _loggers()}
    try:
        yield
    finally:
        logging.root.manager.disable = disabled
        for logger, state in before.items():
            if _state(logger) != state:
                _give_back(logger, state)


def _loggers() -> list[logging.Logger]:
    found = logging.root.manager.loggerDict.values()
    return [logging.root, *(logger for logger in found if isinstance(logger, logging.Logger))]


def _state(logger: logging.Logger) -> tuple[Any, ...]:
    return logger.disabled, logger.level, logger.propagate, *logger.handlers


def _give_back(logger: logging.Logger, state: tuple[Any, ...]) -> None:
    logger.disabled, level, logger.propagate, *handlers = state
    logger.setLevel(level)
    logger.handlers[:] = handlers
