"""Which tests need real commits is remembered; and where nobody wants second attempts there are none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.project import Project
from tests.support.second_attempts import COUNTING, INI, attempts, run, told, write_into


@pytest.fixture
def adopter(empty_project: Project) -> Project:
    return write_into(empty_project)


@pytest.mark.parametrize("options", [(), ("-n", "1")])
def test_what_a_run_has_learnt_the_next_begins_with(adopter: Project, options: tuple[str, ...]) -> None:
    adopter.write("test_it.py", COUNTING)
    cached = ("-p", "cacheprovider", *options)

    first = run(adopter, *cached)
    assert (first.outcomes, attempts(adopter)) == ({"passed": 1}, 2), first.output
    second = run(adopter, *cached)
    assert (second.outcomes, attempts(adopter)) == ({"passed": 1}, 1)

    assert told(first) == told(second) == ["test_it.py::test_it"]
    run(adopter, *cached, "--cache-clear")
    assert attempts(adopter) == 2


def test_a_file_that_a_run_writes_and_the_project_commits(adopter: Project) -> None:
    adopter.write("test_it.py", COUNTING)
    adopter.write("pytest.ini", INI + "pg_real_commits = known.json\n")

    run(adopter)
    first = attempts(adopter)
    written = (adopter.path / "known.json").read_text()
    run(adopter)

    assert (first, attempts(adopter)) == (2, 1)
    assert (adopter.path / "known.json").read_text() == written
    assert json.loads(written) == {
        "test_it.py::test_it": "PostgreSQL refused a statement inside the test's transaction: "
        "VACUUM cannot run inside a transaction block"
    }


@pytest.mark.parametrize("options", [(), ("-n", "1")])
@pytest.mark.parametrize("text", ["[]", "{", '{"a": 1}'])
def test_a_file_that_is_something_else(adopter: Project, text: str, options: tuple[str, ...]) -> None:
    adopter.write("test_it.py", COUNTING)
    adopter.write("known.json", text)

    result = run(adopter, "--pg-real-commits=known.json", *options)

    file = Path(adopter.path, "known.json").resolve()
    assert result.code == 4, result.output
    assert result.output.rstrip().endswith(
        f"ERROR: pgharness: pg_real_commits = {str(file)!r} is not a list of tests.\n"
        "It is a JSON object: the node id of each test, and why it needs real commits.\n"
        "To fix this, either:\n"
        "  - delete it: a run writes it again\n"
        "  - name another file, which need not be there"
    ), result.output


# -- where it is not wanted ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "mark"), [("--pg-isolation=rollback", ""), ("", '@pytest.mark.pg(isolation="rollback")\n')]
)
def test_rollback_alone_refuses_by_name(adopter: Project, option: str, mark: str) -> None:
    adopter.write("test_it.py", COUNTING.replace("def test", f"{mark}def test"))

    result = run(adopter, *filter(None, [option]))

    assert result.outcomes["failed"] == 1, result.output
    assert attempts(adopter) == 1
    assert "pgharness: test_it.py::test_it: PostgreSQL refused a statement" in result.output


def test_a_mark_asks_for_it_where_it_is_not_the_default(adopter: Project) -> None:
    adopter.write("test_it.py", COUNTING.replace("def test", '@pytest.mark.pg(isolation="auto")\ndef test'))

    result = run(adopter, "--pg-isolation=rollback")

    assert (result.outcomes, attempts(adopter)) == ({"passed": 1}, 2), result.output
