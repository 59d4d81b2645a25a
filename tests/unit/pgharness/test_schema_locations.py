from __future__ import annotations

import os
from pathlib import Path

import pytest

from pgharness.errors import SchemaError
from pgharness.schema.find import find
from pgharness.schema.locations import Locations
from tests.support.schema_projects import alembic_project, configure, write


def located(root: Path, **options: str) -> Locations:
    locations = find(configure(root, **options)).locations()
    assert locations is not None
    return locations


def test_versions_lie_beside_env_py(tmp_path: Path) -> None:
    alembic_project(tmp_path)

    locations = located(tmp_path)

    assert locations.cwd == tmp_path
    assert locations.script == tmp_path / "migrations"
    assert locations.versions == (tmp_path / "migrations/versions",)


def test_a_project_in_a_subdirectory_runs_there(tmp_path: Path) -> None:
    alembic_project(tmp_path / "backend")

    locations = located(tmp_path, migrations="backend/alembic.ini")

    assert (locations.cwd, locations.script) == (tmp_path / "backend", tmp_path / "backend/migrations")


def test_the_directory_of_the_ini_file_is_filled_in(tmp_path: Path) -> None:
    write(tmp_path, "conf/alembic.ini", "[alembic]\nscript_location = %(here)s/../db\n")
    write(tmp_path, "db/env.py", "")

    assert located(tmp_path, migrations="conf/alembic.ini").script == tmp_path / "db"


@pytest.mark.parametrize(
    ("separator", "text"),
    [
        ("", "one two"),
        ("", "one, two"),
        ("version_path_separator = space\n", "one two"),
        ("version_path_separator = os\n", f"one{os.pathsep}two"),
        ("path_separator = newline\n", "one\n  two"),
    ],
)
def test_several_version_directories(tmp_path: Path, separator: str, text: str) -> None:
    write(
        tmp_path, "alembic.ini", f"[alembic]\nscript_location = db\n{separator}version_locations = {text}\n"
    )
    write(tmp_path, "db/env.py", "")

    assert located(tmp_path).versions == (tmp_path / "one", tmp_path / "two")


def test_pyproject_gives_a_list(tmp_path: Path) -> None:
    write(
        tmp_path,
        "pyproject.toml",
        '[tool.alembic]\nscript_location = "%(here)s/db"\nversion_locations = ["%(here)s/a", "b"]\n',
    )
    write(tmp_path, "db/env.py", "")

    assert located(tmp_path).versions == (tmp_path / "a", tmp_path / "b")


def test_the_ini_goes_before_pyproject(tmp_path: Path) -> None:
    write(tmp_path, "pyproject.toml", '[tool.alembic]\nscript_location = "old"\n')
    alembic_project(tmp_path)

    assert located(tmp_path).script == tmp_path / "migrations"


def test_a_location_inside_a_package(tmp_path: Path) -> None:
    write(tmp_path, "alembic.ini", "[alembic]\nscript_location = shop.db:migrations\n")
    write(tmp_path, "shop/__init__.py", "raise RuntimeError('not to be imported')")
    write(tmp_path, "shop/db/migrations/env.py", "")

    assert located(tmp_path).script == tmp_path / "shop/db/migrations"


def test_no_script_location(tmp_path: Path) -> None:
    write(tmp_path, "alembic.ini", "[alembic]\nsqlalchemy.url = postgresql://\n")

    with pytest.raises(SchemaError) as caught:
        located(tmp_path)

    assert str(caught.value) == (
        "pgharness: alembic.ini has no script_location in [alembic].\n"
        "Alembic finds env.py and the migrations through it.\n"
        "To fix this, either:\n"
        "  - add `script_location = migrations`, the directory that holds env.py\n"
        "  - give --pg-migrations the path of the alembic.ini that has it"
    )


def test_no_script_location_in_pyproject(tmp_path: Path) -> None:
    write(tmp_path, "pyproject.toml", "[tool.alembic]\n")

    with pytest.raises(
        SchemaError, match=r"^pgharness: pyproject.toml has no script_location in \[tool.alembic\]."
    ):
        located(tmp_path)


def test_no_env_py(tmp_path: Path) -> None:
    write(tmp_path, "backend/alembic.ini", "[alembic]\nscript_location = migrations\n")

    with pytest.raises(SchemaError) as caught:
        located(tmp_path, migrations="backend/alembic.ini")

    assert str(caught.value) == (
        "pgharness: script_location = 'migrations' of backend/alembic.ini holds no env.py.\n"
        "Checked:\n"
        f"  - {tmp_path}/migrations/env.py\n"
        f"  - {tmp_path}/backend/migrations/env.py\n"
        "To fix this: correct script_location; it is relative to the directory of the ini file of pytest"
    )


def test_an_ini_that_is_none(tmp_path: Path) -> None:
    write(tmp_path, "alembic.ini", "script_location = migrations\n")

    with pytest.raises(SchemaError) as caught:
        located(tmp_path)

    assert str(caught.value) == (
        "pgharness: alembic.ini cannot be read: File contains no section headers.\n"
        "Checked:\n"
        f"  - {tmp_path}/alembic.ini\n"
        "To fix this: mend alembic.ini; `alembic current` must read it"
    )
