from typing import Annotated

from fastapi import Depends

from service.auth.passwords import PasswordHasher
from service.auth.schemas import AccessToken
from service.auth.tokens import Tokens
from service.dependencies import PasswordHasherDep, SessionDep, TokensDep
from service.errors import InvalidTokenError, WrongCredentialsError
from service.users.models import User
from service.users.repository import UserRepository


class AuthService:
    def __init__(self, users: UserRepository, hasher: PasswordHasher, tokens: Tokens) -> None:
        self._users = users
        self._hasher = hasher
        self._tokens = tokens

    async def log_in(self, email: str, password: str) -> AccessToken:
        """A new access token.

        A hash that was made with other parameters than today's is replaced: only now is the password known.

        Raises:
            WrongCredentialsError: No such user, or another password; it takes as long for either.
        """
        user = await self._users.by_email(email)
        right = await self._hasher.verify(user.password_hash if user else None, password)
        if user is None or not right:
            raise WrongCredentialsError
        if self._hasher.outdated(user.password_hash):
            user.password_hash = await self._hasher.hash(password)
        lifetime = int(self._tokens.lifetime.total_seconds())
        return AccessToken(access_token=self._tokens.issue(user.id), expires_in=lifetime)

    async def user_of(self, token: str) -> User:
        """Whose token it is.

        Raises:
            ExpiredTokenError: It is too old.
            InvalidTokenError: It is not valid, or its user is gone.
        """
        user = await self._users.get(self._tokens.read(token).user_id)
        if user is None:
            raise InvalidTokenError
        return user


def auth_service(session: SessionDep, hasher: PasswordHasherDep, tokens: TokensDep) -> AuthService:
    return AuthService(UserRepository(session), hasher, tokens)


AuthServiceDep = Annotated[AuthService, Depends(auth_service)]
