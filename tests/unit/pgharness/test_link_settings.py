"""What a link reads from a statement and from an isolation level."""

from __future__ import annotations

from typing import Any

import pytest

from pgharness.databases.sequences import Restart
from pgharness.errors import IsolationError
from pgharness.isolation.running import Test as RunningTest
from pgharness.isolation.session_settings import level_of, local_setting
from pgharness.isolation.statements import classify
from pgharness.isolation.transaction import Transaction
from tests.support.savepoint_model import READ, WRITE, link_state


@pytest.mark.parametrize(
    ("text", "args", "parameter"),
    [
        ("SET LOCAL app.tenant = 'a'", (), "app.tenant"),
        ("SELECT set_config('app.tenant', $1, true)", ("a",), "app.tenant"),
        ("SELECT SET_CONFIG ( 'app.tenant' , 'a', true)", None, "app.tenant"),
        ("SELECT set_config($2, $1, true)", ("a", "app.tenant"), "app.tenant"),
        ("SELECT set_config($1::VARCHAR, $2::VARCHAR, true)", ("app.tenant", "a"), "app.tenant"),
        ("SELECT set_config(%(name)s::VARCHAR, %(value)s, true)", {"name": "app.tenant"}, "app.tenant"),
        ("SELECT set_config(%s, %s, true)", ["app.tenant", "a"], "app.tenant"),
        ("SELECT %s, set_config(%s, %s, true)", [1, "app.tenant", "a"], "app.tenant"),
        ("SELECT set_config($1, 'a', true)", (), ""),
        ("SELECT set_config($1, 'a', true)", None, ""),
        ("SELECT set_config(%(name)s, 'a', true)", {}, ""),
        ("SELECT set_config(%(name)s, 'a', true)", ["x"], ""),
        ("SELECT set_config(name, 'a', true) FROM t", (), ""),
        ("SELECT 'set_config'", (), ""),
        ("SELECT 1", ("app.tenant",), ""),
    ],
)
def test_the_parameter_that_a_statement_sets_locally(text: str, args: Any, parameter: str) -> None:
    assert local_setting(classify(text), text, args) == parameter


@pytest.mark.parametrize(
    ("isolation", "level"),
    [
        ("repeatable_read", "REPEATABLE READ"),
        ("REPEATABLE READ", "REPEATABLE READ"),
        ("serializable", "SERIALIZABLE"),
        ("READ COMMITTED", ""),
        ("read_uncommitted", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_the_levels_that_keep_a_snapshot(isolation: str | None, level: str) -> None:
    assert level_of(isolation) == level


def test_the_first_statement_of_a_test_begins_its_transaction() -> None:
    state = link_state()
    one = Transaction("a.py:1 in a")

    assert state.before(one, WRITE) == "BEGIN; SAVEPOINT pgh_test; SAVEPOINT pgh_1"
    assert state.before(one, WRITE) == ""
    state.reset(RunningTest("test_y"))
    assert state.before(Transaction("b.py:1 in b"), READ) == "BEGIN; SAVEPOINT pgh_test; SAVEPOINT pgh_1"
    assert state.stack.test == "test_y"


def test_sequences_are_set_back_with_the_begin_of_their_test_and_only_there() -> None:
    state, restart = link_state(), Restart("('public.a', 1, false)")
    state.reset(RunningTest("test_x", restart=restart))
    one = Transaction("a.py:1 in a")

    assert state.before(one, WRITE) == f"BEGIN; SAVEPOINT pgh_test; {restart.alone}; SAVEPOINT pgh_1"
    assert state.before(one, WRITE) == ""
    state.reset(RunningTest("test_y"))
    assert "SELECT" not in state.before(Transaction("b.py:1 in b"), READ)


def test_control_is_one_query() -> None:
    state = link_state()
    one = Transaction("a.py:1 in a")

    assert (
        state.control(one, classify("SAVEPOINT s"))
        == "BEGIN; SAVEPOINT pgh_test; SAVEPOINT pgh_1; SAVEPOINT pgh_2"
    )
    assert state.control(one, classify("ROLLBACK TO s")) == "ROLLBACK TO SAVEPOINT pgh_2"
    assert state.control(one, classify("RELEASE s")) == "RELEASE SAVEPOINT pgh_2"


def test_a_savepoint_that_does_not_exist_fails_its_transaction_and_not_the_server() -> None:
    state = link_state()
    one = Transaction("a.py:1 in a")
    state.before(one, WRITE)

    assert state.control(one, classify("ROLLBACK TO s")) is None
    assert (one.failed, state.stack.aborted) == (True, False)


def test_ddl_is_remembered_for_the_end_of_the_test() -> None:
    state = link_state()
    state.before(Transaction("a.py:1 in a"), classify("CREATE TABLE t (a int)"))

    assert state.schema_changed


def test_an_error_of_the_isolation_fails_the_test_even_if_it_is_swallowed_once() -> None:
    state = link_state()
    test = RunningTest("test_x")
    state.reset(test)
    lower, upper = Transaction("a.py:1 in a"), Transaction("b.py:1 in b")
    state.before(lower, WRITE)
    state.before(upper, WRITE)
    state.rollback(lower)
    for _ in range(2):
        with pytest.raises(IsolationError):
            state.before(upper, READ)

    assert test.errors == [state.stack.diverged]


def test_an_interrupted_command_stops_the_test_without_hiding_an_earlier_error() -> None:
    state = link_state()
    state.interrupt()
    interrupted = state.stack.diverged
    state.interrupt()

    assert state.stack.diverged is interrupted
    with pytest.raises(IsolationError, match="was interrupted"):
        state.before(Transaction("a.py:1 in a"), READ)
