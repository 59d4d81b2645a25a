"""A failure of the project's schema code as plain data: which migration, which SQL, what was said."""

from __future__ import annotations

import sys
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

_CALLS = 4


class JobError(Exception):
    """A finding of the schema process itself. ``details`` go to the parent as they are."""

    def __init__(self, kind: str, **details: Any) -> None:
        self.kind = kind
        self.details = details
        super().__init__(kind)


class ElsewhereError(Exception):
    """The project's code wanted to connect to ``found``."""

    def __init__(self, found: str) -> None:
        self.found = found
        super().__init__(f"pgharness: refused to connect to {found}")


def explain(error: BaseException, job: dict[str, Any]) -> dict[str, Any]:
    """What the parent needs to put ``error`` into a sentence; ``kind`` says which one."""
    chain, seed = list(_chain(error)), job.get("seed", "")
    for link in chain:
        if isinstance(link, JobError):
            return {"kind": link.kind, **link.details, **({"seed": seed} if seed else {})}
        if isinstance(link, ElsewhereError):
            return {"kind": "elsewhere", "found": link.found, "seed": seed}
    root = Path(job["root"]).resolve()
    message, statement = _message(chain), _statement(chain)
    if (step := _migration(chain, [Path(directory).resolve() for directory in job["versions"]])) is not None:
        return {
            "kind": "migration",
            **step,
            "file": _from_root(step["file"], root),
            "message": message,
            "sqlstate": _sqlstate(chain),
            "statement": statement,
        }
    if type(error).__module__.startswith("alembic.") and not statement:
        return {"kind": "alembic", "message": str(error)}
    if place := job.get("connecting"):
        return {"kind": "not connected", "found": place, "error": message, "seed": seed}
    trace, what = _trace(error, root)
    named = {"kind": "seed", "seed": seed} if seed else {"kind": "raised", "what": what}
    return {**named, "error": message, "trace": trace, "sqlstate": _sqlstate(chain), "statement": statement}


def _chain(error: BaseException) -> Iterator[BaseException]:
    """``error`` and everything that led to it, the last raised first."""
    waiting, seen = [error], set()
    while waiting:
        link = waiting.pop(0)
        if id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        waiting += [cause for cause in (link.__cause__, link.__context__) if cause is not None]
        waiting += getattr(link, "exceptions", ())


def _migration(chain: list[BaseException], versions: list[Path]) -> dict[str, Any] | None:
    """The migration that was running, and the line in it."""
    for link in chain:
        for frame, line in traceback.walk_tb(link.__traceback__):
            file = Path(frame.f_code.co_filename).resolve()
            if any(file.is_relative_to(directory) for directory in versions):
                return _described(frame, line, file)
        if isinstance(link, SyntaxError) and link.filename:
            file = Path(link.filename).resolve()
            if any(file.is_relative_to(directory) for directory in versions):
                return {"revision": file.stem, "title": "", "file": str(file), "line": link.lineno or 1}
    return None


def _described(frame: FrameType, line: int, file: Path) -> dict[str, Any]:
    names = frame.f_globals
    title = str(names.get("__doc__") or "").strip().partition("\n")[0]
    return {
        "revision": str(names.get("revision") or file.stem),
        "title": title,
        "file": str(file),
        "line": line,
    }


def _statement(chain: list[BaseException]) -> str:
    for link in chain:
        statement = getattr(link, "statement", None)
        if isinstance(statement, str):
            return statement
    return ""


def _message(chain: list[BaseException]) -> str:
    """PostgreSQL's own message, if a driver's error is in the chain; else the last error raised."""
    for link in chain:
        detail = getattr(link, "diag", None)  # psycopg
        if detail is not None and getattr(detail, "message_primary", None):
            return _postgres(detail.message_primary, detail.message_detail, detail.message_hint)
        if type(link).__module__.startswith("asyncpg.") and getattr(link, "sqlstate", None):
            fields = (getattr(link, name, None) for name in ("message", "detail", "hint"))
            message, *more = fields
            return _postgres(message or str(link), *more)
    last = chain[0]
    text = str(last).partition("\n[SQL:")[0].strip()
    name = type(last).__name__
    return f"{name}: {text}" if text else name


def _sqlstate(chain: list[BaseException]) -> str:
    """The code by which PostgreSQL refused; nothing where it did not."""
    codes = (getattr(getattr(link, "diag", link), "sqlstate", None) for link in chain)  # diag is psycopg's
    return next((code for code in codes if isinstance(code, str)), "")


def _postgres(message: str, *more: str | None) -> str:
    return " ".join([message, *(f"({text})" for text in more if text)])


def _trace(error: BaseException, root: Path) -> tuple[list[str], str]:
    """The last calls in the project's own files, and the file of the last of them."""
    own = [
        (_from_root(call.filename, root), call)
        for call in traceback.extract_tb(error.__traceback__)
        if not _library(call.filename)
    ]
    calls = [f"{name}, line {call.lineno}, in {call.name}: {call.line}" for name, call in own[-_CALLS:]]
    return calls, own[-1][0] if own else ""


def _library(file: str) -> bool:
    paths = sysconfig.get_paths()
    places = {
        paths["stdlib"],
        paths["platstdlib"],
        paths["purelib"],
        paths["platlib"],
        sys.base_prefix + "/lib",
    }
    places.add(str(Path(__file__).parents[1]))
    return file.startswith("<") or any(file.startswith(place + "/") for place in places)


def _from_root(file: str, root: Path) -> str:
    path = Path(file).resolve()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(file)
