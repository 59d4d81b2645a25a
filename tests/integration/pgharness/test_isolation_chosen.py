"""Where a test's isolation comes from: its mark, its directory, the options."""

from __future__ import annotations

import re
import textwrap

import pytest

from tests.integration.pgharness.conftest import MakeProject
from tests.support import project_files

TESTS = """
import pytest

def test_plain(pg_database, record_property):
    record_property("isolation", pg_database.isolation)

@pytest.mark.pg(isolation="rollback")
def test_marked(pg_database, record_property):
    record_property("isolation", pg_database.isolation)
"""
REPORT = """
def pytest_runtest_logreport(report):
    if report.when == "call":
        print("SEEN", report.nodeid, dict(report.user_properties)["isolation"])
"""


def hook_of_the_page() -> str:
    """The conftest.py that docs/how-to/real-commits.md shows."""
    blocks = re.findall(r"```python\n(.*?)```", project_files.text("docs/how-to/real-commits.md"), re.DOTALL)
    found = [block for block in blocks if "pytest_collection_modifyitems" in block]
    assert len(found) == 1
    return textwrap.dedent("  " + found[0].lstrip())


@pytest.mark.parametrize(
    ("options", "elsewhere"), [((), "rollback"), (("--pg-isolation=database",), "database")]
)
def test_a_mark_goes_before_the_directory_and_that_before_the_option(
    project: MakeProject, options: tuple[str, ...], elsewhere: str
) -> None:
    adopter = project("asyncpg_app")
    adopter.write("conftest.py", REPORT)
    adopter.write("test_notes.py", TESTS)
    adopter.write("races/conftest.py", hook_of_the_page())
    adopter.write("races/deeper/test_races.py", TESTS)

    result = adopter.pytest("-s", "-q", "-p", "no:randomly", *options)

    assert result.code == 0, result.output
    assert dict(re.findall(r"SEEN (\S+) (\w+)", result.output)) == {
        "test_notes.py::test_plain": elsewhere,
        "test_notes.py::test_marked": "rollback",
        "races/deeper/test_races.py::test_plain": "database",
        "races/deeper/test_races.py::test_marked": "rollback",
    }
