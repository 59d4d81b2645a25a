"""``python -m service.webhooks.rotate``: encrypt every webhook's secret anew, with the first of the keys.

The step after a new key has come to the front of SERVICE_WEBHOOK_KEYS, and before an old one is taken out.
"""

import asyncio
import logging
import sys
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from service import logs, models  # noqa: F401 (the models name each other)
from service.database import UNAVAILABLE, create_engine
from service.settings import ProcessSettings
from service.webhooks.encryption import SecretCipher, UnreadableSecretError
from service.webhooks.models import Webhook

BATCH = 1000

log = logging.getLogger("service.webhooks.rotate")


async def rotate(session_maker: async_sessionmaker[AsyncSession], cipher: SecretCipher) -> tuple[int, int]:
    """Encrypt anew, so many at a time; how many were, and how many could not be read and stay as they are."""
    renewed, unreadable = 0, 0
    last = UUID(int=0)
    while True:
        async with session_maker.begin() as session:
            query = select(Webhook.id, Webhook.encrypted_secret).where(Webhook.id > last)
            rows = (await session.execute(query.order_by(Webhook.id).limit(BATCH))).all()
            for webhook_id, encrypted in rows:
                try:
                    secret = cipher.renew(encrypted)
                except UnreadableSecretError as error:
                    log.error("not renewed: %s", error, extra={"webhook": str(webhook_id)})  # noqa: TRY400 (a sentence)
                    unreadable += 1
                else:
                    change = update(Webhook).where(Webhook.id == webhook_id)
                    await session.execute(
                        change.values(encrypted_secret=secret, updated_at=Webhook.updated_at)
                    )
                    renewed += 1
        if len(rows) < BATCH:
            return renewed, unreadable
        last = rows[-1].id


async def run(settings: ProcessSettings) -> tuple[int, int]:
    engine = create_engine(settings)
    try:
        return await rotate(async_sessionmaker(engine), SecretCipher.of(settings))
    finally:
        await engine.dispose()


def main() -> int:
    """Returns the exit code: 1 if a secret is not under the first key now, 2 if the settings are wrong."""
    settings = ProcessSettings.load_or_exit()
    logs.configure(settings)
    try:
        renewed, unreadable = asyncio.run(run(settings))
    except UNAVAILABLE:
        log.exception("the database failed; run it again")
        return 1
    log.info("renewed", extra={"secrets": renewed, "unreadable": unreadable})
    return 1 if unreadable else 0


if __name__ == "__main__":
    sys.exit(main())
