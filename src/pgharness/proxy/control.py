"""The proxy of this process, as the process that tests sees it: started, told what to do, and ended.

The address is bound at once, so that the app can be told it; the process starts when it is first needed.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pgharness.errors import HarnessError

LOOPBACK = "127.0.0.1"
_SOURCE = str(Path(__file__).resolve().parent.parent.parent)
_START = (
    f"import sys; sys.path.insert(0, {_SOURCE!r}); "
    "from pgharness.proxy.server.process import main; main(sys.argv[1:])"
)
_ANSWER_SECONDS = 60.0
_END_SECONDS = 5.0
_BACKLOG = 1024
_LAST_WORDS_SECONDS = 1.0
_opened: weakref.WeakSet[Control] = weakref.WeakSet()


class Control:
    """The proxy of this process.

    Args:
        host: The address of loopback on which it is to listen.
        port: The port; 0 takes a free one.
    """

    def __init__(self, host: str = LOOPBACK, port: int = 0) -> None:
        self.password = secrets.token_urlsafe(24)
        """What its clients log in with."""
        self.place: Callable[[int], str] = lambda _: ""
        """Says where in the code the transaction of a client began; answers the proxy from a thread."""
        self.now: Callable[[], str] = str
        """Says what time it is in the process that tests."""
        self.claim: Callable[[], str] = str
        """Waits until no other test changes what all databases share."""
        self.database: Callable[[], str] = str
        """Says which database the fixture that is being set up is to reach."""
        self.host, self.port = host, port
        self._listener = self._bind()
        """Bound, and nothing listens; None where the port is taken, which matters to runs that need it."""
        self._control: socket.socket | None = None
        self._questions: socket.socket | None = None
        self._answers = b""
        self._errors: Any = None
        self._process: subprocess.Popen[bytes] | None = None
        self.has_ended = False
        """Whether it has ended though nobody has closed it."""
        self._number = 0
        self._asking = threading.Lock()
        self._telling = threading.Lock()
        _opened.add(self)

    def _bind(self) -> int | None:
        listener = socket.socket()
        # As a server has it: a port that an ended connection still holds can be had all the same.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self.host, self.port))
        except OSError:
            listener.close()
            return None
        self.port = listener.getsockname()[1]
        # A bare descriptor: a run that needs no proxy may end without closing it, and no warning.
        return listener.detach()

    def listen(self) -> int | None:
        """Let clients come, who wait until `launch`.

        Returns the descriptor that is readable when there is one; None where another has the port.
        """
        if self._listener is None:
            return None
        with _of(self._listener) as listener:
            listener.listen(_BACKLOG)
        return self._listener

    def unlisten(self) -> None:
        """Turn those away who wait, and refuse who comes; the address stays that of this process."""
        if self._listener is not None:
            os.close(self._listener)
            self._listener = self._bind()

    @property
    def is_open(self) -> bool:
        """Whether the proxy takes orders from this process: it has been started, and by no parent."""
        return self._control is not None

    @property
    def is_taken(self) -> bool:
        """Whether another listens on its port."""
        return self._listener is None and self._control is None

    @property
    def pid(self) -> int:
        """The process id of the proxy; 0 while it has not been started."""
        return self._process.pid if self._process is not None else 0

    # -- the process ------------------------------------------------------------------------------

    def launch(self) -> None:
        """Start the process, which waits for `configure`. Safe to call twice."""
        if self._control is not None or self._listener is None:
            return
        self._control, control = socket.socketpair()
        self._questions, questions = socket.socketpair()
        try:
            self._run([control.fileno(), questions.fileno(), self._listener])
        finally:
            control.close()
            questions.close()
            listener, self._listener = self._listener, None
            os.close(listener)
        thread = threading.Thread(target=self._answer, args=(self._questions,), name="pgharness-places")
        thread.daemon = True
        thread.start()

    def _run(self, descriptors: list[int]) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        self._process = subprocess.Popen(  # noqa: S603 - Python, and words of our own
            [sys.executable, "-I", "-S", "-c", _START, *map(str, descriptors)],
            stdin=subprocess.DEVNULL,
            stdout=self._errors,
            stderr=self._errors,
            pass_fds=descriptors,
            cwd="/",
        )

    def configure(self, options: dict[str, Any]) -> None:
        """Say where the server is, and how this run isolates: the options of `pgharness.proxy.server`."""
        self._send({**options, "password": self.password, "packages": sys.path})

    def close(self) -> None:
        """End the process and give the address up. Safe to call twice."""
        if self._listener is not None:
            os.close(self._listener)
            self._listener = None
        with contextlib.suppress(HarnessError):
            if self._control is not None:
                self.ask("close")
        self._hang_up()
        process, self._process = self._process, None
        if process is not None:
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._errors is not None:
            self._errors.close()
            self._errors = None

    def _hang_up(self) -> None:
        for connection in (self._control, self._questions):
            if connection is not None:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)  # wakes the thread that answers
                connection.close()
        self._control = self._questions = None

    def forked(self) -> None:
        """This is a child of the process that tests: the proxy is not its own, and ends without it."""
        for connection in (self._control, self._questions):
            if connection is not None:
                connection.close()
        if self._listener is not None:
            os.close(self._listener)
        self._control = self._questions = self._listener = self._process = None

    # -- orders -------------------------------------------------------------------------------------

    def tell(self, do: str, **order: Any) -> None:
        """Give an order that is not answered. Nothing happens where the proxy has not been started.

        Raises:
            HarnessError: The proxy has ended.
        """
        if self._control is not None:
            self._send({"do": do, **order})

    def ask(self, do: str, **order: Any) -> dict[str, Any]:
        """Give an order and wait until it is carried out.

        Raises:
            HarnessError: The proxy has ended, or could not do it.
        """
        with self._asking:
            self._number += 1
            self._send({"do": do, "n": self._number, **order})
            answer: dict[str, Any] = json.loads(self._line())
        if "error" in answer:
            raise HarnessError(f"the proxy could not carry out {do!r}: {answer['error']}")
        return answer

    def _send(self, order: dict[str, Any]) -> None:
        connection = self._control
        if connection is None:
            raise self._ended()
        data = json.dumps(order).encode() + b"\n"
        with self._telling:
            try:
                connection.sendall(data)
            except OSError:
                raise self._ended() from None

    def _line(self) -> bytes:
        while b"\n" not in self._answers:
            connection = self._control
            if connection is None:
                raise self._ended()
            connection.settimeout(_ANSWER_SECONDS)
            try:
                more = connection.recv(65536)
            except OSError:
                more = b""
            if not more:
                raise self._ended()
            self._answers += more
        line, _, self._answers = self._answers.partition(b"\n")
        return line

    def _ended(self) -> HarnessError:
        self.has_ended = True
        said: list[str] = []
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_LAST_WORDS_SECONDS)
        if self._errors is not None:
            self._errors.seek(0)
            said = self._errors.read().decode(errors="replace").strip().splitlines()[-1:]
        return HarnessError(
            "the proxy of this run has ended.",
            cause="It was killed, or it failed; every connection of the tests goes through it.",
            checked=[f"it has said: {line}" for line in said],
            fix=["run again"],
        )

    # -- questions ------------------------------------------------------------------------------------

    def _answer(self, connection: socket.socket) -> None:
        """Answer the proxy until it ends."""
        data = b""
        while True:
            try:
                more = connection.recv(65536)
                if not more:
                    return
                *lines, data = (data + more).split(b"\n")
                for line in lines:
                    connection.sendall(json.dumps(self._answer_to(line.decode())).encode() + b"\n")
            except OSError:
                return

    def _answer_to(self, question: str) -> str:
        kind, _, about = question.partition(" ")
        if kind in ("database", "claim"):
            return self.database() if kind == "database" else self.claim()
        return self.now() if kind == "now" else self.place(int(about))


@contextlib.contextmanager
def _of(descriptor: int) -> Iterator[socket.socket]:
    """The socket of ``descriptor``, which stays open."""
    made = socket.socket(fileno=descriptor)
    try:
        yield made
    finally:
        made.detach()


def _forked() -> None:
    for control in list(_opened):
        control.forked()


os.register_at_fork(after_in_child=_forked)
