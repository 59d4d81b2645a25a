"""What the proxy reads of a database before it serves it."""

from __future__ import annotations

from pgharness.proxy.core.running import Facts
from pgharness.proxy.core.settings import literal
from pgharness.proxy.core.standing import CHANGED, reaching
from pgharness.proxy.core.statements import SetConfig, function_settings
from pgharness.proxy.server.upstream import Upstream

_USERS = "n.nspname NOT IN ('pg_catalog', 'information_schema')"
_WRITERS = f"""
    SELECT DISTINCT lower(p.proname)
    FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    WHERE p.provolatile = 'v' AND p.prorettype <> 'pg_catalog.trigger'::pg_catalog.regtype AND {_USERS}
"""
_SETTERS = f"""
    SELECT lower(p.proname), p.prosrc
    FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    WHERE {_USERS} AND p.prosrc ILIKE '%set%'
"""
_SOURCES = f"""
    SELECT lower(p.proname), coalesce(pg_get_function_sqlbody(p.oid), p.prosrc)
    FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    WHERE {_USERS} AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_depend
        WHERE classid = 'pg_proc'::regclass AND objid = p.oid AND deptype = 'e')
    UNION ALL
    SELECT lower(c.relname), pg_get_viewdef(c.oid)
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'v' AND {_USERS}
    UNION ALL
    SELECT lower(c.relname) || '{CHANGED}', p.proname
    FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
    JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE NOT t.tgisinternal AND {_USERS}
    UNION ALL
    SELECT lower(c.relname) || '{CHANGED}', pg_get_expr(d.adbin, d.adrelid)
    FROM pg_catalog.pg_attrdef d JOIN pg_catalog.pg_class c ON c.oid = d.adrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE {_USERS}
"""
"""Functions, views, and tables with their triggers and the defaults of their columns."""
_DEFERRABLE = "SELECT EXISTS (SELECT FROM pg_catalog.pg_constraint WHERE condeferrable)"
_SEQUENCES = """
    SELECT format('%I.%I', n.nspname, c.relname),
           has_schema_privilege({owner}, n.oid, 'USAGE') AND has_table_privilege({owner}, c.oid, 'UPDATE')
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND has_schema_privilege(n.oid, 'USAGE')
      AND has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'UPDATE')
    ORDER BY 1
"""


def facts(  # noqa: PLR0913 - all but three by name
    upstream: Upstream, owner: str, login: str, *, strict: bool, clock: bool, lock_timeout: float
) -> Facts:
    """What the stack has to know of the database behind ``upstream``."""
    setters: dict[str, tuple[SetConfig, ...]] = {}
    for name, source in upstream.ask(_SETTERS):
        if calls := function_settings((source or b"").decode("utf-8", "replace")):
            key = (name or b"").decode()
            setters[key] = setters.get(key, ()) + calls
    return Facts(
        owner=owner,
        login=login,
        writers=frozenset((row[0] or b"").decode() for row in upstream.ask(_WRITERS)),
        setters=setters,
        standing=reaching((_text(name), _text(text)) for name, text in upstream.ask(_SOURCES)),
        deferrable=upstream.ask(_DEFERRABLE)[0][0] == b"t",
        strict=strict,
        clock=clock,
        lock_timeout=lock_timeout,
    )


def restart(upstream: Upstream, owner: str) -> str:
    """The SQL that sets every sequence back to where it stands now; empty if there is none.

    By setval and not by ALTER SEQUENCE ... RESTART: setval is outside of transactions, as nextval is, so a
    test that is rolled back has nothing to undo, and it takes no lock. Where a sequence stands, it says
    itself: after RESTART WITH in a migration that is neither its start value nor the last one used. A
    sequence that is gone by then is passed over. What ``owner`` may not set back, the login of the
    connection does.
    """
    found = [(_text(name), _text(may)) for name, may in upstream.ask(_SEQUENCES.format(owner=literal(owner)))]
    names = [name for name, _ in found]
    if not names:
        return ""
    selects = (f"SELECT {literal(name)}, last_value, is_called FROM {name}" for name in names)
    rows = upstream.ask(" UNION ALL ".join(selects))
    stood = ", ".join(f"({literal(_text(n))}, {_text(v)}, {_text(c) == 't'})" for n, v, c in rows)
    values = f"(VALUES {stood}) AS s (name, value, called)"
    sql = f"SELECT setval(to_regclass(name), value, called) FROM {values}"
    if any(may != "t" for _, may in found):
        as_login = f"SELECT set_config('session_authorization', {literal(_login(upstream))}, true)"
        as_owner = f"SELECT set_config('session_authorization', {literal(owner)}, true)"
        sql = f"{as_login}; {sql}; {as_owner}"
    return sql


def _login(upstream: Upstream) -> str:
    return _text(upstream.ask("SELECT session_user")[0][0])


def _text(value: bytes | None) -> str:
    return (value or b"").decode()
