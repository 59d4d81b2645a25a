"""What is read from statements' tokens, and what PostgreSQL's own grammar makes of them."""

from __future__ import annotations

import postgast
import pytest

from pgharness.proxy.core.statements import Kind, Statement, read
from pgharness.proxy.core.tokens import tokenize
from tests.support import grammar
from tests.support.statement_corpus import CORPUS

_WRITERS = {"nextval", "setval", "lo_create", "lo_unlink", "pg_logical_emit_message"}
_CONTROL = {
    "begin", "commit", "rollback", "savepoint", "release", "rollback to", "set transaction",
    "set characteristics", "set constraints", "set", "reset", "reset all", "show", "listen", "unlisten",
    "notify", "prepare", "deallocate", "fetch", "move", "close",
}  # fmt: skip
_SCRIPTS = [
    "; \n;".join(CORPUS),
    "".join(f"/* é; */ {statement}\n -- ü;\n ;;" for statement in CORPUS),
    "".join(f"-- 'a\n{statement}\n/* /* \" */ $$ */;\n\n" for statement in reversed(CORPUS)),
]


def _only(text: str) -> Statement:
    (statement,) = read(text)
    return statement


def _tree(text: str) -> grammar.Seen:
    ((_, _, tree),) = grammar.statements(text)
    return grammar.seen(tree)


def test_the_statements_are_many_and_of_every_kind() -> None:
    assert len(set(CORPUS)) == len(CORPUS) >= 250
    assert {_only(text).kind for text in CORPUS} == set(Kind.__args__)  # type: ignore[attr-defined]  # of a Literal


@pytest.mark.parametrize("script", _SCRIPTS, ids=["lines", "comments after", "comments before"])
def test_a_script_is_split_where_the_grammar_splits_it(script: str) -> None:
    ours = [(statement.start, statement.text) for statement in read(script)]

    assert ours == [(start, text) for start, text, _ in grammar.statements(script)]


@pytest.mark.parametrize("script", _SCRIPTS, ids=["lines", "comments after", "comments before"])
def test_the_tokens_are_those_of_the_scanner(script: str) -> None:
    raw = script.encode()
    comments = (postgast.pg_query_pb2.SQL_COMMENT, postgast.pg_query_pb2.C_COMMENT)
    scanned = [
        raw[token.start : token.end].decode()
        for token in postgast.scan(script).tokens
        if token.token not in comments
    ]

    ours = [script[token.start : token.end] for token in tokenize(script)]

    # the scanner gives UESCAPE and its character as tokens of their own
    assert " ".join(ours).split() == " ".join(scanned).split()


@pytest.mark.parametrize("text", CORPUS)
def test_kind_and_name(text: str) -> None:
    ((_, _, tree),) = grammar.statements(text)
    statement = _only(text)

    assert (statement.kind, statement.name) == grammar.kind_and_name(tree)
    start, end = statement.name_span
    if end:
        (token,) = tokenize(statement.text[start:end])
        assert token.value == statement.name


@pytest.mark.parametrize("text", [text for text in CORPUS if _only(text).kind != "do"])
def test_tables_calls_and_locks(text: str) -> None:
    statement, seen = _only(text), _tree(text)

    assert (set(statement.changed_tables), set(statement.read_tables)) == (seen.changed, seen.read)
    assert statement.words >= seen.called
    assert (statement.row_locks, statement.skips and statement.row_locks) == (seen.row_locks, seen.skips)


@pytest.mark.parametrize("text", CORPUS)
def test_writes(text: str) -> None:
    ((_, _, tree),) = grammar.statements(text)
    kind, _ = grammar.kind_and_name(tree)
    seen = grammar.seen(tree)
    does = bool(seen.changed or seen.into or seen.called & _WRITERS)
    name = tree.DESCRIPTOR.name
    if kind in _CONTROL:
        expected = False
    elif name == "ExplainStmt":
        expected = does and any(option.def_elem.defname == "analyze" for option in tree.options)
    elif name in ("SelectStmt", "DeclareCursorStmt", "CopyStmt"):
        expected = does or (name == "CopyStmt" and tree.is_program)
    elif kind == "discard":
        expected = _only(text).name in ("all", "temp")
    else:
        expected = True

    assert _only(text).writes is expected


@pytest.mark.parametrize("text", CORPUS)
def test_the_modes_of_a_transaction(text: str) -> None:
    ((_, _, tree),) = grammar.statements(text)
    name = tree.DESCRIPTOR.name
    options = tree.options if name == "TransactionStmt" else tree.args if name == "VariableSetStmt" else ()
    modes = {one.def_elem.defname: one.def_elem.arg.a_const for one in options if one.HasField("def_elem")}
    level = modes.pop("transaction_isolation", None)
    statement = _only(text)

    assert statement.isolation == (level.sval.sval.upper() if level else "")
    for field, mode in (("read_only", "transaction_read_only"), ("deferrable", "transaction_deferrable")):
        expected = bool(modes[mode].ival.ival) if mode in modes else None
        assert getattr(statement, field) is expected
    assert statement.chain is (name == "TransactionStmt" and tree.chain)
