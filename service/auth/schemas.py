from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class TokenPair(BaseModel):
    """The answer to a login and to a refresh, RFC 6749 (5.1)."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 (a kind of token, not one)
    expires_in: int
    """Seconds the access token is valid for."""
    refresh_token: str
    """Good for one refresh."""


class RefreshRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    refresh_token: SecretStr = Field(max_length=512)
