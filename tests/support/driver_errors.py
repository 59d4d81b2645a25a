"""What a driver raises, by name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import psycopg


def error(call: Callable[[], Any]) -> str:
    """The name of the psycopg error that ``call`` raises."""
    try:
        call()
    except psycopg.Error as raised:
        return type(raised).__name__
    return "none"


async def async_error(awaitable: Awaitable[Any]) -> str:
    """The name of the driver's error that ``awaitable`` raises."""
    try:
        await awaitable
    except (psycopg.Error, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as raised:
        return type(raised).__name__
    return "none"
