"""``python -m service.worker``, as a process of its own: stopped, killed, hung, crashed."""

import asyncio
import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import make_url, select
from sqlalchemy.ext.asyncio import AsyncSession

from pgharness.fixtures import Database
from service.models import Delivery, User
from service.worker import heartbeat
from tests.support.factories import CIPHER, MakeDelivery, MakeWebhook
from tests.support.processes import WORK, environment, line
from tests.support.receiver import receiving

# Another process sees what is committed, and nothing else.
pytestmark = pytest.mark.pg(isolation="database")

DEFAULTS = {"WORKER_POLL": "0.1", "WEBHOOK_PRIVATE_TARGETS": "true"}


@pytest.fixture(autouse=True)
def heartbeats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test's worker keeps its heartbeat where no other test's does."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))


@contextmanager
def worker(database: Database, **settings: str) -> Iterator[subprocess.Popen[str]]:
    env = environment(**{"DATABASE_URL": database.asyncpg_url, **DEFAULTS, **settings})
    with subprocess.Popen(WORK, env=env, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


def health() -> tuple[int, str]:
    """Exit code of the health check, and what it says."""
    asked = subprocess.run([*WORK, "--healthy"], capture_output=True, text=True, check=False)
    return asked.returncode, asked.stderr


def health_becomes(code: int) -> tuple[int, str]:
    """The first answer with ``code``; whatever the answer is after half a minute."""
    end = time.monotonic() + 30
    while (answer := health())[0] != code and time.monotonic() < end:
        pass
    return answer


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_the_worker_listens_until_it_is_told_to_stop(pg_database: Database, told: signal.Signals) -> None:
    with worker(pg_database) as process:
        listening = line(process, "listening")

        process.send_signal(told)
        _, rest = process.communicate()

    assert json.loads(listening)["logger"] == "service.worker.loop"
    assert (process.returncode, json.loads(rest.splitlines()[-1])["message"]) == (0, "stopped")


def test_a_crash_is_told_in_the_log(pg_database: Database) -> None:
    with worker(pg_database, DATABASE_URL=f"{pg_database.asyncpg_url}?nonsense=1") as process:
        _, logged = process.communicate()

    crash = json.loads(logged.splitlines()[-1])
    assert (process.returncode, crash["message"], crash["level"]) == (1, "crashed", "ERROR")
    assert "TypeError" in crash["exc_info"]


def test_where_no_worker_runs_none_is_healthy(tmp_path: Path) -> None:
    code, sentence = health()

    assert (code, sentence) == (1, f"No worker has left a heartbeat in {tmp_path / heartbeat.NAME}.\n")


def test_a_worker_that_hangs_is_noticed_and_one_that_goes_on_is_healthy_again(pg_database: Database) -> None:
    with worker(pg_database, WEBHOOK_TIMEOUT="1", WEBHOOK_LEASE="2") as process:
        line(process, "listening")
        at_work = health()

        process.send_signal(signal.SIGSTOP)
        hung = health_becomes(1)
        process.send_signal(signal.SIGCONT)
        at_work_again = health_becomes(0)

    assert (at_work, at_work_again, hung[0]) == ((0, ""), (0, ""), 1)
    assert re.fullmatch(r"The worker should have been back \d+ s ago\.\n", hung[1])


def test_a_worker_without_its_database_is_healthy_as_a_new_one_would_help_nobody(
    pg_database: Database,
) -> None:
    with worker(pg_database, DATABASE_URL="postgresql+asyncpg://board:hunter2@127.0.0.1:1/board") as process:
        line(process, "the work did not succeed")

        assert health() == (0, "")


async def test_each_line_of_the_log_is_an_object_and_holds_no_secret(
    pg_database: Database, ada: User, make_webhook: MakeWebhook, make_delivery: MakeDelivery
) -> None:
    async with receiving() as receiver:
        webhook = await make_webhook(owner_id=ada.id, url=f"{receiver.url}?token=of-the-receiver")
        taken = await make_delivery(webhook_id=webhook.id, body='{"task": "something private"}')
        nobody = await make_webhook(owner_id=ada.id, url="http://127.0.0.1:1/?token=of-the-receiver")
        not_taken = await make_delivery(webhook_id=nobody.id, body='{"task": "something private"}')

        with worker(pg_database, LOG_LEVEL="DEBUG") as process:
            await receiver.received(1)
            process.terminate()  # what it has begun it finishes
            _, log = await asyncio.to_thread(process.communicate)

    told = {line["message"]: line for line in map(json.loads, log.splitlines())}
    assert told["delivered"]["delivery"] == str(taken.id)
    assert told["not delivered: ConnectError"]["delivery"] == str(not_taken.id)
    password = make_url(pg_database.asyncpg_url).password or "of the database"
    secrets = [CIPHER.decrypt(each.encrypted_secret) for each in (webhook, nobody)]
    for secret in (*secrets, password, "of-the-receiver", "something private"):
        assert secret not in log


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
