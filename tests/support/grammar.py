"""What PostgreSQL's own grammar says of a statement, read from the tree that libpg_query makes of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import postgast

_TRANSACTIONS = {
    "TRANS_STMT_BEGIN": "begin",
    "TRANS_STMT_START": "begin",
    "TRANS_STMT_COMMIT": "commit",
    "TRANS_STMT_ROLLBACK": "rollback",
    "TRANS_STMT_SAVEPOINT": "savepoint",
    "TRANS_STMT_RELEASE": "release",
    "TRANS_STMT_ROLLBACK_TO": "rollback to",
    "TRANS_STMT_PREPARE": "prepare transaction",
    "TRANS_STMT_COMMIT_PREPARED": "commit prepared",
    "TRANS_STMT_ROLLBACK_PREPARED": "rollback prepared",
}
_SETS = {"TRANSACTION": "set transaction", "SESSION CHARACTERISTICS": "set characteristics"}
_NODES = {
    "VariableShowStmt": ("show", "name"),
    "ConstraintsSetStmt": ("set constraints", ""),
    "ListenStmt": ("listen", "conditionname"),
    "UnlistenStmt": ("unlisten", "conditionname"),
    "NotifyStmt": ("notify", "conditionname"),
    "PrepareStmt": ("prepare", "name"),
    "ExecuteStmt": ("execute", "name"),
    "DeallocateStmt": ("deallocate", "name"),
    "DeclareCursorStmt": ("declare", "portalname"),
    "ClosePortalStmt": ("close", "portalname"),
    "DoStmt": ("do", ""),
    "CallStmt": ("call", ""),
}
_DISCARDED = {
    "DISCARD_ALL": "all",
    "DISCARD_PLANS": "plans",
    "DISCARD_TEMP": "temp",
    "DISCARD_SEQUENCES": "sequences",
}
_CHANGING = ("InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt")
_LISTED = ("from_clause", "using_clause", "source_relation", "larg", "rarg")


@dataclasses.dataclass
class Seen:
    """What is found in a tree."""

    changed: set[str] = dataclasses.field(default_factory=set)
    read: set[str] = dataclasses.field(default_factory=set)
    called: set[str] = dataclasses.field(default_factory=set)
    into: bool = False
    row_locks: bool = False
    skips: bool = False


def statements(script: str) -> list[tuple[int, str, Any]]:
    """Each statement of the script: where it starts, its text, its node."""
    raw = script.encode()
    found = []
    for one in postgast.parse(script).stmts:
        end = one.stmt_location + one.stmt_len if one.stmt_len else len(raw)
        text = raw[one.stmt_location : end].decode().rstrip(" \t\n\r\f\v")
        found.append((len(raw[: one.stmt_location].decode()), text, node(one.stmt)))
    return found


def node(wrapped: Any) -> Any:
    return getattr(wrapped, wrapped.WhichOneof("node"))


def kind_and_name(tree: Any) -> tuple[str, str]:
    """The kind of a statement, and the name that it gives or uses."""
    field = tree.DESCRIPTOR.name
    if reader := _READERS.get(field):
        return reader(tree)
    kind, attribute = _NODES.get(field, ("plain", ""))
    if kind == "plain":
        return kind, _used(tree)
    name = getattr(tree, attribute) if attribute else ""
    return kind, name.lower() if kind == "show" else name


def _transaction(tree: Any) -> tuple[str, str]:
    return _TRANSACTIONS[_enum(tree, "kind")], tree.savepoint_name or tree.gid


def _discard(tree: Any) -> tuple[str, str]:
    return "discard", _DISCARDED[_enum(tree, "target")]


def _fetch(tree: Any) -> tuple[str, str]:
    return ("move" if tree.ismove else "fetch"), tree.portalname


def _copy(tree: Any) -> tuple[str, str]:
    way = "copy in" if tree.is_from else "copy out"
    return ("plain" if tree.filename or tree.is_program else way), ""


def seen(tree: Any) -> Seen:
    """The tables, the calls and the locks of a statement."""
    found = Seen()
    _walk(tree, "", frozenset(), found)
    return found


def _set(tree: Any) -> tuple[str, str]:
    kind = _enum(tree, "kind")
    if kind == "VAR_RESET_ALL":
        return "reset all", ""
    if kind == "VAR_SET_MULTI":
        return _SETS.get(tree.name, "set transaction"), ""
    return ("reset" if kind == "VAR_RESET" else "set"), tree.name.lower()


_READERS = {
    "TransactionStmt": _transaction,
    "VariableSetStmt": _set,
    "DiscardStmt": _discard,
    "FetchStmt": _fetch,
    "CopyStmt": _copy,
}


def _used(tree: Any) -> str:
    """The cursor of WHERE CURRENT OF, or the prepared statement that a plain statement executes."""
    for inner in messages(tree):
        if inner.DESCRIPTOR.name == "CurrentOfExpr":
            return str(inner.cursor_name)
        if inner.DESCRIPTOR.name == "ExecuteStmt":
            return str(inner.name)
    return ""


def messages(tree: Any) -> Iterator[Any]:
    """Every node of a tree."""
    yield tree
    for _, child in _children(tree):
        yield from messages(child)


def _walk(tree: Any, role: str, ctes: frozenset[str], found: Seen) -> None:
    kind = tree.DESCRIPTOR.name
    if kind == "RangeVar":
        if role in _LISTED and (tree.schemaname or tree.relname not in ctes):
            found.read.add(tree.relname)
        return
    _note(tree, kind, found)
    if any(field.name == "with_clause" for field, _ in tree.ListFields()):
        ctes = _walk_with(tree.with_clause, ctes, found)
    for field, child in _children(tree):
        if field == "relation" and kind in (*_CHANGING, "CopyStmt"):
            continue
        if field not in ("with_clause", "locked_rels"):
            listed = (
                child.DESCRIPTOR.name in ("RangeVar", "JoinExpr", "RangeTableSample") and field in _LISTED
            )
            inside = kind == "RangeTableSample" and field == "relation"
            _walk(child, role if inside else field if listed else "", ctes, found)


def _walk_with(clause: Any, ctes: frozenset[str], found: Seen) -> frozenset[str]:
    items = [node(item) for item in clause.ctes]
    if clause.recursive:
        ctes |= {item.ctename for item in items}
    for item in items:
        _walk(item.ctequery, "", ctes, found)
        ctes |= {item.ctename}
    return ctes


def _note(tree: Any, kind: str, found: Seen) -> None:
    if kind in _CHANGING:
        found.changed.add(tree.relation.relname)
        if kind in ("UpdateStmt", "DeleteStmt"):
            found.read.add(tree.relation.relname)
    elif kind == "CopyStmt" and tree.relation.relname:
        (found.changed if tree.is_from else found.read).add(tree.relation.relname)
    elif kind == "TruncateStmt":
        found.changed |= {node(relation).relname for relation in tree.relations}
    elif kind == "FuncCall" and _enum(tree, "funcformat") == "COERCE_EXPLICIT_CALL":
        found.called.add(node(tree.funcname[-1]).sval)
    elif kind == "IntoClause":
        found.into = True
    elif kind == "LockingClause":
        found.row_locks = True
        found.skips |= _enum(tree, "wait_policy") != "LockWaitBlock"


def _children(tree: Any) -> Iterator[tuple[str, Any]]:
    """The nodes within a node, each with the field that holds it."""
    for field, value in tree.ListFields():
        if field.message_type is None:
            continue
        for child in value if hasattr(value, "__len__") else (value,):
            if child.DESCRIPTOR.name != "Node":
                yield field.name, child
            elif child.WhichOneof("node"):
                yield field.name, node(child)


def _enum(tree: Any, field: str) -> str:
    kind = tree.DESCRIPTOR.fields_by_name[field].enum_type
    return str(kind.values_by_number[getattr(tree, field)].name)
