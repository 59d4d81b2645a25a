"""What the PostgreSQL in memory of `wire_server` does with its SQL."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable

from pgharness.proxy.core import wire
from tests.support.wire_session import Session, SqlError

Rows = list[list[bytes | None]]
Columns = list[tuple[str, int, int]]
ONE: Columns = [("x", wire.TEXT, -1)]


@dataclasses.dataclass
class Answer:
    tag: str
    rows: Rows = dataclasses.field(default_factory=list)
    columns: Columns = dataclasses.field(default_factory=list)
    copies: str = ""
    notice: bytes = b""


def check(sql: str) -> None:
    """Raises what Parse raises for ``sql``."""
    for one in split(sql):
        _match(one)


def columns(sql: str) -> Columns:
    """What Describe answers."""
    return ONE if re.match(r"SELECT|SHOW|FETCH|EXECUTE", sql) or "RETURNING" in sql else []


def split(script: str) -> list[str]:
    """The statements of ``script``; a semicolon in a literal or in a dollar quote divides nothing."""
    found = re.finditer(r"(?:\$(\w*)\$.*?\$\1\$|'[^']*'|[^;])+", script, re.DOTALL)
    return [part[0].strip() for part in found if part[0].strip()]


def execute(session: Session, sql: str, values: list[bytes | None]) -> Answer:
    """The answer to the one statement ``sql``."""
    run, found = _match(sql)
    if not sql.startswith("ROLLBACK"):
        session.usable()
    return run(session, found, values)


def _match(sql: str) -> tuple[_Run, re.Match[str]]:
    for pattern, run in _STATEMENTS:
        if (found := re.fullmatch(pattern, sql, re.DOTALL)) is not None:
            return run, found
    raise SqlError("42601", f"syntax error at {sql!r}")


_Run = Callable[[Session, re.Match[str], list[bytes | None]], Answer]


def _begin(session: Session, found: re.Match[str], _: list[bytes | None]) -> Answer:
    session.begin(read_only=bool(found[1]))
    return Answer("BEGIN")


def _savepoint(session: Session, found: re.Match[str], _: list[bytes | None]) -> Answer:
    assert session.block, "SAVEPOINT can only be used in transaction blocks"
    session.keep(found[1])
    return Answer("SAVEPOINT")


def _rollback_to(session: Session, found: re.Match[str], _: list[bytes | None]) -> Answer:
    session.back(found[1])
    return Answer("ROLLBACK")


def _release(session: Session, found: re.Match[str], _: list[bytes | None]) -> Answer:
    session.release(found[1])
    return Answer("RELEASE")


def _rollback(session: Session, _: re.Match[str], __: list[bytes | None]) -> Answer:
    session.end()
    return Answer("ROLLBACK")


def _settings(session: Session, found: re.Match[str], values: list[bytes | None]) -> Answer:
    """Calls of set_config and of current_setting, as columns."""
    row: list[bytes | None] = []
    argument = r"('(?:[^']|'')*'|\$\d+)"
    pattern = rf"(set_config|current_setting)\({argument}, (?:{argument}, )?(true|false|\$\d+)\)"
    for call, name, value, _ in re.findall(pattern, found[1]):
        key = _text(name, values).lower()
        if call == "set_config":
            _assign(session, key, _text(value, values))
        known = session.settings.get(key)
        row.append(None if known is None else known.encode())
    return Answer("SELECT 1", [row], ONE * len(row))


def _text(argument: str, values: list[bytes | None]) -> str:
    if argument.startswith("$"):
        return (values[int(argument[1:]) - 1] or b"").decode()
    return argument[1:-1].replace("''", "'")


def _assign(session: Session, name: str, value: str) -> None:
    if name == "work_mem" and not re.fullmatch(r"\d+[kM]B", value):
        raise SqlError("22023", f'invalid value for parameter "work_mem": "{value}"')
    if name == "session_authorization":
        session.settings["role"] = "none"
    session.settings[name] = value


def _set(session: Session, found: re.Match[str], _: list[bytes | None]) -> Answer:
    name = found[1].lower().replace("session authorization", "session_authorization")
    _assign(session, name.replace("time zone", "timezone"), found[2].strip("'"))
    return Answer("SET")


def _show(session: Session, found: re.Match[str], _: list[bytes | None]) -> Answer:
    return Answer("SHOW", [[session.settings.get(found[1].lower(), "").encode()]], ONE)


def _select(_: Session, found: re.Match[str], values: list[bytes | None]) -> Answer:
    value = values[0] if found[1] == "$1" else found[1].encode()
    return Answer("SELECT 1", [[value]], ONE)


def _many(_: Session, found: re.Match[str], __: list[bytes | None]) -> Answer:
    rows: Rows = [[b"%d" % number] for number in range(int(found[1]), int(found[2]) + 1)]
    return Answer(f"SELECT {len(rows)}", rows, ONE)


def _table(session: Session, _: re.Match[str], __: list[bytes | None]) -> Answer:
    return Answer(f"SELECT {len(session.rows)}", [[row] for row in session.rows], ONE)


def _insert(session: Session, found: re.Match[str], values: list[bytes | None]) -> Answer:
    row = (values[0] or b"") if found[2] == "$1" else found[2].encode()
    session.insert(row)
    if found[1] == "child":
        session.orphans.append(row)
    return Answer("INSERT 0 1", [[row]] if found[3] else [], ONE if found[3] else [])


def _adopt(session: Session, _: re.Match[str], __: list[bytes | None]) -> Answer:
    session.orphans.clear()
    return Answer("UPDATE 1")


def _constraints(session: Session, found: re.Match[str], _: list[bytes | None]) -> Answer:
    if found[1] == "IMMEDIATE" and session.orphans:
        raise SqlError("23503", f"{session.orphans[0].decode()} has no parent")
    return Answer("SET CONSTRAINTS")


def _divide(_: Session, found: re.Match[str], __: list[bytes | None]) -> Answer:
    raise SqlError("22012", f"division by zero{found[1] or ''}")


def _copy(session: Session, found: re.Match[str], _: list[bytes | None]) -> Answer:
    if found[1] == "FROM STDIN":
        return Answer("", copies="in")
    return Answer(f"COPY {len(session.rows)}", [[row] for row in session.rows], copies="out")


def _do(session: Session, found: re.Match[str], _: list[bytes | None]) -> Answer:
    for name, value in re.findall(r"set_config\('(\S+)', '(\S+)', \w+\)", found[2]):
        _assign(session, name, value)
    return Answer("DO")


def _read_only(session: Session, _: re.Match[str], __: list[bytes | None]) -> Answer:
    session.settings["transaction_read_only"] = "on"
    return Answer("SET")


def _function(session: Session, _: re.Match[str], __: list[bytes | None]) -> Answer:
    """A function that sets app.tenant."""
    _assign(session, "app.tenant", "made")
    return Answer("SELECT 1", [[b""]], ONE)


def _noisy(_: Session, __: re.Match[str], ___: list[bytes | None]) -> Answer:
    return Answer("SELECT 1", [[b""]], ONE, notice=wire.notice("01000", "listen"))


def _plain(tag: str) -> _Run:
    return lambda _session, _found, _values: Answer(tag)


_STATEMENTS: list[tuple[str, _Run]] = [
    (r"BEGIN( READ ONLY)?", _begin),
    (r"SAVEPOINT (\w+)", _savepoint),
    (r"ROLLBACK TO SAVEPOINT (\w+)", _rollback_to),
    (r"RELEASE SAVEPOINT (\w+)", _release),
    (r"ROLLBACK", _rollback),
    (r"SET TRANSACTION READ ONLY", _read_only),
    (r"SET CONSTRAINTS ALL (IMMEDIATE|DEFERRED)", _constraints),
    (r"SET (?:LOCAL )?(SESSION AUTHORIZATION|TIME ZONE|[\w.]+)(?: =| TO|) ?(\S+)", _set),
    (r"SHOW (\w+(?:\.\w+)?)", _show),
    (r"SELECT ((?:(?:pg_catalog\.)?(?:set_config|current_setting)\(.*\))+)", _settings),
    (r"SELECT (\d+|\$1)(?: AS \w+)?", _select),
    (r"SELECT generate_series\((\d+), (\d+)\)", _many),
    (r"SELECT x FROM (\w+)", _table),
    (r"SELECT 1/0( AS \w+)?", _divide),
    (r"SELECT noisy\(\)", _noisy),
    (r"SELECT \w+\(\d*\)", _function),
    (r"INSERT INTO (\w+) VALUES \((\d+|\$1)\)( RETURNING x)?", _insert),
    (r"UPDATE child SET .*", _adopt),
    (r"COPY t (FROM STDIN|TO STDOUT)", _copy),
    (r"CREATE TABLE \w+ \(.*\)", _plain("CREATE TABLE")),
    (r"CREATE TEMP TABLE \w+ \(.*\).*", _plain("CREATE TABLE")),
    (r"DROP TABLE IF EXISTS .*", _plain("DROP TABLE")),
    (r"TRUNCATE .*", _plain("TRUNCATE TABLE")),
    (r"LOCK .*", _plain("LOCK TABLE")),
    (r"DO \$(\w*)\$(.*)\$\1\$", _do),
    (r"PREPARE .*|EXECUTE .*|DECLARE .*|FETCH .*|CLOSE .*|", _plain("")),
]
