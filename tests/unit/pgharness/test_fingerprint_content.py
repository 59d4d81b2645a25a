"""What changes the name of a template, and what does not."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pgharness.errors import SchemaError
from pgharness.schema.find import find
from tests.support.schema_projects import alembic_project, configure, migration, write

OPTIONS = {
    "env": ["DATABASE_URL={asyncpg_url}"],
    "sql": ["a.sql", "b.sql"],
    "template_inputs": ["seed", "x.csv"],
}


def project(root: Path) -> Path:
    alembic_project(
        root,
        ini="version_locations = migrations/versions more\n",
        migrations={"a1.py": migration("a1", None, "pass"), "b1.py": migration("b1", "a1", "pass")},
    )
    for name in ("more/c1.py", "a.sql", "b.sql", "seed/users.json", "x.csv", "migrations/sql/view.sql"):
        write(root, name, f"-- {name}\n")
    return root


def of(root: Path, major: int = 17, **options: Any) -> str:
    return find(configure(root, **{**OPTIONS, **options})).fingerprint(major)


def test_twelve_hexadecimal_digits(tmp_path: Path) -> None:
    found = of(project(tmp_path))

    assert len(found) == 12
    assert int(found, 16) >= 0


def test_the_same_wherever_and_whenever_it_is_checked_out(tmp_path: Path) -> None:
    one, two = project(tmp_path / "one"), tmp_path / "elsewhere" / "two"
    shutil.copytree(one, two, copy_function=shutil.copyfile)
    for file in two.rglob("*"):
        os.utime(file, (1, 1))

    assert of(one) == of(two)


def test_caches_do_not_count(tmp_path: Path) -> None:
    before = of(project(tmp_path))

    write(tmp_path, "migrations/versions/__pycache__/a1.cpython-311.pyc", "x")
    write(tmp_path, "migrations/versions/a1.pyc", "x")
    write(tmp_path, "README.md", "not read")

    assert of(tmp_path) == before


def test_the_order_of_names_does_not_count(tmp_path: Path) -> None:
    project(tmp_path)
    turned: dict[str, Any] = {
        "env": ["B={url}", "A={url}"],
        "extensions": ["y", "x"],
        "template_inputs": ["x.csv", "seed"],
    }
    straight: dict[str, Any] = {
        "env": ["A={url}", "B={url}"],
        "extensions": ["x", "y"],
        "template_inputs": ["seed", "x.csv"],
    }

    assert of(tmp_path, **turned) == of(tmp_path, **straight)


@pytest.mark.parametrize(
    "change",
    [
        lambda root: write(root, "alembic.ini", (root / "alembic.ini").read_text() + "# more\n"),
        lambda root: write(root, "migrations/env.py", "pass"),
        lambda root: write(root, "migrations/versions/a1.py", "pass"),
        lambda root: write(root, "migrations/versions/new.py", ""),
        lambda root: (root / "migrations/versions/b1.py").rename(root / "migrations/versions/c1.py"),
        lambda root: (root / "migrations/versions/b1.py").unlink(),
        lambda root: write(root, "migrations/sql/view.sql", "SELECT 2"),
        lambda root: write(root, "more/c1.py", "pass"),
        lambda root: write(root, "a.sql", "SELECT 2"),
        lambda root: write(root, "seed/users.json", "[]"),
        lambda root: write(root, "x.csv", "1"),
        lambda root: write(root, "pyproject.toml", "[tool.alembic]\n"),
    ],
)
def test_every_file_that_can_change_the_schema_counts(
    tmp_path: Path, change: Callable[[Path], object]
) -> None:
    before = of(project(tmp_path))

    change(tmp_path)

    assert of(tmp_path) != before


@pytest.mark.parametrize(
    "options",
    [
        {"major": 18},
        {"env": ["DATABASE_URL={url}"]},
        {"env": ["DB_URL={asyncpg_url}"]},
        {"extensions": ["citext"]},
        {"sql": ["b.sql", "a.sql"]},
        {"sql": ["a.sql"]},
        {"template_inputs": ["seed"]},
        {"migrations": "none"},
    ],
)
def test_every_option_that_can_change_the_schema_counts(tmp_path: Path, options: dict[str, Any]) -> None:
    before = of(project(tmp_path))

    assert of(tmp_path, **options) != before


def test_versions_of_the_libraries_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = of(project(tmp_path))

    monkeypatch.setattr("importlib.metadata.version", lambda name: "0.0")

    assert of(tmp_path) != before


def test_a_boundary_between_two_files_counts(tmp_path: Path) -> None:
    write(tmp_path, "a.sql", "SELECT 1;")
    write(tmp_path, "b.sql", "SELECT 2;")
    before = of(tmp_path, template_inputs=[])

    write(tmp_path, "a.sql", "SELECT 1;S")
    write(tmp_path, "b.sql", "ELECT 2;")

    assert of(tmp_path, template_inputs=[]) != before


def test_metadata_counts_every_module_of_its_package_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path, "shop_fp/__init__.py", "raise RuntimeError('not to be imported')")
    write(tmp_path, "shop_fp/orders/models.py", "")
    config = configure(tmp_path, metadata="shop_fp.orders.models:Base.metadata")
    before = find(config).fingerprint(17)

    write(tmp_path, "shop_fp/orders/page.html", "x")
    assert find(config).fingerprint(17) == before
    write(tmp_path, "shop_fp/orders/other.py", "x")
    assert find(config).fingerprint(17) != before


def test_metadata_of_a_lone_module_counts_the_modules_beside_it(tmp_path: Path) -> None:
    write(tmp_path, "main_fp.py", "import models_fp")
    write(tmp_path, "models_fp.py", "")
    config = configure(tmp_path, metadata="main_fp:metadata")
    before = find(config).fingerprint(17)

    write(tmp_path, "models_fp.py", "pass")

    assert find(config).fingerprint(17) != before


def test_a_seed_counts_its_own_module_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path, "shop_seed/__init__.py", "raise RuntimeError('not to be imported')")
    write(tmp_path, "shop_seed/seeds.py", "")
    config = configure(tmp_path, seed=["shop_seed.seeds:load"])
    before = find(config).fingerprint(17)

    write(tmp_path, "shop_seed/models.py", "")
    assert find(config).fingerprint(17) == before
    write(tmp_path, "shop_seed/seeds.py", "x")
    assert find(config).fingerprint(17) != before


@pytest.mark.parametrize("init", ["demo_seed/data/__init__.py", "demo_seed/data/notes.py"])
def test_a_seed_that_is_a_package_counts_all_its_files(tmp_path: Path, init: str) -> None:
    write(tmp_path, init, "")
    config = configure(tmp_path, seed=["demo_seed.data:load"])
    before = find(config).fingerprint(17)

    write(tmp_path, "demo_seed/other.py", "")
    assert find(config).fingerprint(17) == before
    write(tmp_path, "demo_seed/data/users.json", "[]")
    assert find(config).fingerprint(17) != before


def test_sql_seeds_count_and_so_does_their_order(tmp_path: Path) -> None:
    write(tmp_path, "a.sql", "SELECT 1")
    write(tmp_path, "b.sql", "SELECT 2")

    def of_seeds(*seeds: str) -> str:
        return find(configure(tmp_path, seed=seeds)).fingerprint(17)

    before = of_seeds("a.sql", "b.sql")
    turned = of_seeds("b.sql", "a.sql")
    write(tmp_path, "b.sql", "SELECT 3")

    assert len({before, turned, of_seeds("a.sql", "b.sql"), of_seeds("a.sql"), of_seeds()}) == 5


def test_a_seed_that_cannot_be_found_is_left_to_the_process_that_calls_it(tmp_path: Path) -> None:
    config = configure(tmp_path, seed=["nowhere_seed.notes:load"])

    assert find(config).fingerprint(17) == find(config).fingerprint(17)


def test_a_sql_seed_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=r"pg_seed names 'seed\.sql' \(ini\), which is not a file\."):
        find(configure(tmp_path, seed=["seed.sql"])).fingerprint(17)


def test_a_template_input_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SchemaError) as caught:
        find(configure(tmp_path, template_inputs=["seeds"])).fingerprint(17)

    assert str(caught.value) == (
        "pgharness: pg_template_inputs names 'seeds' (ini), which is not there.\n"
        "Checked:\n"
        f"  - {tmp_path}/seeds\n"
        "To fix this: correct the path; it is relative to the directory of the ini file of pytest"
    )


def test_a_sql_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SchemaError) as caught:
        find(configure(tmp_path, sql=["schema.sql"])).fingerprint(17)

    assert str(caught.value) == (
        "pgharness: pg_sql names 'schema.sql' (ini), which is not a file.\n"
        "Checked:\n"
        f"  - {tmp_path}/schema.sql\n"
        "To fix this: correct the path; it is relative to the directory of the ini file of pytest"
    )
