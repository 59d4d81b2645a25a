"""The worker's process, from its settings to its exit code."""

import asyncio
import logging
import signal

from sqlalchemy.ext.asyncio import async_sessionmaker

from service import logs, models  # noqa: F401 (the models name each other)
from service.database import create_engine
from service.settings import WorkerSettings
from service.webhooks import targets
from service.webhooks.service import rules
from service.worker.deliveries import Courier
from service.worker.heartbeat import Heartbeat
from service.worker.loop import Loop
from service.worker.sender import Sender

log = logging.getLogger("service.worker")


async def run(settings: WorkerSettings) -> None:
    # A round of work that takes longer than a lease has lost what it claimed.
    heartbeat = Heartbeat(patience=settings.worker_poll + settings.webhook_lease)
    engine = create_engine(settings)
    session_maker = async_sessionmaker(engine, expire_on_commit=False)
    try:
        async with Sender(rules(settings), targets.resolve, timeout=settings.webhook_timeout) as sender:
            courier = Courier(session_maker, sender, settings)
            loop = Loop(engine, courier.work, poll=settings.worker_poll, beat=heartbeat.beat)
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, loop.stop)
            await loop.run()
    finally:
        await engine.dispose()


def work() -> int:
    """Work until told to stop. Returns the exit code: 2 if the settings are wrong, 1 after a crash."""
    settings = WorkerSettings.load_or_exit()
    logs.configure(settings)
    log.info("started")
    try:
        asyncio.run(run(settings))
    except Exception:
        log.exception("crashed")
        return 1
    log.info("stopped")
    return 0
