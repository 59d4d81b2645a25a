"""A thread, or a job of an executor, that outlives its test is refused in a later one."""

from __future__ import annotations

import re

import pytest

from tests.support.project import COUNT_AND_ADD, Project

INI = "[pytest]\npg_sql = schema.sql\npg_env = DATABASE_URL={{{driver}_url}}\n"
TESTS = (
    """
import os, threading
from concurrent.futures import ThreadPoolExecutor
import anyio.from_thread, anyio.to_thread
import pytest
from sqlalchemy import create_engine, text

engine = create_engine(os.environ["DATABASE_URL"])
executor = ThreadPoolExecutor(2)
go_on = {name: threading.Event() for name in ("thread", "job", "module")}
ended = {name: threading.Event() for name in go_on}
said = {}
"""
    + COUNT_AND_ADD
    + """
def late(name):
    go_on[name].wait(30)
    try:
        add()
        said[name] = "written"
    except Exception as error:
        said[name] = str(error)
    ended[name].set()

@pytest.fixture(scope="module")
def of_the_module(pg_server):
    threading.Thread(target=late, args=("module",)).start()

@pytest.fixture(scope="module")
def portal():
    with anyio.from_thread.start_blocking_portal() as made:
        yield made

def test_begins(pg_database, of_the_module, portal):
    threading.Thread(target=late, args=("thread",)).start()
    executor.submit(late, "job")
    assert executor.submit(count).result() == 0
    assert portal.call(anyio.to_thread.run_sync, count) == 0

def test_begun_in_the_same_test(pg_database):
    thread = threading.Thread(target=add)
    thread.start()
    thread.join()
    executor.submit(add).result()
    assert count() == 2

@pytest.mark.parametrize("name", go_on)
def test_ends(pg_database, name):
    go_on[name].set()
    assert ended[name].wait(30)
    assert count() == (1 if name == "module" else 0)
    print("SAID", name, said[name].splitlines()[0])

def test_the_threads_of_pools_serve_every_test(pg_database, portal):
    assert executor.submit(count).result() == 0
    assert portal.call(anyio.to_thread.run_sync, count) == 0
"""
)
SENTENCE = (
    "pgharness: test_it.py::test_ends[{kind}]: the {kind} late() at test_it.py:22 of an earlier test reached "
    "the test database."
)


@pytest.mark.parametrize("isolation", ["auto", "database"])
@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_it_is_refused_and_a_wider_fixtures_is_not(
    empty_project: Project, driver: str, isolation: str
) -> None:
    empty_project.write("pytest.ini", INI.format(driver=driver))
    empty_project.write("schema.sql", "CREATE TABLE item (id serial PRIMARY KEY)")
    empty_project.write("test_it.py", TESTS)

    result = empty_project.pytest("-s", "-p", "no:randomly", f"--pg-isolation={isolation}")

    assert result.outcomes == {"passed": 6}, result.output
    assert dict(re.findall(r"SAID (\w+) (.*)", result.output)) == {
        "thread": SENTENCE.format(kind="thread"),
        "job": SENTENCE.format(kind="job"),
        "module": "written",
    }
