"""Signing what is sent, by the rules of Standard Webhooks (https://www.standardwebhooks.com)."""

import base64
import hashlib
import hmac
import secrets
from uuid import UUID

PREFIX = "whsec_"
SECRET_BYTES = 32


def new_secret() -> str:
    """A new key, in the form in which it is shown."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def signed_headers(secret: str, message_id: UUID, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers that tell a receiver who sent ``body``, and when.

    Args:
        secret: As `new_secret` made it.
        message_id: The same for each attempt, so that a receiver knows what it has had already.
        timestamp: Seconds since 1970; a receiver refuses what is old, which might be replayed.
        body: To the byte.
    """
    key = base64.b64decode(secret.removeprefix(PREFIX))
    signed = f"{message_id}.{timestamp}.".encode() + body
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return {
        "Webhook-Id": str(message_id),
        "Webhook-Timestamp": str(timestamp),
        "Webhook-Signature": f"v1,{base64.b64encode(digest).decode()}",
    }
