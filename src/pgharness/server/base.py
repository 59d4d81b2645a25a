"""What every backend yields: an address reserved before the server runs, and a running server."""

from __future__ import annotations

import dataclasses
from typing import Literal, Protocol
from urllib.parse import quote

Driver = Literal["", "asyncpg", "psycopg", "psycopg2"]


@dataclasses.dataclass(frozen=True, slots=True)
class Address:
    """Where a server is and how to log in. ``database`` is the maintenance database."""

    host: str
    port: int
    user: str
    password: str = dataclasses.field(repr=False)
    database: str = "postgres"

    def url(self, database: str | None = None, driver: Driver = "") -> str:
        """A URL, ``postgresql://`` or with SQLAlchemy's ``+driver``, to ``database``."""
        scheme = f"postgresql+{driver}" if driver else "postgresql"
        host = f"[{self.host}]" if ":" in self.host else quote(self.host, safe="")
        login = quote(self.user, safe="") + (":" + quote(self.password, safe="") if self.password else "")
        return f"{scheme}://{login}@{host}:{self.port}/{quote(database or self.database, safe='')}"

    def template_values(self, database: str) -> dict[str, str]:
        """The values that ``pg_env`` templates know, for ``database``."""
        return {
            "url": self.url(database),
            "asyncpg_url": self.url(database, "asyncpg"),
            "psycopg_url": self.url(database, "psycopg"),
            "psycopg2_url": self.url(database, "psycopg2"),
            "host": self.host,
            "port": str(self.port),
            "user": self.user,
            "password": self.password,
            "database": database,
        }


class Server(Protocol):
    """A PostgreSQL server that answers."""

    backend: Literal["container", "local", "external"]
    address: Address
    version: str
    """As the server says it, for example ``17.11``."""
    detail: str
    """Where it runs, for the header: ``in a container (postgres:17)``."""
    owned: bool
    """Whether the harness started it: durability is off and nobody else uses it."""
    tried: tuple[str, ...]
    """What ``auto`` tried before, with the reason it was not taken."""

    superuser: bool
    """Whether the user of ``address`` is one."""

    @property
    def major(self) -> int: ...

    def stop(self) -> None:
        """Stop the server and remove what it left. Safe to call twice."""
        ...
