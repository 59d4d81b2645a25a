"""One template on the server: found, or built under a lock and published only after success."""

from __future__ import annotations

import contextlib
import dataclasses

import asyncpg

from pgharness.databases import ledger, locales, names, problems
from pgharness.databases.ledger import Connection, Mark
from pgharness.schema.sql import quoted

_TOUCH_SECONDS = 3600


@dataclasses.dataclass(frozen=True, slots=True)
class Template:
    """The migrated database that others are cloned from.

    ``hit`` says that it was there already; ``seconds`` is what finding or building it took.
    """

    name: str
    fingerprint: str
    hit: bool
    seconds: float


@dataclasses.dataclass(frozen=True, slots=True)
class TemplateSite:
    """Where the template of ``fingerprint`` is, or is to be built by ``run`` for the role ``owner``.

    Its text is sorted as by ``locale``.

    Methods run on the background loop.
    """

    connection: Connection
    run: str
    where: str
    fingerprint: str
    owner: str
    locale: str

    @property
    def name(self) -> str:
        return names.template_name(self.fingerprint)

    @property
    def building(self) -> str:
        """The database in which this run builds."""
        return names.build_name(self.fingerprint, self.run)

    async def found(self) -> bool:
        """Whether the finished template is there. From now on this run keeps it from being swept.

        Raises:
            DatabaseError: There is a database of that name, and the harness did not make it.
        """
        await self.connection.execute(
            "SELECT pg_advisory_lock_shared($1)", ledger.key("use", self.fingerprint)
        )
        entry = await ledger.entry(self.connection, self.name, self.where)
        if entry is None:
            return False
        mark = entry.mark
        finished = mark is not None and (mark.kind, mark.fingerprint) == ("template", self.fingerprint)
        if mark is None or not finished or not entry.is_template:
            await ledger.drop(self.connection, self.name, self.where)
            return False
        now = await ledger.now(self.connection)
        if (now - mark.used).total_seconds() > _TOUCH_SECONDS:
            # Another role's template serves as well, though it cannot be marked.
            with contextlib.suppress(asyncpg.InsufficientPrivilegeError):
                await ledger.write(self.connection, self.name, dataclasses.replace(mark, used=now))
        return True

    async def claim(self, seconds: float) -> None:
        """Take the lock under which one run builds; another that has it is waited for.

        Raises:
            DatabaseError: It takes more than ``seconds``.
        """
        lock = ledger.key("build", self.fingerprint)
        await self.connection.execute(f"SET lock_timeout = {max(1, int(seconds * 1000))}")
        try:
            await self.connection.execute("SELECT pg_advisory_lock($1)", lock)
        except asyncpg.LockNotAvailableError:
            holder = await ledger.holder(self.connection, lock) or "a run that has just ended"
            raise problems.build_wait(self.name, seconds, holder) from None
        finally:
            await self.connection.execute("RESET lock_timeout")

    async def release(self) -> None:
        """Give the lock back."""
        await self.connection.execute("SELECT pg_advisory_unlock($1)", ledger.key("build", self.fingerprint))

    async def begin(self) -> None:
        """Create the empty database in which to build."""
        await self.discard()
        await locales.create(self.connection, self.building, self.owner, self.locale)
        now = await ledger.now(self.connection)
        mark = Mark(kind="build", run=self.run, fingerprint=self.fingerprint, created=now, used=now)
        await ledger.write(self.connection, self.building, mark)

    async def discard(self) -> None:
        """Drop what was being built, if anything."""
        await ledger.drop(self.connection, self.building, self.where)

    async def publish(self) -> bool:
        """Make the built database the template, all at once; returns whether another run was faster."""
        connection, building = self.connection, quoted(self.building)
        await connection.execute(f"ALTER DATABASE {building} ALLOW_CONNECTIONS false")
        await ledger.terminate(connection, self.building)
        now = await ledger.now(connection)
        mark = Mark(kind="template", run=self.run, fingerprint=self.fingerprint, created=now, used=now)
        try:
            async with connection.transaction():
                await connection.execute(f"ALTER DATABASE {building} IS_TEMPLATE true")
                await ledger.write(connection, self.building, mark)
                await connection.execute(f"ALTER DATABASE {building} RENAME TO {quoted(self.name)}")
        except asyncpg.DuplicateDatabaseError:
            # A run with another maintenance database, whose locks do not exclude ours.
            await self.discard()
            return await self.found()
        return False
