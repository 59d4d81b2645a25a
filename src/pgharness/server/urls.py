"""Read the address of a server that somebody else runs."""

from __future__ import annotations

import getpass
import re
from urllib.parse import unquote, urlsplit

from pgharness.errors import ConfigError
from pgharness.server.base import Address

_SCHEME = re.compile(r"postgres(?:ql)?(?:\+\w+)?$")
_FORM = "postgresql://user:password@host:port/database"


def parse_url(url: str, source: str) -> Address:
    """The address in ``url``: ``postgresql://`` or ``postgres://``, with or without a ``+driver``.

    The port defaults to 5432, the user to the operating system's (as libpq does), the database to
    ``postgres``. Names and password may be percent-encoded. ``source`` says where the URL was given.

    Raises:
        ConfigError: It is no such URL, or it carries parameters. Nothing of it is shown.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise _invalid(source, "its host or port cannot be read") from None
    if not _SCHEME.match(parts.scheme):
        raise _invalid(source, "it does not start with postgresql://")
    if parts.query or parts.fragment:
        raise _parameters(source, parts.query.partition("=")[0] or "#")
    if not host or "%2f" in host.lower():
        raise _invalid(source, "it names no host; a server on a socket alone is not supported")
    return Address(
        host=unquote(host),
        port=port or 5432,
        user=unquote(parts.username or "") or _system_user(),
        password=unquote(parts.password or ""),
        database=unquote(parts.path.strip("/")) or "postgres",
    )


def _system_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a bare number, in a container
        return "postgres"


def _invalid(source: str, reason: str) -> ConfigError:
    return ConfigError(
        f"pg_url ({source}) is not the address of a PostgreSQL server: {reason}.",
        fix=[f"write it like {_FORM}, special characters in names and password percent-encoded"],
    )


def _parameters(source: str, name: str) -> ConfigError:
    return ConfigError(
        f"pg_url ({source}) carries the parameter {name!r}, which the addresses made from it would lose.",
        cause="Drivers disagree on what parameters are called.",
        fix=[
            "drop it, and set PGSSLMODE in the environment if it is about TLS: every driver reads that",
            'or write it into the template: pg_env = ["DATABASE_URL={asyncpg_url}?name=value"]',
        ],
    )
