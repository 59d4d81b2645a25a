"""The tables that a statement names: those it changes and those it reads, each without its schema."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from pgharness.proxy.core.reading.keywords import NO_TABLES, RESERVED
from pgharness.proxy.core.reading.pieces import Piece

_ACTING = frozenset(("insert", "update", "delete", "merge"))
_BEFORE_A_VERB = frozenset(
    ("", ";", "then", "else", "begin", "loop", "atomic", "do", "also", "instead", "query", "in")
)
_CTE = frozenset(("as", "materialized"))
_BEFORE_A_TABLE_COMMAND = frozenset(("(", "union", "intersect", "except", "all", "distinct", "as"))
_QUERIES = frozenset(("select", "values", "table", "with"))
_LIST_ENDS = frozenset(
    ("where", "group", "having", "order", "limit", "offset", "fetch", "for", "union", "intersect", "except")
) | {"window", "returning", "set", "when", "values", "into", "loop", ";"}


def verbs(piece: Piece, first: int) -> frozenset[int]:
    """Where INSERT, UPDATE, DELETE and MERGE are the verbs of a statement, and not columns or clauses."""
    if piece.found.isdisjoint(_ACTING):
        return frozenset()
    marks = piece.marks
    return frozenset(
        at
        for at, mark in enumerate(marks)
        if mark in _ACTING and _acts(piece, at) and _begins(piece, at, first)
    )


def _acts(piece: Piece, at: int) -> bool:
    verb, following = piece.marks[at : at + 2]
    if verb == "update":
        return following == "only" or (following != "set" and bool(piece.name(at + 1)))
    return following == ("from" if verb == "delete" else "into")


def _begins(piece: Piece, at: int, first: int) -> bool:
    """Whether a statement may begin there, be it one in parentheses or behind WITH."""
    marks = piece.marks
    before = marks[at - 1] if at else ""
    if at == first or before in _BEFORE_A_VERB:
        return True
    if before == "(":
        return marks[at - 2] in _CTE or marks[at - 2] in ("do", "also", "instead")
    if before == ")":
        return marks[piece.opening(at - 1) - 1] in _CTE
    return marks[at - 2] in ("using", "set") and not piece.found.isdisjoint(("search", "cycle"))


def tables(piece: Piece, first: int, acting: frozenset[int]) -> tuple[frozenset[str], frozenset[str]]:
    """The tables that are changed and those that are read by the statement whose verb stands at ``first``."""
    verb = piece.marks[0]
    if verb == "truncate":
        return frozenset(_truncated(piece)), frozenset()
    if verb in ("grant", "revoke"):
        return frozenset(), frozenset()
    if verb == "copy" and piece.marks[1] != "(":
        return _copied(piece)
    reader = _Reader(piece, first, acting)
    reader.read()
    return frozenset(reader.changed), frozenset(reader.seen)


def _copied(piece: Piece) -> tuple[frozenset[str], frozenset[str]]:
    """The table that COPY fills, or else the one that it reads."""
    old = piece.marks[1] == "binary" and piece.marks[2] not in ("(", ".", "from", "to")
    name, end = piece.qualified(1 + old)
    if piece.marks[end] == "(":
        end = piece.past(end)
    named = frozenset((name,)) - {""}
    return (named, frozenset()) if piece.marks[end] == "from" else (frozenset(), named)


def _truncated(piece: Piece) -> set[str]:
    at = 1 + (piece.marks[1] == "table")
    names: set[str] = set()
    while True:
        name, at = piece.qualified(at + (piece.marks[at] == "only"))
        if not name:
            return names
        names.add(name)
        at += piece.marks[at] == "*"
        if piece.marks[at] != ",":
            return names
        at += 1


class _Scope:
    """What is known between two parentheses."""

    __slots__ = ("cte", "ctes", "lists", "reads", "uses")

    def __init__(self, ctes: frozenset[str], *, lists: bool = False) -> None:
        self.ctes = ctes
        self.cte = ""
        """The name that what is in these parentheses gets by WITH."""
        self.lists = lists
        """Tables follow upon a comma and JOIN."""
        self.reads = lists
        """FROM names tables."""
        self.uses = False
        """USING names tables."""


class _Reader:
    """Goes through a statement once, with a scope for each open parenthesis."""

    def __init__(self, piece: Piece, first: int, acting: frozenset[int]) -> None:
        self.piece = piece
        self.first = first
        self.acting = acting
        self.changed: set[str] = set()
        self.seen: set[str] = set()
        self.scopes = [_Scope(frozenset())]
        self.opening: set[int] = set()
        """The parentheses in which a list of tables goes on."""

    def read(self) -> None:
        marks, act = self.piece.marks, self.handlers
        for at in [at for at, mark in enumerate(marks) if mark in act]:
            act[marks[at]](self, at)

    def comma(self, at: int) -> None:
        if self.scopes[-1].lists:
            self.item(at + 1)

    def select(self, _: int) -> None:
        scope = self.scopes[-1]
        scope.reads, scope.lists = True, False

    def recursive(self, at: int) -> None:
        """All that WITH RECURSIVE names is known to each of its queries, and to those before it."""
        marks, depth = self.piece.marks, 0
        if marks[at + 1] == "view":
            self.scopes[-1].ctes |= {self.piece.qualified(at + 2)[0]}
            return
        for here in range(at, len(self.piece.tokens)):
            if marks[here] == "(" and not depth and marks[here - 1] in _CTE:
                self.scopes[-1].ctes |= {self.cte(here - 1)} - {""}
            depth += (marks[here] == "(") - (marks[here] == ")")
            if depth < 0:
                return

    def end_of_list(self, _: int) -> None:
        self.scopes[-1].lists = False

    def from_(self, at: int) -> None:
        before, scope = self.piece.marks[at - 1], self.scopes[-1]
        if scope.reads and before not in ("distinct", "rows", ".", "as") and at - 1 not in self.acting:
            scope.lists = True
            self.item(at + 1)

    def using(self, at: int) -> None:
        if self.scopes[-1].uses and not self.is_list_of_columns(at + 1):
            self.scopes[-1].lists = True
            self.item(at + 1)

    def table(self, at: int) -> None:
        """TABLE as a query, and not as what another statement is about."""
        before = self.piece.marks[at - 1]
        behind_with = before == ")" and self.piece.marks[self.piece.opening(at - 1) - 1] in _CTE
        if at == self.first or behind_with or before in _BEFORE_A_TABLE_COMMAND:
            self.scopes[-1].lists = False
            self.item(at + 1)

    def item(self, at: int) -> None:
        """A table, or what else can stand in its place."""
        marks = self.piece.marks
        while marks[at] in ("only", "lateral"):
            at += 1
        if marks[at] == "(":
            self.opening.add(at)
            return
        if marks[at] == "rows" and marks[at + 1] == "from":
            return
        name, end = self.piece.qualified(at)
        alone = end == at + 1
        if (
            name
            and marks[end] != "("
            and not (alone and (name in self.scopes[-1].ctes or marks[at] in NO_TABLES))
        ):
            self.seen.add(name)

    def opens(self, at: int) -> None:
        marks, scope = self.piece.marks, self.scopes[-1]
        goes_on = at in self.opening and marks[at + 1] not in _QUERIES
        inner = _Scope(scope.ctes, lists=goes_on)
        if marks[at - 1] in _CTE:
            inner.cte = self.cte(at - 1)
        self.scopes.append(inner)
        if goes_on:
            self.item(at + 1)

    def cte(self, at: int) -> str:
        """The name that WITH gives to what follows AS, which is at ``at`` or before."""
        marks = self.piece.marks
        at -= marks[at] == "materialized"
        at -= marks[at] == "not"
        if marks[at] != "as":
            return ""
        at -= 1
        if marks[at] == ")":
            at = self.piece.opening(at) - 1
        return self.piece.name(at) if at > 0 and marks[at - 1] in ("with", "recursive", ",") else ""

    def closes(self, _: int) -> None:
        if len(self.scopes) > 1:
            closed = self.scopes.pop()
            if closed.cte:
                self.scopes[-1].ctes |= {closed.cte}

    def act(self, at: int) -> None:
        if at not in self.acting:
            return
        marks, scope = self.piece.marks, self.scopes[-1]
        verb = marks[at]
        target = at + 1 + (verb != "update")
        name, _ = self.piece.qualified(target + (marks[target] == "only"))
        if marks[target : target + 2] == ["only", "("]:
            name, _ = self.piece.qualified(target + 2)
        self.changed |= {name} - {""}
        if verb in ("update", "delete"):
            self.seen |= {name} - {""}
        scope.reads = verb in ("update", "delete")
        scope.uses = verb in ("delete", "merge")
        scope.lists = False

    def is_list_of_columns(self, at: int) -> bool:
        """Whether what follows USING are the columns of a JOIN."""
        marks = self.piece.marks
        return marks[at] == "(" and marks[at + 1] not in RESERVED and marks[at + 2] in (",", ")")

    handlers: ClassVar[dict[str, Callable[[_Reader, int], None]]] = {
        **dict.fromkeys(_LIST_ENDS, end_of_list),
        **dict.fromkeys(_ACTING, act),
        ",": comma,
        "join": comma,
        "(": opens,
        ")": closes,
        "select": select,
        "from": from_,
        "using": using,
        "table": table,
        "recursive": recursive,
    }
