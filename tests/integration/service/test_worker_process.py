"""``python -m service.worker``, as a process of its own: stopped, and killed."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from service.models import Delivery, User
from tests.support.factories import MakeDelivery, MakeWebhook
from tests.support.receiver import receiving

# Another process sees what is committed, and nothing else.
pytestmark = pytest.mark.pg(isolation="database")

WORK = [sys.executable, "-m", "service.worker"]


class Database(Protocol):
    @property
    def asyncpg_url(self) -> str: ...


def environment(url: str, **settings: str) -> dict[str, str]:
    others = {name: value for name, value in os.environ.items() if not name.startswith("SERVICE_")}
    given = {"DATABASE_URL": url, "WORKER_POLL": "0.1", "WEBHOOK_PRIVATE_TARGETS": "true", **settings}
    return {**others, **{f"SERVICE_{name}": value for name, value in given.items()}}


@contextmanager
def worker(database: Database, **settings: str) -> Iterator[subprocess.Popen[str]]:
    env = environment(database.asyncpg_url, **settings)
    with subprocess.Popen(WORK, env=env, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_the_worker_listens_until_it_is_told_to_stop(pg_database: Database, told: signal.Signals) -> None:
    with worker(pg_database) as process:
        assert process.stderr is not None
        said = next(line for line in process.stderr if "listening" in line)

        process.send_signal(told)
        rest = process.stderr.read()

    assert json.loads(said)["logger"] == "service.worker.loop"
    assert (process.returncode, json.loads(rest.splitlines()[-1])["message"]) == (0, "stopped")


def test_a_wrong_setting_ends_the_process_with_a_sentence(pg_database: Database) -> None:
    ended = subprocess.run(WORK, env=environment("board"), capture_output=True, text=True, check=False)

    assert ended.returncode == 2
    assert "database_url" in ended.stderr
    assert "Traceback" not in ended.stderr


async def test_a_worker_that_is_killed_in_mid_delivery_loses_nothing(
    pg_database: Database,
    ada: User,
    make_webhook: MakeWebhook,
    make_delivery: MakeDelivery,
    db_session: AsyncSession,
) -> None:
    async with receiving() as receiver:
        webhook = await make_webhook(owner_id=ada.id, url=receiver.url)
        delivery = await make_delivery(webhook_id=webhook.id)
        receiver.answers.clear()
        with worker(pg_database) as killed:
            await receiver.received(1)
            killed.kill()
        receiver.answers.set()

        delivery.due_at = delivery.created_at  # its lease ends: the test does not wait for a minute
        await db_session.commit()
        with worker(pg_database):
            messages = await receiver.received(2)
            while await db_session.scalar(select(Delivery.state)) != "delivered":
                await db_session.commit()  # the next look sees what is there by then

    assert killed.returncode == -signal.SIGKILL
    assert [message.headers["webhook-id"] for message in messages] == [str(delivery.id)] * 2
    assert await db_session.scalar(select(Delivery.attempts)) == 2
