"""What xdist workers ask of the controller, over its local socket."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from multiprocessing.connection import Client
from typing import Any

import pytest

from pgharness.errors import DatabaseError, HarnessError, SchemaError
from pgharness.runs.controller import Controller, RemoteRun
from pgharness.runs.run import ServerFacts, WorkerDatabase
from pgharness.server.base import Address

pytestmark = pytest.mark.pg(allow_hosts=["unix:*"])
FACTS = ServerFacts(
    "local", "17.2", "binaries in /x", owned=True, address=Address("127.0.0.1", 1, "u", "s3cret")
)


class SmallRun:
    """What a worker may ask for, without a server."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.failure: HarnessError | None = None
        self.barrier: threading.Barrier | None = None

    def database(self, worker: str) -> WorkerDatabase:
        if self.failure is not None:
            raise self.failure
        if self.barrier is not None:
            self.barrier.wait(10)
        return WorkerDatabase(f"db_{worker}", FACTS)

    def take(self, worker: str) -> str:
        return f"clone_{worker}"

    def give_back(self, worker: str, name: str) -> None:
        self.calls.append(("give_back", worker, name))

    def copy(self, worker: str, name: str) -> str:
        return f"copy_of_{name}_for_{worker}"

    def keep(self, worker: str, name: str) -> None:
        self.calls.append(("keep", worker, name))

    def forget(self, worker: str) -> None:
        self.calls.append(("forget", worker))

    def create_empty(self, worker: str) -> Any:
        if worker == "broken":
            raise ZeroDivisionError("division by zero")
        if worker == "unpicklable":
            return lambda: worker
        return f"empty_{worker}"

    def drop_empty(self, name: str) -> None:
        self.calls.append(("drop_empty", name))

    def abort(self, error: HarnessError) -> None:
        self.calls.append(("abort", str(error)))


@pytest.fixture
def run() -> SmallRun:
    return SmallRun()


@pytest.fixture
def controller(run: SmallRun) -> Iterator[Controller]:
    made = Controller(run)  # type: ignore[arg-type]  # has what the workers ask for
    yield made
    made.close()


@pytest.fixture
def remote(controller: Controller) -> Iterator[RemoteRun]:
    made = RemoteRun(controller.address, controller.key)
    yield made
    made.close()


def test_every_question_is_answered_by_the_run(run: SmallRun, remote: RemoteRun) -> None:
    assert remote.database("gw0") == WorkerDatabase("db_gw0", FACTS)
    assert remote.create_empty("gw0") == "empty_gw0"
    assert remote.take("gw0") == "clone_gw0"
    assert remote.copy("gw0", "db_gw0") == "copy_of_db_gw0_for_gw0"
    remote.keep("gw0", "copy")
    remote.forget("gw0")
    remote.give_back("gw0", "clone_gw0")
    remote.drop_empty("empty_gw0")
    remote.abort(SchemaError("two heads."))

    assert run.calls == [
        ("keep", "gw0", "copy"),
        ("forget", "gw0"),
        ("give_back", "gw0", "clone_gw0"),
        ("drop_empty", "empty_gw0"),
        ("abort", "pgharness: two heads."),
    ]


def test_an_error_of_the_harness_arrives_whole_and_the_next_question_is_answered(
    run: SmallRun, remote: RemoteRun
) -> None:
    run.failure = DatabaseError("no room.", cause="Full.", checked=["/dev/shm"], fix=["a", "b"])  # noqa: S108 - only a word here

    with pytest.raises(DatabaseError) as caught:
        remote.database("gw0")
    run.failure = None

    assert str(caught.value) == (
        "pgharness: no room.\nFull.\nChecked:\n  - /dev/shm\nTo fix this, either:\n  - a\n  - b"
    )
    assert remote.database("gw0").name == "db_gw0"


@pytest.mark.parametrize(
    ("worker", "reason"),
    [("broken", r"ZeroDivisionError\('division by zero'\)\."), ("unpicklable", ".*SmallRun.create_empty.*")],
)
def test_any_other_error_is_an_answer_too(remote: RemoteRun, worker: str, reason: str) -> None:
    with pytest.raises(HarnessError, match=f"^pgharness: create_empty failed in the controller: {reason}"):
        remote.create_empty(worker)

    assert remote.create_empty("gw0") == "empty_gw0"


def test_workers_are_answered_at_the_same_time(run: SmallRun, controller: Controller) -> None:
    run.barrier = threading.Barrier(2)
    remotes = [RemoteRun(controller.address, controller.key) for _ in range(2)]
    names: list[str] = []
    threads = [
        threading.Thread(target=lambda one=one, n=n: names.append(one.database(f"gw{n}").name))
        for n, one in enumerate(remotes)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    for one in remotes:
        one.close()

    assert sorted(names) == ["db_gw0", "db_gw1"]


def test_threads_of_one_worker_get_each_its_own_answer(remote: RemoteRun) -> None:
    names: dict[int, str] = {}

    def ask(number: int) -> None:
        for _ in range(20):
            names[number] = remote.database(f"w{number}").name
            assert names[number] == f"db_w{number}"

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert names == {number: f"db_w{number}" for number in range(4)}


def test_a_stranger_without_the_key_gets_nothing_and_disturbs_nobody(
    controller: Controller, remote: RemoteRun
) -> None:
    with pytest.raises(Exception, match="digest"):
        Client(controller.address, authkey=b"not the key")

    assert remote.database("gw0").name == "db_gw0"
    later = RemoteRun(controller.address, controller.key)
    assert later.database("gw1").name == "db_gw1"
    later.close()


def test_a_worker_that_leaves_in_the_middle_disturbs_nobody(run: SmallRun, controller: Controller) -> None:
    run.barrier = threading.Barrier(2)
    leaving = RemoteRun(controller.address, controller.key)
    leaving._connection.send(("database", ("gw0",)))
    leaving.close()
    run.barrier.wait(10)
    run.barrier = None

    remote = RemoteRun(controller.address, controller.key)
    assert remote.database("gw1").name == "db_gw1"
    remote.close()


def test_nobody_is_let_in_after_the_end(run: SmallRun) -> None:
    controller = Controller(run)  # type: ignore[arg-type]  # the same
    address = controller.address

    controller.close()
    controller.close()

    with pytest.raises(OSError, match=r"No such file|refused"):
        Client(address, authkey=controller.key)
