"""Server settings for data that nobody will miss."""

from __future__ import annotations

SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    # A cleared run of checkpoints, and less memory where the data lie in it.
    "checkpoint_timeout": "30min",
    "max_wal_size": "512MB",
}
"""Durability off, room for many workers, all else as PostgreSQL has it."""
