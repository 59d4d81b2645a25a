"""By TLS a message goes to the address that was checked, and only to who has a certificate of the name."""

import ipaddress
import ssl
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

import pytest
import trustme
from freezegun import freeze_time
from sqlalchemy.ext.asyncio import AsyncSession

from service.models import Delivery, User
from service.webhooks.targets import Address, Resolve
from service.worker.deliveries import Courier
from tests.support.couriers import NewCourier, leads_home, outcome
from tests.support.factories import MakeDelivery, MakeWebhook
from tests.support.receiver import receiving

# A courier commits what it claims before it connects.
pytestmark = pytest.mark.pg(isolation="database")

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)

MessageTo = Callable[[str], Awaitable[Delivery]]
Trusting = Callable[[Resolve], Courier]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Who signs the receivers' certificates."""
    return trustme.CA()


@pytest.fixture
def trusting(new_courier: NewCourier, authority: trustme.CA) -> Trusting:
    """Make a courier that believes the authority, and checks as it does in production."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return lambda resolve: new_courier(resolve, context)


@pytest.fixture
def message_to(ada: User, make_webhook: MakeWebhook, make_delivery: MakeDelivery) -> MessageTo:
    """Leave a message to a URL, due at noon."""

    async def put(url: str) -> Delivery:
        webhook = await make_webhook(owner_id=ada.id, url=url)
        return await make_delivery(webhook_id=webhook.id, due_at=NOON)

    return put


def certified(authority: trustme.CA, name: str) -> ssl.SSLContext:
    """A server's side of TLS, with a certificate for ``name``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


async def test_the_address_is_that_which_was_checked_and_the_certificate_that_of_the_name(
    trusting: Trusting, authority: trustme.CA, message_to: MessageTo, db_session: AsyncSession
) -> None:
    lookups: list[str] = []
    asked: list[str | None] = []

    async def resolve(host: str, port: int) -> Sequence[Address]:
        """A name server that turns: only its first answer leads to the receiver."""
        lookups.append(host)
        return [ipaddress.ip_address("127.0.0.1" if len(lookups) == 1 else "192.0.2.1")]

    tls = certified(authority, "hooks.example.org")
    tls.sni_callback = lambda _socket, name, _context: asked.append(name)
    async with receiving(tls) as receiver:
        await message_to(f"https://hooks.example.org:{receiver.port}/hook")
        await trusting(resolve).work()

    (message,) = receiver.messages
    assert message.headers["host"] == f"hooks.example.org:{receiver.port}"
    assert (lookups, asked) == (["hooks.example.org"], ["hooks.example.org"])
    assert await outcome(db_session) == ("delivered", 1, None)


async def test_a_url_with_an_address_needs_a_certificate_of_the_address(
    trusting: Trusting, authority: trustme.CA, message_to: MessageTo, db_session: AsyncSession
) -> None:
    async def resolve(host: str, port: int) -> Sequence[Address]:
        return [ipaddress.ip_address(host)]

    async with receiving(certified(authority, "127.0.0.1")) as receiver:
        await message_to(f"https://127.0.0.1:{receiver.port}/hook")
        await trusting(resolve).work()

    assert await outcome(db_session) == ("delivered", 1, None)


@pytest.mark.parametrize("name", ["other.example.org", "127.0.0.1"])
async def test_who_has_a_certificate_of_another_name_gets_nothing_and_is_tried_again(
    trusting: Trusting, authority: trustme.CA, message_to: MessageTo, db_session: AsyncSession, name: str
) -> None:
    tls, courier = certified(authority, name), trusting(leads_home)
    async with receiving(tls) as receiver:
        await message_to(f"https://hooks.example.org:{receiver.port}/hook")
        with freeze_time(NOON, real_asyncio=True) as clock:
            await courier.work()
            refused, messages = await outcome(db_session), list(receiver.messages)

            authority.issue_cert("hooks.example.org").configure_cert(tls)
            clock.tick(HOUR)
            await courier.work()

    assert (refused, messages) == (("pending", 1, "ConnectError"), [])
    assert await outcome(db_session) == ("delivered", 2, None)


async def test_who_has_a_certificate_of_an_unknown_authority_gets_nothing(
    new_courier: NewCourier, message_to: MessageTo, db_session: AsyncSession
) -> None:
    async with receiving(certified(trustme.CA(), "hooks.example.org")) as receiver:
        await message_to(f"https://hooks.example.org:{receiver.port}/hook")
        await new_courier(leads_home).work()

    assert receiver.messages == []
    assert await outcome(db_session) == ("pending", 1, "ConnectError")
