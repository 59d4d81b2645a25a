"""What a driver raises, by name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import psycopg
import psycopg2


def error(call: Callable[[], Any]) -> str:
    """The name of the error of psycopg 2 or 3 that ``call`` raises."""
    try:
        call()
    except (psycopg.Error, psycopg2.Error) as raised:
        return type(raised).__name__
    return "none"


async def async_error(awaitable: Awaitable[Any]) -> str:
    """The name of the driver's error that ``awaitable`` raises."""
    try:
        await awaitable
    except (psycopg.Error, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as raised:
        return type(raised).__name__
    return "none"
