from typing import Literal

from pydantic import BaseModel


class AccessToken(BaseModel):
    """The answer to a login, RFC 6749 (5.1)."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 (a kind of token, not one)
    expires_in: int
    """Seconds."""
