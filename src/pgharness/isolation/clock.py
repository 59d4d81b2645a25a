"""What time it is for a transaction, where the database is to follow the tests' clock (`pg_clock`)."""

from __future__ import annotations

import datetime as dt  # freezegun and its like replace the class in this module


def now() -> str:
    """This moment as PostgreSQL reads it; frozen where the test has frozen time."""
    return dt.datetime.now(dt.UTC).isoformat()
