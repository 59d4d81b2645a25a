import logging
from typing import Annotated

from fastapi import Depends

from service import clock
from service.auth.passwords import PasswordHasher
from service.auth.repository import LoginRepository
from service.auth.vetting import NewPasswords, NewPasswordsDep
from service.dependencies import PasswordHasherDep, SessionDep
from service.errors import WrongPasswordError
from service.pagination import PageRequest
from service.schemas import Page
from service.users.models import User
from service.users.repository import UserRepository
from service.users.schemas import Account, PasswordChange, Profile, Registration

logger = logging.getLogger(__name__)


class UserService:
    def __init__(
        self, users: UserRepository, logins: LoginRepository, hasher: PasswordHasher, passwords: NewPasswords
    ) -> None:
        self._users = users
        self._logins = logins
        self._hasher = hasher
        self._passwords = passwords

    async def register(self, wish: Registration) -> User:
        """The new user. The first one is an admin.

        Raises:
            WeakPasswordError: The password breaks the policy.
            EmailTakenError: The address has an account already.
        """
        password = wish.password.get_secret_value()
        password_hash = await self._passwords.hash(password, email=wish.email, name=wish.name)
        is_admin = await self._users.will_be_first()
        user = await self._users.add(
            User(email=wish.email, name=wish.name, password_hash=password_hash, is_admin=is_admin)
        )
        logger.info("registered", extra={"user_id": str(user.id), "is_admin": is_admin})
        return user

    async def change_password(self, user: User, change: PasswordChange) -> None:
        """Change it and end every session of the user, the one that asks included.

        Raises:
            WrongPasswordError: ``current_password`` is not the present one.
            WeakPasswordError: The new one breaks the policy.
        """
        if not await self._hasher.verify(user.password_hash, change.current_password.get_secret_value()):
            raise WrongPasswordError
        password_hash = await self._passwords.hash(
            change.new_password.get_secret_value(), email=user.email, name=user.name, field="new_password"
        )
        await self._users.set_password_hash(user.id, password_hash)
        await self._logins.end_all(user.id, clock.now())
        logger.info("password changed: sessions ended", extra={"user_id": str(user.id)})

    async def directory(self, request: PageRequest) -> Page[Profile]:
        rows, next_cursor = request.split(await self._users.page(request))
        return Page(items=[Profile.model_validate(row) for row in rows], next_cursor=next_cursor)

    async def accounts(self, request: PageRequest) -> Page[Account]:
        rows, next_cursor = request.split(await self._users.page(request))
        return Page(items=[Account.model_validate(row) for row in rows], next_cursor=next_cursor)


async def user_service(
    session: SessionDep, hasher: PasswordHasherDep, passwords: NewPasswordsDep
) -> UserService:
    return UserService(UserRepository(session), LoginRepository(session), hasher, passwords)


UserServiceDep = Annotated[UserService, Depends(user_service)]
