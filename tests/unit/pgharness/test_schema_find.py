from __future__ import annotations

from pathlib import Path

import pytest

from pgharness.errors import ConfigError, SchemaError
from pgharness.schema.find import find
from tests.support.schema_projects import alembic_project, configure, write


def test_nothing_configured_is_an_empty_database(tmp_path: Path) -> None:
    schema = find(configure(tmp_path))

    assert (schema.kind, schema.describe) == ("empty", "an empty database")


def test_an_alembic_ini_at_the_root_is_found(tmp_path: Path) -> None:
    alembic_project(tmp_path)

    schema = find(configure(tmp_path))

    assert (schema.kind, schema.ini, schema.describe) == (
        "alembic",
        tmp_path / "alembic.ini",
        "the migrations of alembic.ini",
    )


def test_none_runs_no_migrations(tmp_path: Path) -> None:
    alembic_project(tmp_path)

    assert find(configure(tmp_path, migrations="none")).kind == "empty"


def test_a_pyproject_with_a_table_for_alembic_is_found(tmp_path: Path) -> None:
    toml = write(tmp_path, "pyproject.toml", '[tool.alembic]\nscript_location = "%(here)s/migrations"\n')

    schema = find(configure(tmp_path))

    assert (schema.kind, schema.ini, schema.toml) == ("alembic", None, toml)
    assert schema.describe == "the migrations of pyproject.toml"


def test_a_pyproject_without_it_is_not(tmp_path: Path) -> None:
    write(tmp_path, "pyproject.toml", "[tool.ruff]\n")

    assert find(configure(tmp_path)).kind == "empty"


def test_a_named_file_in_a_subdirectory(tmp_path: Path) -> None:
    alembic_project(tmp_path / "backend")

    schema = find(configure(tmp_path, migrations="backend/alembic.ini"))

    assert schema.describe == "the migrations of backend/alembic.ini"


def test_metadata_goes_before_an_ini_that_was_only_found(tmp_path: Path) -> None:
    alembic_project(tmp_path)

    schema = find(configure(tmp_path, metadata="app.models:Base.metadata"))

    assert (schema.kind, schema.describe) == ("metadata", "create_all of app.models:Base.metadata")


def test_sql_files_go_before_migrations(tmp_path: Path) -> None:
    alembic_project(tmp_path)

    assert find(configure(tmp_path, sql=["roles.sql"])).kind == "alembic"
    schema = find(configure(tmp_path, sql=["a", "b", "c", "d"], migrations="none"))
    assert (schema.kind, schema.describe) == ("sql", "the SQL of a, b, c, ...")


def test_migrations_and_metadata_both_named_contradict_each_other(tmp_path: Path) -> None:
    config = configure(tmp_path, migrations="alembic.ini", metadata="app:metadata")

    with pytest.raises(ConfigError) as caught:
        find(config)

    assert str(caught.value) == (
        "pgharness: pg_migrations = 'alembic.ini' (ini) and pg_metadata = 'app:metadata' (ini) "
        "contradict each other.\n"
        "The schema comes from Alembic's migrations or from create_all, not from both.\n"
        "To fix this, either:\n"
        "  - drop pg_metadata to test on the migrated schema\n"
        "  - drop pg_migrations"
    )


def test_a_named_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SchemaError) as caught:
        find(configure(tmp_path, migrations="db/alembic.ini"))

    assert str(caught.value) == (
        "pgharness: pg_migrations = 'db/alembic.ini' (ini) is not a file.\n"
        "Checked:\n"
        f"  - {tmp_path}/db/alembic.ini\n"
        "To fix this, either:\n"
        "  - give --pg-migrations the path of the alembic.ini\n"
        "  - give --pg-migrations=none if the project has no migrations"
    )


def test_a_named_pyproject_without_the_table(tmp_path: Path) -> None:
    write(tmp_path, "pyproject.toml", "[tool.ruff]\n")

    with pytest.raises(SchemaError) as caught:
        find(configure(tmp_path, migrations="pyproject.toml"))

    assert str(caught.value) == (
        "pgharness: pg_migrations = 'pyproject.toml' (ini) has no [tool.alembic].\n"
        "Checked:\n"
        f"  - {tmp_path}/pyproject.toml\n"
        "To fix this: give --pg-migrations the path of the alembic.ini"
    )
