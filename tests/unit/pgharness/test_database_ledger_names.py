from __future__ import annotations

import datetime as dt

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgharness.databases import ledger, names, problems
from pgharness.databases.ledger import Entry, Mark
from pgharness.databases.names import worker_database_name
from pgharness.errors import DatabaseError
from pgharness.server.base import Address

NOON = dt.datetime(2030, 1, 2, 12, tzinfo=dt.UTC)
MARK = Mark(kind="worker", run="run1", fingerprint="0123456789ab", created=NOON, used=NOON, host="h", pid=7)


def test_a_worker_s_database_carries_run_and_worker() -> None:
    assert worker_database_name("k3f9x2", "gw0") == "pgh_k3f9x2_gw0_test"


@given(st.text(), st.text())
def test_every_name_fits_and_ends_as_applications_insist(run: str, worker: str) -> None:
    name = worker_database_name(run, worker)

    assert len(name.encode()) <= 63
    assert name.endswith("_test")
    assert name.replace("_", "").isalnum()


@given(st.text(), st.text())
def test_different_workers_never_share_a_name(one: str, two: str) -> None:
    assert (worker_database_name("run1", one) == worker_database_name("run1", two)) == (one == two)


@given(st.text(), st.text())
def test_an_unmarked_database_can_be_laid_at_the_door_of_its_run(run: str, worker: str) -> None:
    made = (
        worker_database_name(run, worker),
        names.build_name("0123456789ab", run),
        names.spare_name(run, worker, 12),
    )

    for name in made:
        assert len(name) <= 63
        assert Entry(name, None, born=True, is_template=False).run == names.run_label(run)


@pytest.mark.parametrize("name", ["pgh_t_0123456789ab", "pgh_mine", "pgh_t_gw0_test", "pgh_run1_gw0_test2"])
def test_no_run_is_read_from_other_names(name: str) -> None:
    assert Entry(name, None, born=True, is_template=False).run is None


def test_without_mark_or_birthmark_there_is_no_run() -> None:
    found = Entry("pgh_run1_gw0_test", None, born=False, is_template=False)

    assert (found.ours, found.run) == (False, None)


def test_a_template_belongs_to_no_run() -> None:
    mark = Mark(kind="template", run="run1", fingerprint="0123456789ab", created=NOON, used=NOON)

    assert Entry("pgh_t_0123456789ab", mark, born=True, is_template=True).run is None


def test_a_spare_belongs_to_its_worker() -> None:
    name = names.spare_name("run1", "gw0", 3)

    assert names.is_spare(name, "run1", "gw0")
    assert not names.is_spare(name, "run1", "gw1")


def test_a_mark_survives_its_way_through_the_comment() -> None:
    assert Mark.from_json(MARK.to_json()) == MARK


@pytest.mark.parametrize(
    "comment",
    [
        None,
        "",
        "our staging database",
        "[]",
        "{}",
        '{"pgharness": 2}',
        MARK.to_json().replace('"worker"', '"other"'),
        MARK.to_json().replace("2030", "never"),
        MARK.to_json().replace('"host"', '"hostess"'),
    ],
)
def test_any_other_comment_is_no_mark(comment: str | None) -> None:
    assert Mark.from_json(comment) is None


def test_locks_are_told_apart_and_fit_64_bits() -> None:
    keys = [ledger.key("run", "a"), ledger.key("run", "b"), ledger.key("use", "a")]

    assert len(set(keys)) == 3
    assert all(-(2**63) <= key < 2**63 for key in keys)


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (
            asyncpg.InsufficientPrivilegeError("permission denied to create database"),
            (
                "pgharness: role 'ann' may not do what the harness needs on db:5432: "
                "permission denied to create database\n"
                "The harness creates, renames and drops databases of its own.\n"
                "To fix this, either:\n"
                '  - let it create databases: ALTER ROLE "ann" CREATEDB\n'
                "  - give --pg-url the address of a role that may"
            ),
        ),
        (
            asyncpg.DiskFullError("could not extend file: No space left on device"),
            (
                "pgharness: the server on db:5432 has no room left: "
                "could not extend file: No space left on device\n"
                "To fix this, either:\n"
                "  - give --pg-tmpdir a directory with more room\n"
                "  - free space where the server keeps its data"
            ),
        ),
        (
            ConnectionRefusedError(111, "Connection refused"),
            (
                "pgharness: the server on db:5432 does not answer: "
                "ConnectionRefusedError: [Errno 111] Connection refused\n"
                "It was stopped or restarted, or never started.\n"
                "To fix this, either:\n"
                "  - look into the server's log\n"
                "  - run again"
            ),
        ),
        (
            asyncpg.ObjectInUseError("source database is being accessed by other users"),
            (
                "pgharness: the server on db:5432 refused what the harness asked: "
                "source database is being accessed by other users\n"
                "To fix this: look into the server's log"
            ),
        ),
    ],
)
def test_what_the_driver_raises_becomes_a_sentence(raised: Exception, expected: str) -> None:
    with pytest.raises(DatabaseError) as caught, problems.explained(Address("db", 5432, "ann", "secret")):
        raise raised

    assert str(caught.value) == expected
    assert caught.value.__cause__ is raised


def test_connections_that_do_not_end() -> None:
    assert str(problems.still_used("pgh_run1_gw0_test", ["process 12 worker"])) == (
        "pgharness: database 'pgh_run1_gw0_test' cannot be replaced: connections to it do not end.\n"
        "Checked:\n"
        "  - still connected: process 12 worker\n"
        "To fix this: close what the test opened: engines, pools, background tasks, child processes"
    )
