"""Hashing passwords with argon2, in threads of their own: it takes tens of milliseconds and much memory."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

import argon2
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from service.settings import Settings


class PasswordHasher:
    """argon2id with the parameters of the settings. An asynchronous context manager: it owns threads."""

    def __init__(self, settings: Settings) -> None:
        self._argon2 = argon2.PasswordHasher(
            time_cost=settings.argon2_time_cost,
            memory_cost=settings.argon2_memory_cost,
            parallelism=settings.argon2_parallelism,
        )
        self._threads = ThreadPoolExecutor(settings.argon2_workers, thread_name_prefix="argon2")
        self._nobodys_hash = ""

    async def __aenter__(self) -> Self:
        self._nobodys_hash = await self.hash("the password of nobody")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._threads.shutdown()

    async def hash(self, password: str) -> str:
        """An encoded hash with a new salt."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._argon2.hash, password)

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether ``password`` is the one that was hashed.

        Without a hash the answer is no, and takes as long as with one: the time does not tell
        whether there is such a user.
        """
        known = password_hash or self._nobodys_hash
        right = await asyncio.get_running_loop().run_in_executor(self._threads, self._check, known, password)
        return right and password_hash is not None

    def outdated(self, password_hash: str) -> bool:
        """Whether the hash was made with other parameters than today's."""
        return self._argon2.check_needs_rehash(password_hash)

    def _check(self, password_hash: str, password: str) -> bool:
        try:
            return self._argon2.verify(password_hash, password)
        except (VerifyMismatchError, InvalidHashError):
            return False
