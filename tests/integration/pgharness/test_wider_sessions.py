"""Sessions, listeners and pollers of a fixture of wider scope go on in the tests that use them."""

from __future__ import annotations

import pytest

from tests.support.project import Project
from tests.support.wide_fixtures import IN_ORDER, run_one, said, write_into

HOLDING = """
@pytest.fixture(scope="session")
def session():
    with Session(engine) as session:
        yield session

@pytest.fixture(scope="session")
def held(session):
    session.execute(text(INSERT.format("of the session")))
    session.commit()
    return {"session": session}

@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def async_session():
    async with AsyncSession(async_engine) as session:
        yield session

@pytest.fixture(scope="module")
def connection():
    with psycopg.connect(URL) as connection:
        connection.execute("SELECT count(*) FROM item")  # it is in a transaction from then on
        yield connection

@pytest.fixture(scope="class")
def of_psycopg2():
    with contextlib.closing(psycopg2.connect(URL)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        yield connection, cursor
"""
USING = """
COUNT = "SELECT count(*) FROM item"
pytestmark = pytest.mark.usefixtures("pg_database", "held")
several = pytest.mark.parametrize("n", range(3))
real = pytest.mark.pg(isolation="database")

@several
def test_session(session, n):
    assert session.scalar(text(COUNT)) == 1
    session.execute(text(INSERT.format("of a test")))
    session.commit()
    assert session.scalar(text(COUNT)) == 2

@several
@pytest.mark.asyncio(loop_scope="session")
async def test_async_session(async_session, n):
    assert await async_session.scalar(text(COUNT)) == 1
    await async_session.execute(text(INSERT.format("of a test")))
    await async_session.commit()
    assert await async_session.scalar(text(COUNT)) == 2

@several
def test_connection(connection, n):
    insert("of a test")
    assert connection.execute(COUNT).fetchone() == (2,)

class TestClass:
    @several
    def test_psycopg2(self, of_psycopg2, n):
        connection, cursor = of_psycopg2
        cursor.execute(INSERT.format("of a test"))
        connection.rollback()
        cursor.execute(COUNT)
        assert cursor.fetchone() == (1,)

@real
@several
def test_real(session, connection, n):
    assert session.scalar(text(COUNT)) == connection.execute(COUNT).fetchone()[0] == 1
    insert("of a test")
    assert session.scalar(text(COUNT)) == connection.execute(COUNT).fetchone()[0] == 2

def test_second_attempt(session, connection):
    assert session.scalar(text(COUNT)) == connection.execute(COUNT).fetchone()[0] == 1
    vacuum_in_second_attempt()
    assert session.scalar(text(COUNT)) == connection.execute(COUNT).fetchone()[0] == 1
"""


@pytest.mark.parametrize(
    ("isolation", "options"),
    [
        ("rollback", IN_ORDER),
        ("database", IN_ORDER),
        ("auto", IN_ORDER),
        ("auto", ("-p", "randomly", "--randomly-seed=1")),
        ("auto", ("-n", "2", "-p", "randomly", "--randomly-seed=2")),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_a_session_goes_on_with_what_it_has_read(
    empty_project: Project, isolation: str, options: tuple[str, ...]
) -> None:
    adopter = write_into(empty_project, conftest=HOLDING, test_one=USING, test_other=USING)

    result = adopter.pytest(f"--pg-isolation={isolation}", *options, ISOLATION=isolation)

    assert (result.code, result.outcomes) == (0, {"passed": 2 * 16}), result.output


@pytest.mark.parametrize("isolation", ["rollback", "auto"])
def test_a_session_that_has_written_and_not_committed(empty_project: Project, isolation: str) -> None:
    tests = """
def test_leaves_it(session, pg_database):
    session.execute(text(INSERT.format("of a test")))

def test_next(pg_database, session):
    said = "goes on with the transaction begun at test_it.py:4 in test_leaves_it"
    with pytest.raises(Exception, match=said):
        session.execute(text("SELECT 1"))
    session.rollback()
    assert items() == {}

def test_last(pg_database, session):
    assert session.scalar(text("SELECT count(*) FROM item")) == 0
"""

    result = run_one(empty_project, HOLDING, tests, f"--pg-isolation={isolation}")

    assert result.outcomes == {"passed": 3, "error": 2}, result.output
    assert said(result)[0] == (
        "test_it.py::test_leaves_it: a transaction is still open as the test ends.\n"
        "Its session or connection was not closed, or a task still uses it; in production it would keep a "
        "connection of the pool, idle in transaction.\n"
        "Checked:\n"
        "  - begun at test_it.py:4 in test_leaves_it\n"
        "To fix this: close the session (async with, a dependency with yield), or await the task"
    )


LISTENING = """
@pytest.fixture(scope="session")
def notified():
    with psycopg.connect(URL, autocommit=True) as connection:
        connection.execute('LISTEN "of the session"')
        yield lambda: [n.payload for n in connection.notifies(timeout=5, stop_after=1)]
"""
NOTIFYING = """
NOTIFY = "SELECT pg_notify('of the session', '{}')"

@pytest.mark.parametrize("n", range(2))
def test_it(notified, pg_database, n):
    by_psycopg(NOTIFY.format(n))
    assert notified() == [str(n)]
"""


@pytest.mark.parametrize("isolation", ["database", "auto"])
def test_a_session_fixture_hears_what_a_test_with_real_commits_says(
    empty_project: Project, isolation: str
) -> None:
    result = run_one(empty_project, LISTENING, NOTIFYING, f"--pg-isolation={isolation}")

    assert (result.code, result.outcomes) == (0, {"passed": 2}), result.output


def test_what_is_said_under_rollback_is_refused_where_it_would_be_heard(empty_project: Project) -> None:
    result = run_one(empty_project, LISTENING, NOTIFYING, "--pg-isolation=rollback")

    assert result.outcomes.get("passed") is None, result.output
    assert "does not reach the connection that began to listen at notified." in result.output


POLLING = """
import asyncio, threading, time

@pytest.fixture(scope="session")
def thread():
    going, polled = threading.Event(), []

    def poll():
        with psycopg.connect(URL, autocommit=True) as connection:
            while not going.is_set():
                polled.append(connection.execute("SELECT pg_sleep(0.05), count(*) FROM item").fetchone()[1])

    thread = threading.Thread(target=poll, daemon=True)
    thread.start()
    while not polled:
        time.sleep(0.001)
    insert("of the thread")
    yield polled
    going.set()
    thread.join(10)
    assert not thread.is_alive()

@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def task():
    polled = []

    async def poll():
        connection = await asyncpg.connect(URL)
        while True:
            polled.append(await connection.fetchval("SELECT count(*) FROM item, pg_sleep(0.05)"))

    task = asyncio.create_task(poll())
    while not polled:
        await asyncio.sleep(0.001)
    await by_asyncpg(INSERT.format("of the task"))
    yield polled
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
"""
POLLED = """
def test_thread(thread, pg_database):
    before, rows, until = len(thread), len(items()), time.monotonic() + 10
    while len(thread) < before + 3 and time.monotonic() < until:
        time.sleep(0.001)
    assert len(thread) >= before + 3
    assert thread[-1] == rows

@pytest.mark.asyncio(loop_scope="session")
async def test_task(task, pg_database):
    before, rows, until = len(task), len(items()), time.monotonic() + 10
    while len(task) < before + 3 and time.monotonic() < until:
        await asyncio.sleep(0.001)
    assert len(task) >= before + 3
    assert task[-1] == rows
"""


@pytest.mark.parametrize("isolation", ["rollback", "database"])
def test_one_who_polls_goes_on(empty_project: Project, isolation: str) -> None:
    tests = f"import asyncio, time\n{POLLED}"

    result = run_one(empty_project, POLLING, tests, f"--pg-isolation={isolation}")

    assert (result.code, result.outcomes) == (0, {"passed": 2}), result.output
