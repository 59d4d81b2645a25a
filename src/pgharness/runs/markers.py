"""What the marker ``pg`` says of a test."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from pgharness.errors import ConfigError

MARKER = 'isolation="auto", "rollback" or "database", allow_hosts=[...], reset_sequences=True'


class Requested(NamedTuple):
    """What the markers of a test ask for."""

    isolation: str
    allow_hosts: tuple[str, ...]
    reset_sequences: bool | None
    """None if no marker says."""


def marker_arguments(
    *,
    isolation: str | None = None,
    allow_hosts: tuple[str, ...] | list[str] = (),
    reset_sequences: bool | None = None,
) -> Any:
    """The signature of ``@pytest.mark.pg``.

    Args:
        isolation: ``auto``, ``rollback`` or ``database``; default pg_isolation.
        allow_hosts: What this test may reach besides PostgreSQL, as pg_allow_hosts.
        reset_sequences: Whether the test begins with the sequences where the template left them;
            default pg_reset_sequences.
    """
    return isolation, tuple(allow_hosts), reset_sequences


def marker(item: pytest.Item, default: str) -> Requested:
    """What the markers of ``item`` ask for; ``default`` is the isolation if none says.

    Raises:
        ConfigError: A marker has other arguments than `marker_arguments`, or another value.
    """
    found = Requested(default, (), None)
    for mark in reversed(list(item.iter_markers("pg"))):
        try:
            wanted, more, reset = marker_arguments(*mark.args, **mark.kwargs)
        except TypeError as error:
            reason = str(error).partition(") ")[2]
            raise ConfigError(
                f"{item.nodeid}: @pytest.mark.pg {reason}.",
                fix=[f"its arguments are {MARKER}"],
            ) from None
        if wanted not in (None, "auto", "rollback", "database"):
            raise ConfigError(
                f"{item.nodeid}: @pytest.mark.pg(isolation={wanted!r}) is not valid.",
                fix=["use one of: auto, rollback, database"],
            )
        if not isinstance(reset, bool | None):
            raise ConfigError(
                f"{item.nodeid}: @pytest.mark.pg(reset_sequences={reset!r}) is not valid.",
                fix=["use one of: True, False"],
            )
        found = Requested(
            wanted or found.isolation,
            (*found.allow_hosts, *more),
            found.reset_sequences if reset is None else reset,
        )
    return found
