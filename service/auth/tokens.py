"""Access tokens: JSON Web Tokens, signed with HS256."""

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Self
from uuid import UUID, uuid4

import jwt

from service import clock
from service.errors import ExpiredTokenError, InvalidTokenError
from service.settings import Settings

ALGORITHM = "HS256"
REQUIRED = ("sub", "sid", "iss", "aud", "iat", "exp", "jti")


@dataclasses.dataclass(frozen=True, slots=True)
class Claims:
    """What a valid token says: whose it is, of which session, and which token it is."""

    user_id: UUID
    session_id: UUID
    token_id: UUID
    issued_at: datetime
    expires_at: datetime


@dataclasses.dataclass(frozen=True, slots=True)
class Tokens:
    """Issues and reads access tokens of one issuer for one audience."""

    key: str = dataclasses.field(repr=False)
    issuer: str
    audience: str
    lifetime: timedelta

    @classmethod
    def of(cls, settings: Settings) -> Self:
        return cls(
            key=settings.secret_key.get_secret_value(),
            issuer=settings.token_issuer,
            audience=settings.token_audience,
            lifetime=timedelta(seconds=settings.token_lifetime),
        )

    def issue(self, user_id: UUID, session_id: UUID) -> str:
        """A token for ``user_id``, valid from now for ``lifetime`` or until the session ends."""
        issued_at = clock.now()
        claims = {
            "sub": str(user_id),
            "sid": str(session_id),
            "iss": self.issuer,
            "aud": self.audience,
            "iat": issued_at,
            "exp": issued_at + self.lifetime,
            "jti": str(uuid4()),
        }
        return jwt.encode(claims, self.key, ALGORITHM)

    def read(self, token: str) -> Claims:
        """What ``token`` says, if this issuer signed it for this audience and it has not expired.

        Raises:
            ExpiredTokenError: It was valid once.
            InvalidTokenError: It is not, for any other reason.
        """
        try:
            claims = jwt.decode(
                token,
                self.key,
                algorithms=[ALGORITHM],
                issuer=self.issuer,
                audience=self.audience,
                options={"require": list(REQUIRED)},
            )
            return Claims(
                user_id=UUID(claims["sub"]),
                session_id=UUID(claims["sid"]),
                token_id=UUID(claims["jti"]),
                issued_at=datetime.fromtimestamp(claims["iat"], UTC),
                expires_at=datetime.fromtimestamp(claims["exp"], UTC),
            )
        except jwt.ExpiredSignatureError:
            raise ExpiredTokenError from None
        except (jwt.InvalidTokenError, ValueError):
            raise InvalidTokenError from None
