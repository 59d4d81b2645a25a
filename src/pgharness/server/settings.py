"""Server settings for data that nobody will miss."""

from __future__ import annotations

from pgharness.config import Config

SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    # In the data directory, and so gone with it: what lies in /dev/shm outlives a server that is killed.
    "dynamic_shared_memory_type": "mmap",
    # A cleared run of checkpoints, and less memory where the data lie in it.
    "checkpoint_timeout": "30min",
    "max_wal_size": "512MB",
}
"""Durability off, room for many workers, all else as PostgreSQL has it."""


def settings_of(config: Config) -> dict[str, str]:
    """The parameters of a server that the harness starts: those of `SETTINGS`, and of pg_server_settings."""
    pairs = (line.partition("=") for line in config.server_settings)
    return {**SETTINGS, **{name.strip(): value.strip() for name, _, value in pairs}}
