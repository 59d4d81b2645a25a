"""The tests that the pages show, run as they stand there, configured as their page says, or the README."""

from __future__ import annotations

import pytest

from tests.integration.pgharness.conftest import MakeProject
from tests.support import project_files

# The app has no migrations: one line in place of alembic.ini.
NO_ALEMBIC = 'pg_metadata = "notes:Base.metadata"\n'
IMPORTS = "import pytest\nfrom notes import Note\n\n"


@pytest.mark.parametrize(
    ("page", "passed"),
    [
        ("README.md", 1),
        ("docs/README.md", 1),
        ("docs/how-to/adopt.md", 3),
        ("docs/how-to/deterministic-ids.md", 1),
        ("docs/how-to/external-services.md", 1),
        ("docs/how-to/live-server.md", 2),
    ],
)
def test_what_a_page_shows_passes(project: MakeProject, page: str, passed: int) -> None:
    adopter = project("pages_app")
    configuration = next(
        block
        for name in (page, "README.md")
        for block in project_files.blocks(name, "toml")
        if 'pg_app = "notes:app"' in block
    )
    tests = [block for block in project_files.blocks(page, "python") if "def test_" in block]
    adopter.write("pyproject.toml", configuration + NO_ALEMBIC)
    for number, test in enumerate(tests):
        adopter.write(f"tests/api/test_{number}.py", IMPORTS + test)

    result = adopter.pytest()

    assert result.outcomes == {"passed": passed}, result.output


def test_the_readme_and_the_page_on_adopting_show_one_configuration() -> None:
    first, second = (
        [block for block in project_files.blocks(page, "toml") if "pg_app" in block]
        for page in ("README.md", "docs/how-to/adopt.md")
    )

    assert first == second
