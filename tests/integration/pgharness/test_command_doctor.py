"""``pgharness doctor``: what each backend says of itself when it is really started."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from pgharness.cli import doctor
from pgharness.cli.doctor import Finding
from pgharness.config.options import OPTIONS
from pgharness.fixtures import PgServer
from tests.integration.pgharness.conftest import MakeProject
from tests.support.project import Project
from tests.support.server_runs import make_config

DEAD = "unix:///nonexistent/docker.sock"


def examine(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pgharness.cli", "doctor", *arguments],
        cwd=project.path,
        env=project.environment(DOCKER_HOST=DEAD),
        capture_output=True,
        text=True,
        check=False,
    )


def test_each_backend_says_whether_it_serves(project: MakeProject, pg_server: PgServer) -> None:
    done = examine(project("asyncpg_app"), f"--pg-url={pg_server.url}")

    output = re.sub(r"after \d+\.\d s", "after T s", done.stdout)
    output = re.sub(r"^local .*", "local", output, flags=re.MULTILINE)
    at = pg_server.url.rpartition("@")[2].partition("/")[0]
    assert (done.returncode, done.stderr) == (0, "")
    assert output == (
        f"external   yes  {pg_server.version} at {at}, answers after T s\n"
        "container  no   no Docker engine answers, and pg_backend = 'container' needs one.\n"
        "                Checked:\n"
        f"                  - container: the Docker engine at {DEAD} does not answer "
        "(No such file or directory)\n"
        "                To fix this, either:\n"
        "                  - start Docker, or set DOCKER_HOST to its engine\n"
        "                  - let the harness choose: --pg-backend=auto\n"
        "local\n"
        "\n"
        "pg_backend = auto (default): external serves the tests\n"
        "schema: create_all of notes:Base.metadata\n"
    )


def test_local_binaries_are_started_to_see_whether_they_serve(project: MakeProject) -> None:
    done = examine(project("asyncpg_app"))

    assert done.returncode == 0
    local = next(line for line in done.stdout.splitlines() if line.startswith("local"))
    assert re.fullmatch(r"local      yes  [\d.]+ from /\S+, data in /\S+, answers after \d+\.\d s", local)
    assert "pg_backend = auto (default): local serves the tests\n" in done.stdout


def test_it_fails_if_the_backend_that_is_asked_for_does_not_serve(project: MakeProject) -> None:
    done = examine(project("asyncpg_app"), "--pg-backend=container")

    assert done.returncode == 1
    assert "pg_backend = container (command line): nothing serves the tests\n" in done.stdout


def test_it_fails_if_the_schema_cannot_be_found(project: MakeProject) -> None:
    notes = project("asyncpg_app")

    done = examine(notes, "--pg-metadata=", "--pg-migrations=nowhere.ini")

    assert done.returncode == 1
    assert "schema: pgharness: pg_migrations = 'nowhere.ini' (command line) is not a file.\n" in done.stdout


def test_it_says_that_the_app_does_not_learn_its_database(empty_project: Project) -> None:
    done = examine(empty_project)

    assert done.stdout.splitlines()[-2:] == [
        "schema: an empty database",
        "pg_env is not set: the app does not learn the address of its database",
    ]


YES, NO = True, False


@pytest.mark.parametrize(
    ("options", "works", "expected"),
    [
        ({}, {"container": YES, "local": YES}, "container"),
        ({}, {"container": NO, "local": YES}, "local"),
        ({}, {"container": NO, "local": NO}, ""),
        ({"url": "postgresql://u@h/d"}, {"external": YES, "local": YES}, "external"),
        ({"url": "postgresql://u@h/d"}, {"external": NO, "local": YES}, ""),
        ({"backend": "local"}, {"container": YES, "local": YES}, "local"),
        ({"backend": "local"}, {"container": YES, "local": NO}, ""),
    ],
)
def test_what_a_run_would_take(options: dict[str, str], works: dict[str, bool], expected: str) -> None:
    findings = {
        backend: Finding(backend, works=works.get(backend, NO), detail="") for backend in doctor.BACKENDS
    }

    assert doctor.chosen(make_config(**options), findings) == expected


def test_every_backend_but_auto_is_looked_at() -> None:
    option = next(option for option in OPTIONS if option.name == "backend")

    assert set(doctor.BACKENDS) == set(option.choices) - {"auto"}
