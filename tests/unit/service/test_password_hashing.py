"""argon2 behind the event loop. The parameters are the cheapest there are: the tests are not about them."""

import time
from collections.abc import AsyncIterator

import pytest

from service.auth.passwords import PasswordHasher
from service.settings import Settings


def settings(**argon2: int) -> Settings:
    cheap = {"argon2_time_cost": 1, "argon2_memory_cost": 8, "argon2_parallelism": 1, "argon2_workers": 1}
    return Settings.model_validate(
        {"database_url": "postgresql+asyncpg://localhost/board", **cheap, **argon2}
    )


@pytest.fixture
async def hasher() -> AsyncIterator[PasswordHasher]:
    async with PasswordHasher(settings()) as hasher:
        yield hasher


async def test_only_the_right_password_is_verified(hasher: PasswordHasher) -> None:
    password_hash = await hasher.hash("correct horse battery")

    answers = [
        await hasher.verify(password_hash, password)
        for password in ("correct horse battery", "Correct horse battery", "")
    ]

    assert answers == [True, False, False]


async def test_the_same_password_never_has_the_same_hash(hasher: PasswordHasher) -> None:
    assert await hasher.hash("correct horse battery") != await hasher.hash("correct horse battery")


async def test_nobody_has_no_password(hasher: PasswordHasher) -> None:
    assert not await hasher.verify(None, "the password of nobody")


async def test_verifying_for_nobody_costs_what_it_costs_for_somebody() -> None:
    async with PasswordHasher(settings(argon2_time_cost=500)) as slow:
        somebody = await slow.hash("correct horse battery")
        costs = []
        for password_hash in (somebody, None):
            began = time.process_time()  # of the processor: a busy machine does not matter
            await slow.verify(password_hash, "wrong horse battery")
            costs.append(time.process_time() - began)

    for_somebody, for_nobody = costs
    assert for_nobody > for_somebody / 3


async def test_what_is_no_hash_verifies_nothing(hasher: PasswordHasher) -> None:
    assert not await hasher.verify("disabled", "disabled")


async def test_a_hash_is_outdated_when_the_parameters_have_changed(hasher: PasswordHasher) -> None:
    async with PasswordHasher(settings(argon2_time_cost=2)) as stronger:
        old = await hasher.hash("correct horse battery")

        assert (hasher.outdated(old), stronger.outdated(old)) == (False, True)
        assert await stronger.verify(old, "correct horse battery")
