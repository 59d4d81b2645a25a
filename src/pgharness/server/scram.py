"""A stored password that is cheap to log in with."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets


def verifier(password: str) -> str:
    """What PostgreSQL stores for ``password`` under SCRAM-SHA-256, with one iteration.

    PostgreSQL takes it wherever it takes a password. The usual 4096 iterations slow down the
    guessing of weak passwords and cost every login milliseconds; ours are 24 random bytes. The
    clear text is in no file and no container's environment.
    """
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 1)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    salt_text, stored_text, server_text = (base64.b64encode(part).decode() for part in (salt, stored, server))
    return f"SCRAM-SHA-256$1:{salt_text}${stored_text}:{server_text}"
