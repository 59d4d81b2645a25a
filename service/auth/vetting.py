"""Whether a new password will do: the policy first, which costs nothing, then the breaches."""

from typing import Annotated

from fastapi import Depends

from service.auth.breaches import BreachedPasswords
from service.auth.passwords import PasswordHasher
from service.auth.policy import weaknesses
from service.dependencies import BreachedPasswordsDep, PasswordHasherDep
from service.errors import WeakPasswordError

BREACHED = "It must not be a password that is known from a data breach."


class NewPasswords:
    def __init__(self, breached: BreachedPasswords, hasher: PasswordHasher) -> None:
        self._breached = breached
        self._hasher = hasher

    async def hash(self, password: str, *, email: str, name: str, field: str = "password") -> str:
        """The hash of a password that will do. ``field`` of the request holds it.

        Raises:
            WeakPasswordError: It will not.
        """
        if reasons := weaknesses(password, email=email, name=name):
            raise WeakPasswordError(reasons, field)
        if await self._breached.know(password):
            raise WeakPasswordError([BREACHED], field)
        return await self._hasher.hash(password)


async def new_passwords(breached: BreachedPasswordsDep, hasher: PasswordHasherDep) -> NewPasswords:
    return NewPasswords(breached, hasher)


NewPasswordsDep = Annotated[NewPasswords, Depends(new_passwords)]
