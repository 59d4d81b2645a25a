"""The controller's run, for its xdist workers: asked over a local socket.

So there is one server however many workers, and the controller alone creates and drops databases.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import threading
from collections.abc import Sequence
from multiprocessing.connection import Client, Listener
from typing import Any

from pgharness.errors import HarnessError
from pgharness.runs.run import Run, WorkerDatabase


class Controller:
    """Answers the workers' questions from a thread of its own.

    Args:
        run: The run they ask about.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self.key = secrets.token_bytes(16)
        # Loopback and not a socket file, whose directory would outlive a controller that is killed.
        self._listener = Listener(("127.0.0.1", 0), authkey=self.key)
        self.address: Any = self._listener.address
        self._closing = False
        self._thread = threading.Thread(target=self._accept, name="pgharness-controller", daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while not self._closing:
            try:
                connection = self._listener.accept()
            except Exception:  # noqa: BLE001, S112 - closed, or a stranger without the key
                continue
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: Any) -> None:
        with connection:
            while True:
                try:
                    name, args = connection.recv()
                except (EOFError, OSError):
                    return
                try:
                    answer = True, getattr(self._run, name)(*args)
                except HarnessError as error:
                    answer = False, error
                except Exception as error:  # noqa: BLE001 - the worker must not wait for ever
                    answer = False, HarnessError(f"{name} failed in the controller: {error!r}.")
                try:
                    _send(connection, name, answer)
                except OSError:  # the worker has gone
                    return

    def close(self) -> None:
        """Let nobody in any more; a listener closed under a waiting accept() would let in one."""
        self._closing = True
        with contextlib.suppress(OSError):
            socket.create_connection(self.address, timeout=1).close()
        self._thread.join(timeout=1)
        self._listener.close()


def _send(connection: Any, name: str, answer: tuple[bool, object]) -> None:
    try:
        connection.send(answer)
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001 - it cannot be pickled; the worker must not wait for ever
        connection.send((False, HarnessError(f"{name} failed in the controller: {error!r}.")))


class RemoteRun:
    """The run as an xdist worker sees it.

    Args:
        address: The controller's `Controller.address`.
        key: The controller's `Controller.key`.
    """

    def __init__(self, address: Any, key: bytes) -> None:
        self._connection = Client(tuple(address), authkey=key)
        self._lock = threading.Lock()

    def _ask(self, name: str, *args: Any) -> Any:
        with self._lock:
            self._connection.send((name, args))
            done, answer = self._connection.recv()
        if not done:
            raise answer
        return answer

    def database(self, worker: str) -> WorkerDatabase:
        answer: WorkerDatabase = self._ask("database", worker)
        return answer

    def take(self, worker: str) -> str:
        return str(self._ask("take", worker))

    def give_back(self, worker: str, name: str) -> None:
        self._ask("give_back", worker, name)

    def copy(self, worker: str, name: str) -> str:
        return str(self._ask("copy", worker, name))

    def keep(self, worker: str, name: str) -> None:
        self._ask("keep", worker, name)

    def forget(self, worker: str) -> None:
        self._ask("forget", worker)

    def drop(self, worker: str, name: str) -> None:
        self._ask("drop", worker, name)

    def claim(self, worker: str) -> None:
        self._ask("claim", worker)

    def restore(self, worker: str, said: Sequence[str]) -> None:
        self._ask("restore", worker, list(said))

    def create_empty(self, worker: str) -> str:
        return str(self._ask("create_empty", worker))

    def drop_empty(self, name: str) -> None:
        self._ask("drop_empty", name)

    def note(self, text: str) -> None:
        self._ask("note", text)

    def abort(self, error: HarnessError) -> None:
        self._ask("abort", error)

    def close(self) -> None:
        self._connection.close()
