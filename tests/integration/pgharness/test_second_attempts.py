"""Under ``pg_isolation = auto`` a test that rollback cannot show the truth runs again, and nobody notices."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from tests.support.project import Project
from tests.support.second_attempts import EVERYTHING, attempts, made, run, told, write_into

NEEDING = [
    *("fixtures", "parameters_that_it_changes[list_0-dict_0]", "async", "hypothesis", "swallowed"),
    *("swallowed_and_passing", "expected_to_fail", "skipped", "in_set_up", "in_teardown", "subtests"),
]
CLASSES = ["TestClass::test_instance", "TestUnittest::test_case", "TestAsyncUnittest::test_case"]
IDS = sorted(
    [*(f"test_it.py::test_{name}" for name in NEEDING), *(f"test_it.py::{name}" for name in CLASSES)]
)


@pytest.fixture
def adopter(empty_project: Project) -> Project:
    return write_into(empty_project)


@pytest.mark.parametrize("options", [(), ("-n", "2"), ("-x", "--maxfail=1"), ("-p", "randomly")])
def test_it_is_as_if_the_first_attempt_had_never_been(adopter: Project, options: tuple[str, ...]) -> None:
    adopter.write("test_it.py", EVERYTHING)

    result = run(adopter, "-rA", *options)

    assert result.code == 0, result.output
    assert re.search(r"14 passed.* 1 xfailed", result.output.splitlines()[-1]), result.output
    assert sorted(told(result)) == IDS
    assert "had real commits" in result.line("pg: 14 tests had real commits:")
    if "-n" not in options:
        reports = [line for line in made(adopter) if line.startswith("test_it.py::test_fixtures ")]
        name = "test_it.py::test_fixtures"
        phases = [f"{name} {phase} passed" for phase in ("setup", "call", "teardown")]
        assert reports == [f"{name} starts", *phases, f"{name} ends"]
    assert made(adopter).count("not skipped") == 1
    assert [line for line in made(adopter) if " raised " in line] == [
        "test_it.py::test_expected_to_fail raised AssertionError"
    ]
    assert "this attempt is dropped" not in result.output


def test_fixtures_of_the_test_are_set_up_again_and_wider_ones_are_not(adopter: Project) -> None:
    adopter.write("test_it.py", "from conftest import *\ndef test_it(wide, narrow):\n    vacuum()\n")

    result = run(adopter)

    assert result.outcomes == {"passed": 1}, result.output
    assert [line for line in made(adopter) if "::" not in line] == [
        *("wide begins", "narrow begins", "narrow ends"),
        *("narrow begins", "narrow ends", "wide ends"),
    ]


def test_hypothesis_does_not_shrink_what_is_refused(adopter: Project) -> None:
    adopter.write(
        "test_it.py",
        "from conftest import *\n"
        "from hypothesis import given, settings, strategies as st\n"
        "@settings(deadline=None, max_examples=20, database=None)\n"
        "@given(values=st.lists(st.integers()))\n"
        "def test_it(pg_database, values):\n    made('called')\n    vacuum()\n",
    )

    result = run(adopter)

    assert result.outcomes == {"passed": 1}, result.output
    assert attempts(adopter) == 1 + 20


def test_a_failure_with_real_commits_says_why_production_differs(adopter: Project) -> None:
    body = """
    with two() as (one, other):
        one.execute("INSERT INTO item VALUES (DEFAULT)")
        assert other.execute("SELECT count(*) FROM item").fetchone() == (2,)
"""
    adopter.write("test_it.py", f"from conftest import *\ndef test_it(pg_database):{body}")

    result = run(adopter)

    assert result.outcomes == {"failed": 1}
    assert re.search(
        r"^This test has real commits, as in production\. With rollback it was stopped: "
        r"the transaction begun at connection \d+, 'SELECT count\(\*\) FROM item' reads item, "
        r"where the one begun at connection \d+, 'INSERT INTO item VALUES \(DEFAULT\)' has rows "
        r"that it has not committed\.$",
        result.output,
        re.MULTILINE,
    ), result.output


def test_what_fails_under_rollback_fails_at_once_and_alone(adopter: Project) -> None:
    adopter.write(
        "test_it.py",
        "from conftest import *\n"
        "def test_it(wide, narrow):\n    assert False\n"
        "def test_never(pg_database):\n    pass\n",
    )

    result = run(adopter, "-x")

    assert result.outcomes == {"failed": 1}
    assert [line for line in made(adopter) if "::" not in line] == [
        *("wide begins", "narrow begins", "narrow ends", "wide ends"),
    ]
    assert "real commits" not in result.output


@pytest.mark.parametrize("scope", ["function", "module"])
def test_an_error_of_a_teardown_is_reported(adopter: Project, scope: str) -> None:
    adopter.write(
        "test_it.py",
        "from conftest import *\n"
        f"@pytest.fixture(scope={scope!r})\n"
        "def failing(pg_server):\n    yield\n    raise ValueError('torn')\n"
        "def test_it(pg_database, failing):\n    pass\n"
        "def test_last(pg_database):\n    pass\n",
    )

    result = run(adopter)

    assert result.outcomes == {"passed": 2, "error": 1}, result.output
    assert "ValueError: torn" in result.output


@pytest.mark.parametrize("options", [(), ("-x",)])
def test_an_error_of_a_teardown_keeps_nothing_wider_from_its_own(
    adopter: Project, options: tuple[str, ...]
) -> None:
    for name in ("test_a.py", "test_b.py"):
        adopter.write(
            name,
            "from conftest import *\n"
            "@pytest.fixture\ndef failing(pg_database):\n    yield\n    raise ValueError('torn')\n"
            "@pytest.fixture(scope='module')\ndef too(wide):\n    yield\n    raise ValueError('and that')\n"
            "def test_it(too, failing):\n    pass\n",
        )

    result = run(adopter, *options)

    modules = 1 if options else 2
    assert result.outcomes == {"passed": modules, "error": modules}, result.output
    assert [line for line in made(adopter) if "::" not in line] == ["wide begins", "wide ends"] * modules
    assert result.output.count("ValueError: torn") == result.output.count("ValueError: and that")


def test_where_the_run_stops_an_error_of_a_wider_teardown_is_reported(adopter: Project) -> None:
    adopter.write(
        "test_it.py",
        "from conftest import *\n"
        "@pytest.fixture(scope='module')\ndef failing(wide):\n    yield\n    raise ValueError('torn')\n"
        "def test_it(failing, pg_database):\n    assert False\n"
        "def test_never(failing, pg_database):\n    pass\n",
    )

    result = run(adopter, "-x")

    assert result.outcomes == {"failed": 1, "error": 1}, result.output
    assert "ERROR at teardown of test_it" in result.output


def test_a_debugger_stops_in_the_attempt_that_counts(adopter: Project) -> None:
    adopter.write(
        "test_it.py",
        "from conftest import *\n"
        "def test_it(pg_database):\n    vacuum()\n"
        "def test_that_fails(pg_database):\n    vacuum()\n    assert pg_database.isolation == 'rollback'\n",
    )

    result = run(adopter, "--pdb")

    assert result.outcomes == {"failed": 1, "passed": 1}, result.output
    assert result.output.count("entering PDB") == 1
    assert "this attempt is dropped" not in result.output


def test_a_report_in_xml_has_one_attempt(adopter: Project) -> None:
    adopter.write(
        "test_it.py", "from conftest import *\ndef test_it(pg_database):\n    print(1)\n    vacuum()\n"
    )

    run(adopter, "--junitxml=report.xml", "-o", "junit_logging=all")

    cases = ET.parse(adopter.path / "report.xml").findall(".//testcase")  # noqa: S314 - our own
    assert len(cases) == 1
    assert {child.tag for child in cases[0]} == {"system-out", "system-err"}
    assert (cases[0][0].text or "").count("\n1\n") == 1
