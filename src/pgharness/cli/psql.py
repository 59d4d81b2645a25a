"""``pgharness psql``: psql inside the transaction of the test that runs."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence

import pytest

from pgharness.errors import HarnessError
from pgharness.proxy.registry import Running, running
from pgharness.server.base import Address

_NOT_FOUND = 127


def libpq(address: Address, database: str) -> dict[str, str]:
    """The variables by which libpq, and psql with it, learns an address."""
    values = address.template_values(database)
    return {f"PG{name.upper()}": values[name] for name in ("host", "port", "user", "password", "database")}


def open_psql(arguments: Sequence[str]) -> int:
    """Become psql, connected to the proxy of the run that ``arguments`` name. Returns only if it cannot.

    Args:
        arguments: The process id of a pytest process, where several run; after ``--``, or from the first
            that is no number, options for psql.
    """
    given = list(arguments)
    wanted = int(given.pop(0)) if given and given[0].isdecimal() else None
    options = given[1:] if given[:1] == ["--"] else given
    try:
        found = running(os.environ)
    except HarnessError as error:
        sys.stderr.write(f"{error}\n")
        return int(pytest.ExitCode.USAGE_ERROR)
    matching = [run for run in found if wanted in (None, run.pid)]
    if len(matching) != 1:
        sys.stderr.write(_which(found, wanted))
        return int(pytest.ExitCode.USAGE_ERROR)
    program = shutil.which("psql")
    if program is None:
        sys.stderr.write("pgharness: there is no psql on PATH\n")
        return _NOT_FOUND
    run = matching[0]
    sys.stdout.flush()
    environment = {**os.environ, **libpq(run.address, run.database)}
    return os.execve(program, ["psql", *options], environment)  # noqa: S606 - this process becomes psql


def _which(found: Sequence[Running], wanted: int | None) -> str:
    if not found:
        return (
            "pgharness: no run of this user has a database now; psql is for one that waits at a breakpoint\n"
        )
    lines = "".join(f"  pgharness psql {run.pid}    {run.project}\n" for run in found)
    if wanted is not None:
        return f"pgharness: process {wanted} is no run with a database; there are:\n{lines}"
    return f"pgharness: several runs have a database; say which:\n{lines}"
