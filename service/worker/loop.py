import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from service.database import CHANNEL, UNAVAILABLE

Work = Callable[[], Awaitable[bool]]
"""Does some of what is due. Returns whether there may be more."""

log = logging.getLogger(__name__)


class Loop:
    """Works whenever the database says that there is something to do, and every ``poll`` seconds anyway.

    A notification is lost while nobody is connected, so it only makes the work begin sooner. ``beat`` is
    called at the beginning of each round.
    """

    def __init__(
        self, engine: AsyncEngine, work: Work, *, poll: float, beat: Callable[[], None] = lambda: None
    ) -> None:
        self._engine = engine
        self._work = work
        self._poll = poll
        self._beat = beat
        self._wake = asyncio.Event()
        self._stopping = False

    def stop(self) -> None:
        """Let `run` return as soon as what it does now is done."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Work until stopped, also while the database comes and goes."""
        listener = asyncio.create_task(self._keep_listening())
        try:
            while not self._stopping:
                self._beat()
                self._wake.clear()
                if not await self._work_once() and not self._stopping:
                    await self._sleep()
        finally:
            listener.cancel()
            await asyncio.wait([listener])

    async def _work_once(self) -> bool:
        try:
            return await self._work()
        except UNAVAILABLE as error:
            log.warning("the work did not succeed; trying again in %g s: %r", self._poll, error)
            return False

    async def _sleep(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._poll):
                await self._wake.wait()

    async def _keep_listening(self) -> None:
        while True:
            try:
                await self._listen()
            except UNAVAILABLE as error:
                log.warning("not listening; trying again in %g s: %r", self._poll, error)
            await asyncio.sleep(self._poll)

    async def _listen(self) -> None:
        """Listen until the connection is lost."""
        lost = asyncio.Event()
        async with self._engine.connect() as connection:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            driver.add_termination_listener(lambda *_: lost.set())
            try:
                await driver.add_listener(CHANNEL, lambda *_: self._wake.set())
                log.info("listening")
                self._wake.set()  # for what was notified before
                await lost.wait()
            finally:
                await connection.invalidate()  # it listens, and is of no use to anybody else
