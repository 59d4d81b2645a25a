"""A small process that owns what must not outlive the run: a PostgreSQL server or a container.

Its standard input is a pipe from the process that started it: the first line is the order (JSON),
and the end of the pipe, however that process ended, is the word to clean up. Its standard output
carries events back, one JSON object a line: ``ready``, or ``failed`` with ``step`` and ``said``.

`pgharness.server.supervise` starts it, without site-packages and without this package's
``__init__``: what it imports is the standard library and the few modules beside it.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import time
from typing import Any

from pgharness.server.cluster import Cluster, Failed
from pgharness.server.wire import engine_request

GOODBYE = b"bye\n"
"""Written before the pipe is closed, it says that the container is already gone."""


class Control:
    """The pipe from the process that gave the order, read from ``fd``."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._parent = os.getppid()
        self._buffer = b""
        self.goodbye = False
        self.terminated = False

    def order(self) -> dict[str, Any]:
        """The first line, or an empty order if the pipe ends before it is complete."""
        while b"\n" not in self._buffer:
            chunk = os.read(self._fd, 65536)
            if not chunk:
                return {}
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        order: dict[str, Any] = json.loads(line)
        return order

    def ended(self, seconds: float) -> bool:
        """Whether the other side is gone or this process was told to go; waits up to ``seconds``."""
        readable, _, _ = select.select([self._fd], [], [], seconds)
        if readable:
            chunk = os.read(self._fd, 65536)
            self._buffer += chunk
            self.goodbye = self.goodbye or GOODBYE in self._buffer
            return not chunk
        # A forked child of the owner may hold the pipe open after its death.
        return self.terminated or os.getppid() != self._parent

    def terminate(self, _number: int, _frame: object) -> None:
        self.terminated = True


def keep(control: Control, report_fd: int) -> None:
    """Do what the order says until the pipe of ``control`` ends, then clean up."""
    order = control.order()
    if order.get("kind") == "container":
        _report(report_fd, event="ready")
        while not control.ended(0.5):
            pass
        if not control.goodbye:
            remove_container(order)
    elif order.get("kind") == "cluster":
        _keep_cluster(order, control, report_fd)


def _keep_cluster(order: dict[str, Any], control: Control, report_fd: int) -> None:
    cluster = Cluster(order, control)
    try:
        cluster.start()
        _report(report_fd, event="ready")
        while not control.ended(0.5):
            pass
    except Failed as failure:
        _report(report_fd, event="failed", step=failure.args[0], said=failure.args[1])
    finally:
        cluster.stop()


def remove_container(order: dict[str, Any], patience: float = 0.3) -> None:
    """Force-remove the container named in ``order``, and its volumes.

    A container that is not there may be about to be, its creation on the way: ask a few times.
    """
    path = f"/containers/{order['name']}?force=1&v=1"
    for _ in range(5):
        with contextlib.suppress(OSError):
            status, _ = engine_request(order["url"], order["certificates"], "DELETE", path, 30)
            if status == 204:  # noqa: PLR2004 - of HTTP: it is removed
                return
        time.sleep(patience)


def _report(fd: int, **event: str) -> None:
    with contextlib.suppress(OSError):  # nobody listens any more
        os.write(fd, json.dumps(event).encode() + b"\n")


def main() -> None:
    os.umask(0o077)
    control = Control(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, control.terminate)
    signal.signal(signal.SIGHUP, control.terminate)
    keep(control, 1)
