"""Which worker may send a message of the outbox: one at a time, and another one if that dies."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from service.models import Delivery, Webhook
from service.worker.deliveries import Courier
from tests.support.couriers import NOON, NewCourier, outcome
from tests.support.factories import MakeDelivery
from tests.support.receiver import Receiver

# Workers race, and skip each other's locks: neither can be seen within one transaction.
pytestmark = pytest.mark.pg(isolation="database")

HOUR = timedelta(hours=1)


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
    new_courier: NewCourier, due: Delivery
) -> None:
    courier = new_courier(webhook_lease=60)

    taken = await courier.claim(NOON)
    meanwhile = await courier.claim(NOON + timedelta(seconds=59))
    afterwards = await courier.claim(NOON + timedelta(seconds=60))

    assert [len(claims) for claims in (taken, meanwhile, afterwards)] == [1, 0, 1]
    assert afterwards[0].delivery.attempts == 2


async def test_a_failure_that_comes_late_changes_nothing_for_who_has_taken_over(
    new_courier: NewCourier, due: Delivery, receiver: Receiver, db_session: AsyncSession
) -> None:
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
