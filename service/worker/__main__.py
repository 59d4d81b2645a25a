"""``python -m service.worker``: work until SIGTERM or SIGINT, then finish what has been begun."""

import asyncio
import logging
import signal
import sys

from pydantic import ValidationError

from service.database import create_engine
from service.settings import Settings
from service.worker.loop import Loop

log = logging.getLogger("service.worker")


async def nothing() -> bool:
    return False


async def run(settings: Settings) -> None:
    engine = create_engine(settings)
    try:
        loop = Loop(engine, nothing, poll=settings.worker_poll)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, loop.stop)
        await loop.run()
    finally:
        await engine.dispose()


def main() -> int:
    """Work until told to stop. Returns the exit code: 2 if the settings are wrong."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        settings = Settings.load()
    except ValidationError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    log.info("started")
    asyncio.run(run(settings))
    log.info("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
