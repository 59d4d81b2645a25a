"""``python -m service.worker``: work until SIGTERM or SIGINT, then finish what has been begun."""

import asyncio
import logging
import signal
import sys

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import async_sessionmaker

from service import logs, models  # noqa: F401 (the models name each other)
from service.database import create_engine
from service.settings import Settings
from service.webhooks import targets
from service.webhooks.service import rules
from service.worker.deliveries import Courier
from service.worker.loop import Loop
from service.worker.sender import Sender

log = logging.getLogger("service.worker")


async def run(settings: Settings) -> None:
    engine = create_engine(settings)
    session_maker = async_sessionmaker(engine, expire_on_commit=False)
    try:
        async with Sender(rules(settings), targets.resolve, timeout=settings.webhook_timeout) as sender:
            courier = Courier(session_maker, sender, settings)
            loop = Loop(engine, courier.work, poll=settings.worker_poll)
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, loop.stop)
            await loop.run()
    finally:
        await engine.dispose()


def main() -> int:
    """Work until told to stop. Returns the exit code: 2 if the settings are wrong."""
    try:
        settings = Settings.load()
    except ValidationError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    logs.configure(settings)
    log.info("started")
    asyncio.run(run(settings))
    log.info("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
