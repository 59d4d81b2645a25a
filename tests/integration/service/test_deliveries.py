"""What workers make of the outbox: sent, tried again, given up; at least once, whoever dies."""

import asyncio
import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.fernet import Fernet
from freezegun import freeze_time
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from service.models import Delivery, User, Webhook
from service.webhooks import targets
from service.worker.deliveries import Courier
from tests.support.couriers import NewCourier, leads_home, outcome
from tests.support.factories import CIPHER, MakeDelivery, MakeWebhook
from tests.support.receiver import Receiver

# Workers race, and skip each other's locks: neither can be seen within one transaction.
pytestmark = pytest.mark.pg(isolation="database")

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
async def webhook(ada: User, make_webhook: MakeWebhook, receiver: Receiver) -> Webhook:
    return await make_webhook(owner_id=ada.id, url=receiver.url)


@pytest.fixture
async def due(webhook: Webhook, make_delivery: MakeDelivery) -> Delivery:
    """A message that is due at noon."""
    return await make_delivery(webhook_id=webhook.id, due_at=NOON)


async def test_a_message_is_sent_signed_and_as_it_was_written(
    new_courier: NewCourier, webhook: Webhook, make_delivery: MakeDelivery, receiver: Receiver
) -> None:
    delivery = await make_delivery(webhook_id=webhook.id, body='{"event": "task.created"}', due_at=NOON)

    with freeze_time(NOON, real_asyncio=True):
        await new_courier().work()

    (message,) = receiver.messages
    signed = f"{delivery.id}.{int(NOON.timestamp())}.".encode() + message.body
    key = base64.b64decode(CIPHER.decrypt(webhook.encrypted_secret).removeprefix("whsec_"))
    signature = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    assert message.path == "/hook"
    assert message.body == b'{"event": "task.created"}'
    assert message.headers["webhook-id"] == str(delivery.id)
    assert message.headers["webhook-timestamp"] == str(int(NOON.timestamp()))
    assert message.headers["webhook-signature"] == f"v1,{signature}"
    assert message.headers["webhook-event"] == "task.created"


async def test_what_was_taken_is_not_sent_again(
    new_courier: NewCourier,
    webhook: Webhook,
    make_delivery: MakeDelivery,
    receiver: Receiver,
    db_session: AsyncSession,
) -> None:
    await make_delivery(webhook_id=webhook.id)
    courier = new_courier()

    for _ in range(2):
        assert await courier.work() is False

    assert len(receiver.messages) == 1
    assert await outcome(db_session) == ("delivered", 1, None)


@pytest.mark.parametrize("status", [301, 307, 400, 410, 500])
async def test_what_was_not_taken_rests_and_is_tried_again(
    new_courier: NewCourier, due: Delivery, receiver: Receiver, db_session: AsyncSession, status: int
) -> None:
    receiver.status, receiver.headers = status, {"Location": receiver.url}  # is not followed
    courier = new_courier(webhook_first_pause=10)

    with freeze_time(NOON, real_asyncio=True) as clock:
        await courier.work()
        failed = await outcome(db_session)
        clock.tick(timedelta(seconds=4.9))
        await courier.work()
        too_early = len(receiver.messages)
        clock.tick(timedelta(seconds=5.2))
        receiver.status = 200
        await courier.work()

    assert failed == ("pending", 1, f"answered with status {status}")
    assert (too_early, len(receiver.messages)) == (1, 2)
    assert await outcome(db_session) == ("delivered", 2, None)


async def test_what_is_never_taken_is_given_up(
    new_courier: NewCourier,
    webhook: Webhook,
    make_delivery: MakeDelivery,
    receiver: Receiver,
    db_session: AsyncSession,
) -> None:
    await make_delivery(webhook_id=webhook.id, due_at=NOON)
    receiver.status = 500
    courier = new_courier(webhook_attempts=3)

    with freeze_time(NOON, real_asyncio=True) as clock:
        for _ in range(5):
            await courier.work()
            clock.tick(HOUR)

    assert len(receiver.messages) == 3
    assert await outcome(db_session) == ("dead", 3, "answered with status 500")


async def test_what_a_receiver_has_to_say_is_not_waited_for(
    new_courier: NewCourier, due: Delivery, receiver: Receiver, db_session: AsyncSession
) -> None:
    receiver.status, receiver.length = 200, 10**12

    await new_courier().work()

    assert await outcome(db_session) == ("delivered", 1, None)


async def test_proxies_of_the_environment_are_not_used(
    new_courier: NewCourier,
    due: Delivery,
    db_session: AsyncSession,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    await new_courier().work()

    assert await outcome(db_session) == ("delivered", 1, None)


async def test_who_does_not_answer_is_not_waited_for(
    new_courier: NewCourier,
    webhook: Webhook,
    make_delivery: MakeDelivery,
    receiver: Receiver,
    db_session: AsyncSession,
) -> None:
    await make_delivery(webhook_id=webhook.id)
    receiver.answers.clear()

    await new_courier(webhook_timeout=0.2).work()

    assert await outcome(db_session) == ("pending", 1, "no answer within 0.2 s")


async def test_who_is_not_there_is_tried_again(
    new_courier: NewCourier, webhook: Webhook, make_delivery: MakeDelivery, db_session: AsyncSession
) -> None:
    await make_delivery(webhook_id=webhook.id)
    webhook.url = "http://hooks.example.org/"
    await db_session.commit()

    async def nobody(host: str, port: int) -> list[targets.Address]:
        raise OSError

    await new_courier(nobody).work()

    assert await outcome(db_session) == ("pending", 1, "The URL has a host that cannot be found.")


async def test_what_cannot_be_signed_for_want_of_a_key_is_tried_again(
    new_courier: NewCourier,
    webhook: Webhook,
    make_delivery: MakeDelivery,
    receiver: Receiver,
    db_session: AsyncSession,
) -> None:
    await make_delivery(webhook_id=webhook.id)

    await new_courier(webhook_keys=Fernet.generate_key().decode()).work()

    assert receiver.messages == []
    assert await outcome(db_session) == (
        "pending",
        1,
        "its secret cannot be decrypted with the keys there are",
    )


async def test_a_name_that_leads_inside_by_now_is_not_connected_to(
    new_courier: NewCourier,
    webhook: Webhook,
    make_delivery: MakeDelivery,
    receiver: Receiver,
    db_session: AsyncSession,
) -> None:
    """DNS rebinding: the name led outside when the webhook was registered."""
    await make_delivery(webhook_id=webhook.id)
    webhook.url = f"http://hooks.example.org:{receiver.port}/hook"
    await db_session.commit()

    await new_courier(leads_home, webhook_private_targets=False).work()

    assert receiver.messages == []
    assert await outcome(db_session) == ("pending", 1, "The URL leads to an address that is not public.")


async def test_the_connection_goes_to_the_address_that_was_checked_in_the_name_of_the_host(
    new_courier: NewCourier,
    webhook: Webhook,
    make_delivery: MakeDelivery,
    receiver: Receiver,
    db_session: AsyncSession,
) -> None:
    await make_delivery(webhook_id=webhook.id)
    webhook.url = f"http://hooks.example.org:{receiver.port}/hook?board=1"
    await db_session.commit()

    await new_courier(leads_home).work()

    (message,) = receiver.messages
    assert (message.headers["host"], message.path) == (
        f"hooks.example.org:{receiver.port}",
        "/hook?board=1",
    )


async def test_two_workers_never_claim_the_same_and_leave_nothing(
    new_courier: NewCourier, webhook: Webhook, make_delivery: MakeDelivery
) -> None:
    made = {(await make_delivery(webhook_id=webhook.id, due_at=NOON)).id for _ in range(20)}
    first, second = new_courier(), new_courier()

    claims = await asyncio.gather(first.claim(NOON), second.claim(NOON))

    mine, theirs = ({claim.delivery.id for claim in claimed} for claimed in claims)
    assert (len(mine), len(theirs)) == (10, 10)
    assert mine | theirs == made


@pytest.mark.parametrize("state", ["delivered", "dead"])
async def test_what_has_ended_is_not_claimed(
    new_courier: NewCourier, webhook: Webhook, make_delivery: MakeDelivery, state: str
) -> None:
    await make_delivery(webhook_id=webhook.id, state=state, due_at=NOON)

    assert await new_courier().claim(NOON + HOUR) == []


async def test_what_has_been_due_for_longest_is_claimed_first(
    new_courier: NewCourier, webhook: Webhook, make_delivery: MakeDelivery, db_session: AsyncSession
) -> None:
    await db_session.execute(
        text("DROP INDEX ix_deliveries_due_at_pending")
    )  # in whose order rows would come
    made = [await make_delivery(webhook_id=webhook.id, due_at=NOON - n * HOUR) for n in (1, 3, 2)]
    courier = new_courier(webhook_batch=1)

    claimed = [(await courier.claim(NOON))[0].delivery.id for _ in range(3)]

    assert claimed == [made[1].id, made[2].id, made[0].id]


async def test_what_somebody_has_locked_is_skipped_and_not_waited_for(
    new_courier: NewCourier, webhook: Webhook, make_delivery: MakeDelivery, engine: AsyncEngine
) -> None:
    locked, free = [await make_delivery(webhook_id=webhook.id, due_at=NOON) for _ in range(2)]
    async with engine.begin() as other:
        await other.execute(text("SELECT FROM deliveries WHERE id = :id FOR UPDATE"), {"id": locked.id})

        claims = await new_courier().claim(NOON)

    assert [claim.delivery.id for claim in claims] == [free.id]


async def test_two_workers_at_work_deliver_each_message_once(
    new_courier: NewCourier, webhook: Webhook, make_delivery: MakeDelivery, receiver: Receiver
) -> None:
    made = {str((await make_delivery(webhook_id=webhook.id)).id) for _ in range(25)}

    async def work_off(courier: Courier) -> None:
        while await courier.work():
            pass

    await asyncio.gather(work_off(new_courier(webhook_batch=3)), work_off(new_courier(webhook_batch=3)))

    assert len(receiver.messages) == 25
    assert {message.headers["webhook-id"] for message in receiver.messages} == made


async def test_an_attempt_of_which_nothing_is_heard_counts_as_lost_when_its_lease_ends(
    new_courier: NewCourier, webhook: Webhook, make_delivery: MakeDelivery
) -> None:
    await make_delivery(webhook_id=webhook.id, due_at=NOON)
    courier = new_courier(webhook_lease=60)

    taken = await courier.claim(NOON)
    meanwhile = await courier.claim(NOON + timedelta(seconds=59))
    afterwards = await courier.claim(NOON + timedelta(seconds=60))

    assert [len(claims) for claims in (taken, meanwhile, afterwards)] == [1, 0, 1]
    assert afterwards[0].delivery.attempts == 2


async def test_a_failure_that_comes_late_changes_nothing_for_who_has_taken_over(
    new_courier: NewCourier,
    webhook: Webhook,
    make_delivery: MakeDelivery,
    receiver: Receiver,
    db_session: AsyncSession,
) -> None:
    await make_delivery(webhook_id=webhook.id, due_at=NOON)
    receiver.status = 500
    slow, quick = new_courier(webhook_attempts=1), new_courier()
    (late,) = await slow.claim(NOON)
    await quick.claim(NOON + HOUR)

    await slow._deliver(late)

    assert await outcome(db_session) == ("pending", 2, None)


async def test_a_failure_that_comes_late_does_not_bring_back_what_was_delivered(
    new_courier: NewCourier, due: Delivery, receiver: Receiver, db_session: AsyncSession
) -> None:
    receiver.status = 500
    slow = new_courier()
    (late,) = await slow.claim(NOON)
    # Given up, tried anew and delivered at the first attempt, while this worker was suspended.
    await db_session.refresh(due)
    due.state = "delivered"
    await db_session.commit()

    await slow._deliver(late)

    assert await outcome(db_session) == ("delivered", 1, None)


async def test_what_kills_its_worker_each_time_is_given_up_too(
    new_courier: NewCourier,
    webhook: Webhook,
    make_delivery: MakeDelivery,
    receiver: Receiver,
    db_session: AsyncSession,
) -> None:
    await make_delivery(webhook_id=webhook.id, attempts=3)

    await new_courier(webhook_attempts=3).work()

    assert receiver.messages == []
    assert await outcome(db_session) == ("dead", 4, "no answer was written down")


async def test_a_message_that_cannot_be_written_down_does_not_stop_the_others(
    new_courier: NewCourier,
    webhook: Webhook,
    make_delivery: MakeDelivery,
    receiver: Receiver,
    engine: AsyncEngine,
) -> None:
    for _ in range(2):
        await make_delivery(webhook_id=webhook.id)
    receiver.answers.clear()
    working = asyncio.create_task(new_courier().work())
    await receiver.received(2)
    async with engine.begin() as other:
        await other.execute(text("ALTER TABLE deliveries RENAME TO moved"))
    receiver.answers.set()

    with pytest.raises(Exception, match='relation "deliveries" does not exist'):
        await working
