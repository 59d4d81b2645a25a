"""What the process that tests knows of its connections, by the public events of SQLAlchemy.

Where in the code a transaction began, for messages; what a connection was made with, that it begins each
test so; and tasks that use the database after the test that began them. A driver that is used without
SQLAlchemy is served all the same, and named by its statements.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt  # freezegun and its like replace the class in this module
import os
import re
import ssl
import sys
import textwrap
import weakref
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Engine, ExceptionContext, event, exc
from sqlalchemy.pool import Pool

from pgharness.proxy.control import Control
from pgharness.runs import pools, tasks, threads
from pgharness.runs.held import Held
from pgharness.runs.origin import Place, place
from pgharness.schema.clock import SETTING

_MOST_PLACES = 4096
_LOCK_TIMEOUT = "canceling statement due to lock timeout"
_INSISTS = re.compile(r"(require|verify-ca|verify-full|true)$", re.IGNORECASE)


@dataclasses.dataclass(slots=True)
class _Opened:
    """A connection to the proxy: its process id there, and the loop it belongs to, if it is an async one."""

    pid: int
    loop: asyncio.AbstractEventLoop | None
    test: str = ""
    """The test in which it was last handed out."""
    is_new: bool = True


class Places:
    """Listens to every engine and every pool of this process for connections to the proxy.

    Args:
        control: The proxy.
    """

    def __init__(self, control: Control) -> None:
        self.clock = False
        """Whether transactions are to be told what time it is."""
        self.drivers: list[str] = []
        """The drivers that have connected, in order."""
        self.test = ""
        """The running test, if it has asked for the database."""
        self.isolation = ""
        self.tasks: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()
        """The tasks that have used the database in the running test."""
        self.outlived = tasks.Outlived()
        self.threads = threads.Threads(lambda: self.test)
        self._control = control
        self._port = str(control.port)
        self._key = f"pgharness {control.port}"
        self.held = Held(self._key)
        self.pools = pools.Pools()
        """What ends with its event loop."""
        self._places: dict[int, Place] = {}
        self._secured = False
        self._listeners = (
            (Engine, "do_connect", self._do_connect),
            (Engine, "begin", self._begun),
            (Engine, "handle_error", self._failed),
            (Pool, "connect", self._connected),
            (Pool, "checkout", self._checkout),
        )

    def install(self) -> None:
        for target, name, listener in self._listeners:
            event.listen(target, name, listener)
        self.threads.install()
        self.held.install()
        self._control.place = self.of
        self._control.now = now

    def remove(self) -> None:
        for target, name, listener in self._listeners:
            event.remove(target, name, listener)
        self.threads.remove()
        self.held.remove()

    def of(self, pid: int) -> str:
        """Where the last transaction of the client ``pid`` began; empty if that is not known."""
        found = self._places.get(pid)
        return str(found) if found is not None else ""

    def begin(self, test: str, isolation: str) -> None:
        """Begin a test, or a module or class, or go on with one."""
        self.test, self.isolation = test, isolation
        self.tasks = weakref.WeakSet()

    # -- events -----------------------------------------------------------------------------------

    def _do_connect(self, dialect: Any, record: Any, cargs: Any, cparams: dict[str, Any]) -> None:
        if not self._is_ours(cargs, cparams):
            return
        if dialect.driver not in self.drivers:
            self.drivers.append(dialect.driver)
        if not self._secured and self._control.is_open and _insists_on_tls(cargs, cparams):
            self._control.ask("tls")
            self._secured = True
        if record is not None:
            record.info[self._key] = None

    def _is_ours(self, cargs: Any, cparams: Mapping[str, Any]) -> bool:
        texts = [arg for arg in cargs if isinstance(arg, str)]
        port = cparams.get("port") or os.environ.get("PGPORT")
        if any(self._port in text for text in texts):
            return True
        return not texts and self._port in str(port).split(",")

    def _connected(self, connection: Any, record: Any) -> None:
        driver = record.driver_connection
        if self._key not in record.info and not self._leads_here(driver):
            return
        is_async = driver is not connection
        loop = self.pools.add(driver) if is_async else None
        opened = record.info[self._key] = _Opened(_process(driver), loop)
        self._note_place(opened)

    def _leads_here(self, driver: Any) -> bool:
        """Whether a connection that an engine's own ``creator`` has made goes to the proxy."""
        return str(getattr(getattr(driver, "info", None), "port", "")) == self._port

    def _checkout(self, _: Any, record: Any, __: Any) -> None:
        opened: _Opened | None = record.info.get(self._key)
        if opened is None:
            return
        if opened.loop is not None:
            if opened.loop is not asyncio.get_running_loop() and self._is_left(opened):
                pools.forget(record.driver_connection, opened.loop)
                raise exc.DisconnectionError("it belongs to an event loop of other tests")
            opened.test = self.test
        if self.test:
            self.threads.check(self.test)
        task = tasks.current()
        if task is not None:
            self.outlived.check(self.test, task)
            self.tasks.add(task)
        if opened.is_new:
            opened.is_new = False
            self._control.tell("baseline", pid=opened.pid)

    def _is_left(self, opened: _Opened) -> bool:
        """Whether it has been left behind on its loop, by a loop that has ended or by an earlier test."""
        return opened.test != self.test or opened.loop is None or not opened.loop.is_running()

    def _begun(self, connection: Connection) -> None:
        opened: _Opened | None = connection.info.get(self._key)
        if opened is None:
            return
        self._note_place(opened)
        if self.clock and self.isolation == "database" and _is_frozen():  # the proxy tells a shared one
            connection.exec_driver_sql(f"SELECT set_config('{SETTING}', '{now()}', true)")

    def _note_place(self, opened: _Opened) -> None:
        found = place()
        if found is not None:
            self._places[opened.pid] = found
            if len(self._places) > _MOST_PLACES:
                del self._places[next(iter(self._places))]  # that of a connection long gone

    def _failed(self, context: ExceptionContext) -> None:
        """Name both sides where a connection of its own has waited for a lock in vain."""
        connection, error = context.connection, context.sqlalchemy_exception
        if self.isolation != "database" or connection is None or error is None or connection.closed:
            return
        opened: _Opened | None = connection.info.get(self._key)
        if opened is None or not self._control.is_open or _LOCK_TIMEOUT not in str(error):
            return
        statement = textwrap.shorten(context.statement or "", 80)
        session = self.of(opened.pid) or "an unknown place"
        error.add_note(
            f"pgharness: {self.test}: {statement!r}, of the session of {session}, waited in vain for a lock."
        )
        for line, pid in self._control.ask("holders", pid=opened.pid)["holders"]:
            other = f", of the session of {self.of(pid)}" if self.of(pid) else ""
            error.add_note(f"  - in a transaction: {line}{other}")


def now() -> str:
    """This moment as PostgreSQL reads it; frozen where the test has frozen time."""
    return dt.datetime.now(dt.UTC).isoformat()


def _is_frozen() -> bool:
    """Whether the test has replaced the time by freezegun or time_machine."""
    machine = sys.modules.get("time_machine")
    travelling = getattr(getattr(machine, "escape_hatch", None), "is_travelling", None)
    return dt.datetime.__module__ != "datetime" or bool(travelling is not None and travelling())


def _insists_on_tls(cargs: Any, cparams: Mapping[str, Any]) -> bool:
    wanted = cparams.get("ssl") or cparams.get("sslmode")
    if isinstance(wanted, ssl.SSLContext):
        return True
    if wanted is not None:
        return _INSISTS.match(str(wanted)) is not None
    return any(
        isinstance(arg, str) and re.search(r"sslmode\s*=\s*'?(require|verify)", arg) is not None
        for arg in cargs
    )


def _process(driver: Any) -> int:
    """What ``driver``, a connection of asyncpg or of psycopg 2 or 3, takes for its process on the server."""
    asked = getattr(driver, "get_server_pid", None)
    return int(asked() if asked is not None else driver.info.backend_pid)
