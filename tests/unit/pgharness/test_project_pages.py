"""The pages against the code: every command, option, fixture and link that they name exists."""

from __future__ import annotations

import ast
import inspect
import re
import tomllib
from pathlib import Path
from types import FunctionType

import pytest

from docs import write_options
from pgharness.config.options import OPTIONS
from pgharness.fixtures import clients, database, live
from tests.support import project_files

PAGES = [pytest.param(page, id=str(page.relative_to(project_files.ROOT))) for page in project_files.pages()]
OPTION_NAMES = {option.ini for option in OPTIONS}


def public_fixtures() -> set[str]:
    return set(definitions())


def definitions() -> dict[str, object]:
    """The fixtures a project may use, by name."""
    found = {**vars(database), **vars(clients), **vars(live)}
    return {name: value for name, value in found.items() if is_fixture(value) and not name.startswith("_")}


def is_fixture(value: object) -> bool:
    """Before pytest 8.4 a fixture is a function with a mark, after it an object of its own."""
    kind: type[object] = type(database.pg_database)
    return isinstance(value, kind) and (kind is not FunctionType or hasattr(value, "_pytestfixturefunction"))


def test_the_page_of_options_is_that_of_the_table() -> None:
    assert write_options.PAGE.read_text(encoding="utf-8") == write_options.page(), "run ./dev docs"


def test_the_page_of_fixtures_has_a_section_for_each_and_no_other() -> None:
    page = project_files.text("docs/reference/fixtures.md")

    assert set(re.findall(r"^### `(\w+)`", page, re.MULTILINE)) == public_fixtures()


@pytest.mark.parametrize("page", PAGES)
def test_every_session_that_a_page_names_exists(page: Path) -> None:
    named = re.findall(
        r"^\s*\./dev ([a-z_]+)|`\./dev ([a-z_]+)", page.read_text(encoding="utf-8"), re.MULTILINE
    )

    assert {first or second for first, second in named} - set(project_files.sessions()) == set()


@pytest.mark.parametrize("page", PAGES)
def test_every_option_that_a_page_names_exists(page: Path) -> None:
    content = page.read_text(encoding="utf-8")
    flags = {"pg_" + name.replace("-", "_") for name in re.findall(r"--pg-([a-z-]+)", content)}
    variables = {"pg_" + name.lower() for name in re.findall(r"\bPGHARNESS_([A-Z_]+)", content)}
    settings = set(re.findall(r"^(pg_\w+) =", content, re.MULTILINE))

    assert (flags | variables | settings) - OPTION_NAMES == set()


@pytest.mark.parametrize("page", PAGES)
def test_every_name_in_code_that_begins_with_pg_exists(page: Path) -> None:
    named = set(re.findall(r"`(pg_[a-z_]+)`", page.read_text(encoding="utf-8")))
    programs = {"pg_config", "pg_dump"}
    functions = {"pg_notify", "pg_terminate_backend", "pg_try_advisory_lock"}
    of_postgres = programs | functions | {"pg_locks", "pg_prepared_statements", "pg_stat_activity"}

    assert named - OPTION_NAMES - public_fixtures() - of_postgres == set()


@pytest.mark.parametrize("page", PAGES)
def test_every_link_within_the_repository_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]

    assert missing == []


def test_every_decision_says_context_decision_consequences_and_alternatives() -> None:
    decisions = sorted(project_files.ROOT.glob("docs/decisions/*.md"))
    expected = ["Context", "Decision", "Consequences", "Alternatives"]

    assert len(decisions) > 1
    for page in decisions:
        if page.name != "README.md":
            assert re.findall(r"^## (.*)", page.read_text(encoding="utf-8"), re.MULTILINE) == expected, (
                page.name
            )


def test_the_index_of_decisions_lists_each() -> None:
    index = project_files.text("docs/decisions/README.md")
    pages = {page.name for page in project_files.ROOT.glob("docs/decisions/*.md")} - {"README.md"}

    assert set(re.findall(r"\]\(([\w-]+\.md)\)", index)) == pages


def test_the_readme_begins_with_two_commands() -> None:
    blocks = re.findall(r"```(?:sh|console)\n(.*?)```", project_files.text("README.md"), re.DOTALL)
    commands = [line for line in blocks[0].splitlines() if line and not line.startswith("#")]

    assert [line.partition("  ")[0].strip() for line in commands] == ["./dev integration", "./dev"]


def test_ci_runs_the_second_command_of_the_readme() -> None:
    script = project_files.text(".ci/run").strip().splitlines()

    assert script[-1] == "./dev"


def test_the_newest_entry_of_the_changelog_is_this_version() -> None:
    entries = re.findall(r"^## \[?(\S+?)\]?(?: |$)", project_files.text("CHANGELOG.md"), re.MULTILINE)

    assert project_files.pyproject()["project"]["version"] in entries[:2]


def test_every_session_says_what_it_does() -> None:
    functions = [
        node for node in ast.parse(project_files.text("noxfile.py")).body if isinstance(node, ast.FunctionDef)
    ]
    sessions = project_files.sessions()

    assert [node.name for node in functions if node.name in sessions and not ast.get_docstring(node)] == []


def test_the_public_fixtures_have_docstrings() -> None:
    undocumented = [name for name, fixture in definitions().items() if not inspect.getdoc(fixture)]

    assert undocumented == []


@pytest.mark.parametrize("page", PAGES)
def test_every_test_that_a_page_names_is_there(page: Path) -> None:
    named = re.findall(r"`(?:\S*/)?(test_\w+\.py)::(test_\w+)`", page.read_text(encoding="utf-8"))
    missing = [f"{file}::{name}" for file, name in named if not _is_test(file, name)]

    assert missing == []


def _is_test(file: str, name: str) -> bool:
    found = list((project_files.ROOT / "tests").rglob(file))
    return any(
        re.search(rf"^(?:async )?def {name}\(", path.read_text(encoding="utf-8"), re.MULTILINE)
        for path in found
    )


@pytest.mark.parametrize("page", PAGES)
def test_the_code_on_a_page_can_be_read(page: Path) -> None:
    name = str(page.relative_to(project_files.ROOT))

    for code in project_files.blocks(name, "python"):
        compile(code if code.strip()[0] != "@" or "def " in code else f"{code}def f(): ...\n", name, "exec")
    for table in project_files.blocks(name, "toml"):
        tomllib.loads(table)
