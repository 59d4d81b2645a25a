"""What becomes of a message of the outbox: sent, tried again, given up."""

import base64
import hashlib
import hmac
from datetime import timedelta

import pytest
from cryptography.fernet import Fernet
from freezegun import freeze_time
from sqlalchemy.ext.asyncio import AsyncSession

from service.models import Delivery, Webhook
from service.webhooks import targets
from tests.support.couriers import NOON, NewCourier, leads_home, outcome
from tests.support.factories import CIPHER, MakeDelivery
from tests.support.receiver import Receiver

# A courier has connections of its own, as in its process.
pytestmark = pytest.mark.pg(isolation="database")

HOUR = timedelta(hours=1)


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
    new_courier: NewCourier, due: Delivery, receiver: Receiver, db_session: AsyncSession
) -> None:
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
    new_courier: NewCourier, due: Delivery, receiver: Receiver, db_session: AsyncSession
) -> None:
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
    new_courier: NewCourier, due: Delivery, db_session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    await new_courier().work()

    assert await outcome(db_session) == ("delivered", 1, None)


async def test_who_does_not_answer_is_not_waited_for(
    new_courier: NewCourier, due: Delivery, receiver: Receiver, db_session: AsyncSession
) -> None:
    receiver.answers.clear()

    await new_courier(webhook_timeout=0.2).work()

    assert await outcome(db_session) == ("pending", 1, "no answer within 0.2 s")


async def test_who_is_not_there_is_tried_again(
    new_courier: NewCourier, webhook: Webhook, due: Delivery, db_session: AsyncSession
) -> None:
    webhook.url = "http://hooks.example.org/"
    await db_session.commit()

    async def nobody(host: str, port: int) -> list[targets.Address]:
        raise OSError

    await new_courier(nobody).work()

    assert await outcome(db_session) == ("pending", 1, "The URL has a host that cannot be found.")


async def test_what_cannot_be_signed_for_want_of_a_key_is_tried_again(
    new_courier: NewCourier, due: Delivery, receiver: Receiver, db_session: AsyncSession
) -> None:
    await new_courier(webhook_keys=Fernet.generate_key().decode()).work()

    assert receiver.messages == []
    assert await outcome(db_session) == (
        "pending",
        1,
        "its secret cannot be decrypted with the keys there are",
    )


async def test_a_name_that_leads_inside_by_now_is_not_connected_to(
    new_courier: NewCourier, webhook: Webhook, due: Delivery, receiver: Receiver, db_session: AsyncSession
) -> None:
    """DNS rebinding: the name led outside when the webhook was registered."""
    webhook.url = f"http://hooks.example.org:{receiver.port}/hook"
    await db_session.commit()

    await new_courier(leads_home, webhook_private_targets=False).work()

    assert receiver.messages == []
    assert await outcome(db_session) == ("pending", 1, "The URL leads to an address that is not public.")


async def test_the_connection_goes_to_the_address_that_was_checked_in_the_name_of_the_host(
    new_courier: NewCourier, webhook: Webhook, due: Delivery, receiver: Receiver, db_session: AsyncSession
) -> None:
    webhook.url = f"http://hooks.example.org:{receiver.port}/hook?board=1"
    await db_session.commit()

    await new_courier(leads_home).work()

    (message,) = receiver.messages
    assert (message.headers["host"], message.path) == (
        f"hooks.example.org:{receiver.port}",
        "/hook?board=1",
    )
