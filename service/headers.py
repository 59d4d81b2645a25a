"""Headers of answers, as the OpenAPI document describes them."""

from typing import Any

MEANINGS = {
    "ETag": "The version of what is answered, for `If-Match`.",
    "Location": "Where the new one is to be found.",
    "Retry-After": "Seconds after which it may be tried again.",
    "WWW-Authenticate": "Which kind of credentials opens this: RFC 6750.",
}


def described(*names: str) -> dict[str, Any]:
    """The ``headers`` of a response that always has these."""
    return {
        name: {"description": MEANINGS[name], "required": True, "schema": {"type": "string"}}
        for name in names
    }
