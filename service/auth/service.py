import hashlib
import logging
import secrets
from datetime import timedelta
from typing import Annotated

from fastapi import Depends

from service import clock
from service.auth.models import LoginSession
from service.auth.passwords import PasswordHasher
from service.auth.repository import LoginRepository
from service.auth.schemas import TokenPair
from service.auth.tokens import Tokens
from service.dependencies import PasswordHasherDep, ResourcesDep, SessionDep, TokensDep
from service.errors import InvalidRefreshTokenError, InvalidTokenError, WrongCredentialsError
from service.users.models import User
from service.users.repository import UserRepository

REFRESH_TOKEN_BYTES = 32

logger = logging.getLogger(__name__)


def digest_of(refresh_token: str) -> bytes:
    """What is kept of a refresh token. It is random and long, so that nobody finds it by hashing guesses."""
    return hashlib.sha256(refresh_token.encode(errors="replace")).digest()


class AuthService:
    def __init__(
        self,
        users: UserRepository,
        logins: LoginRepository,
        hasher: PasswordHasher,
        tokens: Tokens,
        session_lifetime: timedelta,
    ) -> None:
        self._users = users
        self._logins = logins
        self._hasher = hasher
        self._tokens = tokens
        self._session_lifetime = session_lifetime

    async def log_in(self, email: str, password: str) -> TokenPair:
        """The tokens of a new session.

        A hash that was made with other parameters than today's is replaced: only now is the password known.

        Raises:
            WrongCredentialsError: No such user, or another password; it takes as long for either.
        """
        user = await self._users.by_email(email)
        right = await self._hasher.verify(user.password_hash if user else None, password)
        if user is None or not right:
            logger.info("login refused", extra={"user_id": user and str(user.id)})
            raise WrongCredentialsError
        if self._hasher.outdated(user.password_hash):
            user.password_hash = await self._hasher.hash(password)
        login = await self._logins.start(user.id, clock.now() + self._session_lifetime)
        logger.info("logged in", extra={"user_id": str(user.id), "session_id": str(login.id)})
        return await self._tokens_of(login)

    async def refresh(self, refresh_token: str) -> TokenPair:
        """New tokens for a refresh token, which is used up by it.

        A token that comes a second time was stolen, before or after: its session ends, for
        whoever holds the latest one (RFC 9700, 4.14.2).

        Raises:
            InvalidRefreshTokenError: It is not one, was used before, or its session has ended.
        """
        now = clock.now()
        token = await self._logins.token(digest_of(refresh_token))
        if token is None or token.session.ended_at is not None or token.session.expires_at <= now:
            raise InvalidRefreshTokenError
        if token.used_at is not None:
            about = {"user_id": str(token.session.user_id), "session_id": str(token.session_id)}
            await self._logins.end(token.session_id, now)
            await self._logins.commit()  # the error that follows would undo it
            logger.warning("a refresh token came twice: session ended", extra=about)
            raise InvalidRefreshTokenError
        token.used_at = now
        return await self._tokens_of(token.session)

    async def log_out(self, refresh_token: str) -> None:
        """End the session of the token. One that is not valid has none, and is no error (RFC 7009, 2.2)."""
        token = await self._logins.token(digest_of(refresh_token))
        if token is not None:
            await self._logins.end(token.session_id, clock.now())
            logger.info("logged out", extra={"session_id": str(token.session_id)})

    async def user_of(self, token: str) -> User:
        """Whose token it is.

        Raises:
            ExpiredTokenError: It is too old.
            InvalidTokenError: It is not valid, its session has ended, or its user is gone.
        """
        claims = self._tokens.read(token)
        user = await self._logins.user_of(claims.session_id, claims.user_id, clock.now())
        if user is None:
            raise InvalidTokenError
        return user

    async def _tokens_of(self, login: LoginSession) -> TokenPair:
        refresh_token = secrets.token_urlsafe(REFRESH_TOKEN_BYTES)
        await self._logins.add_token(login, digest_of(refresh_token))
        return TokenPair(
            access_token=self._tokens.issue(login.user_id, login.id),
            expires_in=int(self._tokens.lifetime.total_seconds()),
            refresh_token=refresh_token,
        )


async def auth_service(
    session: SessionDep, hasher: PasswordHasherDep, tokens: TokensDep, resources: ResourcesDep
) -> AuthService:
    lifetime = timedelta(seconds=resources.settings.session_lifetime)
    return AuthService(UserRepository(session), LoginRepository(session), hasher, tokens, lifetime)


AuthServiceDep = Annotated[AuthService, Depends(auth_service)]
