"""Who may be a client, and with what its session begins."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from pgharness.proxy.core import wire
from pgharness.proxy.core.client import Client
from pgharness.proxy.core.settings import AUTHORIZATION, current, literal, set_all
from pgharness.proxy.server import auth, upstream
from pgharness.proxy.server.startup import Startup
from pgharness.proxy.server.upstream import ConnectError, Target

if TYPE_CHECKING:
    from pgharness.proxy.server.proxy import Proxy
    from pgharness.proxy.server.session import Session

Settings = dict[str, str]
_LONG_SECRET, _SECRET = 32, 4
_STORED = """
SELECT unnest(setconfig) FROM pg_catalog.pg_db_role_setting
WHERE setrole = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = {role})
  AND setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))
ORDER BY setdatabase
"""


class Admission:
    """Lets clients in.

    A role has the password that the server keeps for it; one without has that of the run.
    """

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._user: str = proxy.options["user"]
        """As whom the app logs in, with the password of the run."""
        self._role: str = proxy.options.get("role", self._user)
        """The role that it has then."""
        self._verifier = auth.Verifier.of(proxy.options["password"])
        self._known: dict[tuple[str, bool, tuple[tuple[str, str], ...]], tuple[Settings, Settings]] = {}
        self._pid = 0

    def login_of(self, role: str) -> Target:
        """How a connection for ``role`` logs in: as that role, or else as who may become it."""
        proxy = self._proxy
        return proxy.owner if role == proxy.owner.user else proxy.target

    def verifier(self, user: str) -> auth.Verifier | str:
        """What tells whether a password of ``user`` is right; text is a stored MD5 password."""
        if user not in (self._user, self._proxy.owner.user):
            stored = self._stored_password(user)
            if stored is None:
                return auth.Verifier.of(os.urandom(_LONG_SECRET).hex())  # no such role
            if stored.startswith("md5"):
                return stored
            if (found := auth.Verifier.read(stored)) is not None:
                return found
        return self._verifier

    def _stored_password(self, user: str) -> str | None:
        """What the server keeps of a password, empty if it does not tell; None without a role ``user``."""
        shared = self._proxy.shared
        question = f"SELECT rolpassword FROM pg_catalog.pg_authid WHERE rolname = {literal(user)}"
        try:
            if shared.scope.begun and shared.channel.idle:
                rows = self._ask_inside(question)
            else:
                rows = self._ask_outside(question)
        except ConnectError:
            return ""
        return (rows[0][0] or b"").decode() if rows else None

    def _ask_inside(self, question: str) -> list[list[bytes | None]]:
        """Ask in the test's transaction, where alone a role is seen that the test has made."""
        shared = self._proxy.shared
        stack = shared.scope.stack
        undone = ["ROLLBACK TO SAVEPOINT pgh_login", "RELEASE SAVEPOINT pgh_login"]
        asked = [set_all([("role", "none"), (AUTHORIZATION, shared.facts.login)]), question]
        sql = "; ".join([*stack.take_pending(), "SAVEPOINT pgh_login", *asked, *undone])
        try:
            return [row for row in self._proxy.connection.ask(sql) if len(row) == 1]
        except ConnectError:
            stack.pending = undone
            raise

    def _ask_outside(self, question: str) -> list[list[bytes | None]]:
        opened = upstream.connect(self._proxy.target, self._proxy.connection.database)
        try:
            return opened.ask(question)
        finally:
            opened.close()

    def admit(self, session: Session, startup: Startup) -> None:
        """Make ``session`` a client that has logged in.

        Raises:
            OSError: The server refuses; the client has been told why.
        """
        proxy = self._proxy
        try:
            role = self._role if startup.user == self._user else startup.user
            settings, reported = self._parameters(role, startup)
            secret = os.urandom(_LONG_SECRET if startup.protocol == wire.PROTOCOL_3_2 else _SECRET)
            client = Client(
                0,
                secret,
                user=role,
                application=settings.get("application_name", ""),
                settings=settings,
                reported=reported,
                place=proxy.questions.place,
            )
            client.pid = self._connect(session, client, startup)
        except ConnectError as error:
            text = f"pgharness: {error}"
            session.fatal(
                wire.message(b"E", error.body) if error.body else wire.error("FATAL", "08006", text)
            )
            return
        session.accept(client, secret)
        proxy.shared.clients[client.pid] = client

    def _connect(self, session: Session, client: Client, startup: Startup) -> int:
        """Give ``client`` the connection that it is to have for itself, if it is; returns its process id."""
        proxy = self._proxy
        other = startup.database != proxy.database
        if other or proxy.isolation == "database":
            pid = proxy.clones.attach(session, client, startup.database if other else "", once=other)
            if pid not in proxy.shared.clients:
                return pid
        self._pid += 1
        while self._pid in proxy.shared.clients:
            self._pid += 1
        return self._pid

    def _parameters(self, role: str, startup: Startup) -> tuple[Settings, Settings]:
        """The parameters that ``startup`` sets, in the server's own spelling, and what it reports then."""
        own = dict(startup.settings)
        application = own.pop("application_name", "")
        is_ours = startup.database == self._proxy.database
        key = (role, is_ours, tuple(sorted(own.items())))
        if not is_ours:
            settings, reported = self._try(role, startup.database, own)
        else:
            if key not in self._known:
                self._known[key] = self._try(role, self._proxy.connection.database, own)
            settings, reported = self._known[key]
        reported = {**reported, "application_name": application}
        return {**settings, **({"application_name": application} if application else {})}, reported

    def _try(self, role: str, database: str, own: Settings) -> tuple[Settings, Settings]:
        """Connect with the parameters once, to see what the server makes of them.

        Raises:
            ConnectError: It refuses them.
        """
        proxy = self._proxy
        login = self.login_of(role)
        stored = self._settings_of(role, database)
        given = own if login.user == role else {**stored, **own}
        reported, settings = self._values(login, database, given, {**stored, **own})
        if unknown := {name: "" for name in settings if name not in proxy.shared.defaults}:
            _, defaults = self._values(proxy.target, database, {}, unknown)
            proxy.shared.defaults.update(defaults)
        if settings.get("client_encoding") == "UTF8":  # that of every connection of the proxy's
            del settings["client_encoding"]
        if login.user != role:
            reported = {**reported, "session_authorization": role, "is_superuser": "off"}
        if role != proxy.owner.user:
            settings[AUTHORIZATION] = role
        return settings, reported

    def _settings_of(self, role: str, database: str) -> Settings:
        """The parameters that ALTER ROLE ... SET has given ``role``, which hold from its login on."""
        with contextlib.closing(upstream.connect(self._proxy.target, database)) as opened:
            rows = opened.ask(_STORED.format(role=literal(role)))
        pairs = ((row[0] or b"").decode().partition("=") for row in rows)
        return {name.lower(): value for name, _, value in pairs}

    def _values(
        self, login: Target, database: str, own: Settings, names: Settings
    ) -> tuple[Settings, Settings]:
        """What a connection of ``login`` that is begun with ``own`` reports, and its values of ``names``."""
        with contextlib.closing(upstream.connect(login, database, own)) as opened:
            values = opened.ask(current(names))[0] if names else []
        found = {name: (value or b"").decode() for name, value in zip(names, values, strict=True)}
        return opened.reported, found
