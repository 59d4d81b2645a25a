from typing import Annotated

from fastapi import Depends

from service.auth.passwords import PasswordHasher
from service.auth.policy import weaknesses
from service.dependencies import PasswordHasherDep, SessionDep
from service.errors import WeakPasswordError
from service.pagination import PageRequest
from service.schemas import Page
from service.users.models import User
from service.users.repository import UserRepository
from service.users.schemas import Profile, Registration


class UserService:
    def __init__(self, users: UserRepository, hasher: PasswordHasher) -> None:
        self._users = users
        self._hasher = hasher

    async def register(self, wish: Registration) -> User:
        """The new user.

        Raises:
            WeakPasswordError: The password breaks the policy.
            EmailTakenError: The address has an account already.
        """
        password = wish.password.get_secret_value()
        if reasons := weaknesses(password, email=wish.email, name=wish.name):
            raise WeakPasswordError(reasons)
        password_hash = await self._hasher.hash(password)
        return await self._users.add(User(email=wish.email, name=wish.name, password_hash=password_hash))

    async def directory(self, request: PageRequest) -> Page[Profile]:
        rows, next_cursor = request.split(await self._users.page(request))
        return Page(items=[Profile.model_validate(row) for row in rows], next_cursor=next_cursor)


def user_service(session: SessionDep, hasher: PasswordHasherDep) -> UserService:
    return UserService(UserRepository(session), hasher)


UserServiceDep = Annotated[UserService, Depends(user_service)]
