"""Passwords that are known from data breaches, by the range API of Have I Been Pwned."""

import asyncio
import hashlib
import logging
from types import TracebackType
from typing import Self

import httpx

from service.settings import Settings

PREFIX = 5
"""Hexadecimal digits of the SHA-1 that leave this process; about a thousand passwords share them."""

PADDED = {"Add-Padding": "true"}
"""Asks for lines that count 0 among the answer's: its size then tells an onlooker nothing."""

logger = logging.getLogger(__name__)


class BreachedPasswords:
    """Asks whether a password is known, without telling it (k-anonymity). An asynchronous context manager."""

    def __init__(self, settings: Settings) -> None:
        self._asked = bool(settings.breach_url)
        self._patience = settings.breach_timeout
        self._client = httpx.AsyncClient(base_url=settings.breach_url)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def know(self, password: str) -> bool:
        """Whether ``password`` is known; no if the API fails, for its failure must not keep anybody out."""
        if not self._asked:
            return False
        digest = hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper()
        try:
            async with asyncio.timeout(self._patience):
                response = await self._client.get(f"/range/{digest[:PREFIX]}", headers=PADDED)
            response.raise_for_status()
        except (httpx.HTTPError, TimeoutError) as error:
            # Not the error's text: it names the digits that were asked for.
            logger.warning("breached passwords could not be asked for", extra={"error": type(error).__name__})
            return False
        return digest[PREFIX:] in _suffixes(response.text)


def _suffixes(text: str) -> set[str]:
    """The rest of each known digest. The lines of the padding, which count 0, are none."""
    pairs = (line.strip().partition(":") for line in text.splitlines())
    return {suffix.upper() for suffix, _, count in pairs if count != "0"}
