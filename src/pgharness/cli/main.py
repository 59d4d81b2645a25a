"""The ``pgharness`` command: the project's own test database, outside of its tests.

It asks pytest for the configuration, as `pytest` in the same directory would have it, and does
its work in place of a test session.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any, NoReturn

import pytest

from pgharness import plugin
from pgharness.cli.psql import libpq, open_psql
from pgharness.errors import ConfigError, HarnessError
from pgharness.runs.harness import KEY, Harness, usage_error

USAGE = """\
usage: pgharness run [PYTEST-OPTION ...] -- COMMAND [ARGUMENT ...]
       pgharness doctor [PYTEST-OPTION ...]
       pgharness psql [PROCESS] [-- PSQL-OPTION ...]
       pgharness --version

run     Start the server that the tests would use, migrate a database, and run COMMAND with the
        variables of pg_env set to it, and PGHOST, PGPORT, PGUSER, PGPASSWORD and PGDATABASE too.
        Everything is stopped and removed when COMMAND ends; its exit code is passed on.
doctor  Say which backends are available, and why the others are not.
psql    Open psql inside the test that runs, at a breakpoint for example: it sees what the test has
        not committed, and is undone with it. PROCESS is the pytest process, where there are several.

Options are read as pytest reads them: --pg-backend=local, or the ini file. pytest --help lists them.
"""
_NOT_FOUND = 127
_SIGNALLED = 128

Work = Callable[[Harness], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line ``arguments`` (default: those of this process). Returns the exit code.

    0 all is well, 1 ``doctor`` found no server, 4 wrong usage or no server, 127 COMMAND is not
    there, 128 + N ended by signal N; else the exit code of COMMAND.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    command, rest = (given[0], given[1:]) if given else ("", [])
    if command in ("-h", "--help", "help") or rest[:1] in (["-h"], ["--help"]):
        sys.stdout.write(USAGE)
        return 0
    if command == "--version":
        sys.stdout.write(f"pgharness {version('pgharness')}\n")
        return 0
    if command == "doctor":
        from pgharness.cli.doctor import examine  # noqa: PLC0415 - loads every backend

        return _with_harness(rest, examine)
    if command == "psql":
        return open_psql(rest)
    if command == "run" and "--" in rest:
        end = rest.index("--")
        if rest[end + 1 :]:
            return _run(rest[:end], rest[end + 1 :])
    problem = "write -- before the command to run" if command == "run" else f"there is no command {command!r}"
    sys.stderr.write(f"pgharness: {problem if command else 'say what to do'}\n{USAGE}")
    return int(pytest.ExitCode.USAGE_ERROR)


def _run(options: list[str], command: list[str]) -> int:
    if shutil.which(command[0]) is None:
        sys.stderr.write(f"pgharness: there is no command {command[0]!r} on PATH\n")
        return _NOT_FOUND

    def work(harness: Harness) -> int:
        database = harness.serve_directly()
        server = database.server
        sys.stderr.write(
            f"pg: {server.version} {server.detail}, "
            f"database {database.name} at {server.address.host}:{server.address.port}\n"
        )
        sys.stderr.flush()
        return _supervise(command, {**os.environ, **libpq(server.owner or server.address, database.name)})

    return _with_harness(options, work)


# -- the configuration, through pytest ---------------------------------------------------------------


class _InPlaceOfTests:
    """A pytest plugin that does ``work`` where the test session would be."""

    def __init__(self, work: Work) -> None:
        self._work = work

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> int:
        harness = config.stash.get(KEY, None)
        if harness is None and plugin in config.pluginmanager.get_plugins():  # a project without an option
            harness = plugin.set_up(config, config.option)
        if harness is None:
            error = ConfigError(
                "the plugin is not active, so there is no configuration to read.",
                cause="-p no:pgharness or PYTEST_DISABLE_PLUGIN_AUTOLOAD keeps it from loading.",
                fix=["give -p pgharness.plugin"],
            )
            raise usage_error(error)
        try:
            return self._work(harness)
        except HarnessError as error:
            raise usage_error(error) from None
        finally:
            harness.close()


def _with_harness(options: list[str], work: Work) -> int:
    """Do ``work`` with the harness of the project in the current directory, then close it."""
    with _ended_by_signal():
        try:
            # This package has been imported already, and captured stdin would be the command's.
            own = ["--assert=plain", "--capture=no"]
            return int(pytest.main([*own, *options], plugins=[_InPlaceOfTests(work)]))
        except KeyboardInterrupt:
            return _SIGNALLED + signal.SIGINT


@contextlib.contextmanager
def _ended_by_signal() -> Iterator[None]:
    """Within it, SIGTERM and SIGHUP unwind the stack, so that what was started is stopped."""

    def unwind(number: int, _frame: object) -> NoReturn:
        raise SystemExit(_SIGNALLED + number)

    with _handlers({signal.SIGTERM: unwind, signal.SIGHUP: unwind}):
        yield


@contextlib.contextmanager
def _handlers(wanted: Mapping[signal.Signals, Any]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number, handler in wanted.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# -- the command ---------------------------------------------------------------------------------------


def _supervise(command: list[str], environment: Mapping[str, str]) -> int:
    """Run ``command`` to its end, passing on the signals that ask it to end. Returns its exit code."""
    process: subprocess.Popen[bytes] | None = None
    early: list[int] = []

    def pass_on(number: int, _frame: object) -> None:
        if process is None:
            early.append(number)
        elif number != signal.SIGINT or not _has_terminal():
            process.send_signal(number)

    with _handlers(dict.fromkeys((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), pass_on)):
        process = subprocess.Popen(command, env=environment)  # noqa: S603 - what the user asked to run
        for number in early:
            process.send_signal(number)
        code = process.wait()
    return _SIGNALLED - code if code < 0 else code


def _has_terminal() -> bool:
    """Whether Ctrl-C reaches the command by itself, as part of the terminal's foreground group."""
    try:
        with open("/dev/tty", "rb") as terminal:  # noqa: PTH123 - a device
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:
        return False
