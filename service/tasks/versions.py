"""Which version of a task a request means: RFC 9110 (8.8.3, 13.1.1)."""

import re

from service.errors import StaleVersionError, VersionRequiredError

_TAG = re.compile(r'\s*(W/)?"([^"]*)"\s*')


def etag(version: int) -> str:
    """The entity tag of a version."""
    return f'"{version}"'


def check(if_match: str | None, version: int, *, required: bool) -> None:
    """Return if the request means ``version``.

    A weak tag never matches: it does not tell one version from another.

    Raises:
        VersionRequiredError: It says nothing, and has to.
        StaleVersionError: It means others.
    """
    if if_match is None:
        if required:
            raise VersionRequiredError
        return
    if if_match.strip() == "*":
        return
    found = [_TAG.fullmatch(part) for part in if_match.split(",")]
    if not any(tag and not tag[1] and tag[2] == str(version) for tag in found):
        raise StaleVersionError
