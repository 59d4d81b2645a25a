"""What a receiver can check."""

import base64
import time
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from service.webhooks.signature import PREFIX, new_secret, signed_headers
from tests.support import project_files

SECRET = PREFIX + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
MESSAGE = UUID("3f1c9a52-8f53-4f0e-9f57-6b0a0d6a9d10")


def test_the_headers_name_message_time_and_signature() -> None:
    # printf '%s' '3f1c9a52-8f53-4f0e-9f57-6b0a0d6a9d10.1772366400.{}' |
    #   openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef -binary | base64
    assert signed_headers(SECRET, MESSAGE, 1772366400, b"{}") == {
        "Webhook-Id": "3f1c9a52-8f53-4f0e-9f57-6b0a0d6a9d10",
        "Webhook-Timestamp": "1772366400",
        "Webhook-Signature": "v1,SHKsPOsC2jQGNlrRgAhjgfEz5cPJX0+jPmtiOO89t6M=",
    }


@given(st.binary(), st.binary(), st.integers(0, 2**40), st.integers(0, 2**40))
def test_another_body_or_another_time_has_another_signature(
    body: bytes, other: bytes, moment: int, later: int
) -> None:
    signed = signed_headers(SECRET, MESSAGE, moment, body)["Webhook-Signature"]
    changed = signed_headers(SECRET, MESSAGE, later, other)["Webhook-Signature"]

    assert (signed == changed) == ((body, moment) == (other, later))


def test_every_secret_is_new_and_has_256_bits() -> None:
    first, second = new_secret(), new_secret()

    assert first != second
    assert len(base64.b64decode(first.removeprefix(PREFIX))) == 32


def test_the_receiver_of_the_documentation_checks_signature_and_age() -> None:
    page: dict[str, Any] = {}
    (code,) = project_files.blocks("docs/reference/webhooks.md", "python")
    exec(code, page)  # noqa: S102 (our own page)

    def accepts(body: bytes, *, age: int) -> bool:
        sent = signed_headers(SECRET, MESSAGE, int(time.time()) - age, b"{}")
        return bool(page["is_ours"](SECRET, {name.lower(): value for name, value in sent.items()}, body))

    assert [accepts(b"{}", age=0), accepts(b"{}", age=200)] == [True, True]
    assert [accepts(b"{}", age=301), accepts(b"[]", age=0)] == [False, False]
