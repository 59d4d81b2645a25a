"""New and empty databases, in the locale that the options name."""

from __future__ import annotations

import asyncpg

from pgharness.config.options import DEFAULT_LOCALE
from pgharness.databases import problems
from pgharness.databases.ledger import BIRTHMARK, Connection
from pgharness.schema.sql import quoted

_EVERYWHERE = "C"


async def create(connection: Connection, name: str, owner: str, locale: str, copy: str = "") -> None:
    """Create the empty database ``name``. ``copy`` is a clause that says how.

    Where the server does not know the default locale, text is sorted in the same order by C.

    Raises:
        DatabaseError: The server does not know ``locale``.
    """
    choices = (locale, _EVERYWHERE) if locale == DEFAULT_LOCALE else (locale,)
    for choice in choices:
        text = choice.replace("'", "''")
        try:
            # template0: what somebody has added to template1 is not part of the fingerprint.
            await connection.execute(
                f"CREATE DATABASE {quoted(name)} OWNER {quoted(owner)} TEMPLATE template0{copy} "
                f"LOCALE_PROVIDER libc LOCALE '{text}' ENCODING 'UTF8' CONNECTION LIMIT {BIRTHMARK}"
            )
        except asyncpg.WrongObjectTypeError as error:
            if choice == choices[-1]:
                raise problems.no_locale(locale, str(error).splitlines()[0]) from error
        else:
            return
