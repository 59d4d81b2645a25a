"""The application under test: found, its lifespan run, its overrides restored."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

from pgharness.errors import AppError
from pgharness.web.loops import run_on

_STOP_SECONDS = 30.0


def load(value: str, source: str) -> Any:
    """The object that ``pg_app`` names; a factory is called.

    Raises:
        AppError: ``value`` is empty, does not import, cannot be made, or is not an ASGI application.
    """
    if not value:
        raise AppError.not_set()
    module, _, attribute = value.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for name in attribute.split("."):
            found = getattr(found, name)
    except Exception as error:
        reason = traceback.format_exception_only(error)[-1].strip()
        raise AppError.not_importable(value, source, reason, list(dict.fromkeys(sys.path))[:3]) from error
    if (inspect.isroutine(found) or inspect.isclass(found)) and not _wants_scope(found):
        found = _made_by(found, value, source)
    if not callable(found):
        raise AppError.not_an_app(value, type(found).__name__)
    return found


def _made_by(factory: Callable[[], Any], value: str, source: str) -> Any:
    try:
        return factory()
    except Exception as error:
        reason = traceback.format_exception_only(error)[-1].strip()
        raise AppError.factory_failed(value, source, reason) from error


def _wants_scope(function: Callable[..., Any]) -> bool:
    """Whether ``function`` is itself an ASGI application: three positional parameters."""
    required = [
        p
        for p in inspect.signature(function).parameters.values()
        if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    return len(required) == 3  # noqa: PLR2004 - scope, receive, send


@contextlib.contextmanager
def overrides_restored(app: Any) -> Iterator[None]:
    """Give every ``dependency_overrides`` of ``app`` and the applications mounted in it back as it was."""
    saved = [(found, found.dependency_overrides, dict(found.dependency_overrides)) for found in _apps(app)]
    try:
        yield
    finally:
        for found, overrides, content in saved:
            overrides.clear()
            overrides.update(content)
            found.dependency_overrides = overrides


def _apps(app: Any) -> Iterator[Any]:
    """``app`` and what is mounted in it, through routers and middleware, as far as it has overrides."""
    seen: dict[int, Any] = {}
    waiting = [app]
    while waiting:
        found = waiting.pop()
        if id(found) in seen:
            continue
        seen[id(found)] = found
        if isinstance(getattr(found, "dependency_overrides", None), MutableMapping):
            yield found
        routes = getattr(found, "routes", None)
        waiting += [getattr(found, "app", None), *(routes if isinstance(routes, list) else ())]


class Lifespan:
    """The lifespan of an application, started on the loop that first asks and ended on the same.

    It runs in a task of its own, so that task groups and cancel scopes of the application are
    entered and left in one task. A loop that closes first cancels the task; that counts as the
    end of the lifespan, so the application's shutdown still runs.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self.state: dict[str, Any] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._started: asyncio.Event | None = None
        self._stopping: asyncio.Event | None = None
        self._failure: AppError | None = None
        self._told = False

    async def start(self) -> None:
        """Start it unless it has been started. Raises AppError if the application refuses."""
        if self._task is None:
            self._loop = asyncio.get_running_loop()
            self._started, self._stopping = asyncio.Event(), asyncio.Event()
            self._task = self._loop.create_task(self._run())
        if self._started is not None and asyncio.get_running_loop() is self._loop:
            await self._started.wait()
        if self._failure is not None:
            self._told = True
            raise self._failure

    def stop(self) -> None:
        """End it, from synchronous code.

        Raises:
            AppError: The application's shutdown fails, or its startup did and `start` has not said so.
        """
        if self._task is not None and not self._task.done():
            run_on(self._loop, self._stop(), _STOP_SECONDS)
        self._task = None
        failure, self._failure = self._failure, None
        if failure is not None and not self._told:
            raise failure

    async def _stop(self) -> None:
        assert self._task is not None and self._stopping is not None  # noqa: S101, PT018 - set by start()
        self._stopping.set()
        await self._task

    async def end(self, seconds: float) -> None:
        """End it, on its own loop.

        Raises:
            AppError: The application's shutdown fails, or takes longer than ``seconds``.
        """
        try:
            await asyncio.wait_for(self._stop(), seconds)
        except TimeoutError:
            raise AppError.lifespan_failed("shutdown", f"not done after {seconds:g} s") from None
        self.stop()

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        phase = "startup"
        assert self._started is not None and self._stopping is not None  # noqa: S101, PT018 - set by start()
        started, stopping = self._started, self._stopping

        async def receive() -> dict[str, str]:
            nonlocal phase
            if phase == "startup" and not started.is_set():
                phase = "starting"
                return {"type": "lifespan.startup"}
            try:
                await stopping.wait()
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is not None:
                    task.uncancel()
            phase = "shutdown"
            return {"type": "lifespan.shutdown"}

        async def send(message: MutableMapping[str, Any]) -> None:
            kind = message["type"]
            if kind.endswith(".failed"):
                lines = str(message.get("message", "")).strip().splitlines() or ["no message"]
                self._failure = AppError.lifespan_failed(kind.split(".")[1], lines[-1])
            if kind.startswith("lifespan.startup"):
                started.set()

        try:
            await self._app(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - an application without a lifespan may raise, says ASGI
            if phase == "shutdown" and self._failure is None:
                reason = traceback.format_exception_only(error)[-1].strip()
                self._failure = AppError.lifespan_failed("shutdown", reason)
        finally:
            started.set()
