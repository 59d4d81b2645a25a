"""Several runs on one server: one build, liveness, and a sweep that takes only what is dead."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pgharness.config import Config
from pgharness.databases import ledger, names, owner
from pgharness.databases.databases import Databases
from pgharness.databases.ledger import BIRTHMARK, Mark
from pgharness.databases.names import worker_database_name
from pgharness.errors import DatabaseError
from pgharness.schema.find import find
from pgharness.server.background import background
from pgharness.server.base import Server
from tests.support.project_files import ROOT
from tests.support.schema_projects import BARE, configure, databases, execute, fetch, hold, tables, write


class Process:
    """A run in a process of its own; see tests/support/database_run.py."""

    def __init__(self, task: dict[str, Any]) -> None:
        path = os.pathsep.join([str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH", "")])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.database_run"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path},
        )
        self.say(json.dumps(task))

    def say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._end()

    def close(self) -> None:
        self.say("close")
        assert self.hear() == {"closed": True}
        self._end()

    def _end(self) -> None:
        self._process.wait(60)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


Start = Callable[[str], Process]


pytestmark = pytest.mark.pg(allow_hosts=["127.0.0.1"])  # the scratch server


@pytest.fixture
def config(tmp_path: Path) -> Config:
    write(tmp_path, "schema.sql", "CREATE TABLE users (); SELECT count(*) FROM generate_series(1, 1000000);")
    return configure(tmp_path, sql=["schema.sql"])


@pytest.fixture
def start(clean: Server, config: Config) -> Start:
    def begin(run: str) -> Process:
        process = Process(
            {
                "root": str(config.root),
                "sql": config.sql,
                "address": dataclasses.asdict(clean.address),
                "version": clean.version,
                "run": run,
            }
        )
        assert process.hear() == {"open": True}
        return process

    return begin


def opened(server: Server, config: Config, run: str) -> Databases:
    run_databases = Databases(server, run_id=run, config=config)
    run_databases.open()
    return run_databases


def dead_backends_are_gone(server: Server, run: str) -> None:
    """Wait until the server has noticed that the process of ``run`` is no more."""
    query = "SELECT FROM pg_stat_activity WHERE application_name LIKE $1"
    while fetch(server.address, "postgres", query, f"pgharness {run}%"):
        pass


def marked(server: Server, name: str, mark: Mark) -> None:
    execute(
        server.address,
        "postgres",
        f"CREATE DATABASE {name}",
        f"COMMENT ON DATABASE {name} IS '{mark.to_json()}'",
    )


def test_four_processes_build_one_template(clean: Server, start: Start) -> None:
    processes = [start(f"run{number}") for number in range(4)]

    for process in processes:
        process.say("go")
    answers = [process.hear() for process in processes]

    assert sorted(answer["hit"] for answer in answers) == [False, True, True, True]
    template = answers[0]["template"]
    clones = {answer["clone"] for answer in answers}
    assert clones == {f"pgh_run{number}_run{number}w_test" for number in range(4)}
    assert databases(clean.address) == {*BARE, template, *clones}
    assert all(tables(clean.address, clone) == {"public.users"} for clone in clones)
    for process in processes:
        process.close()
    assert databases(clean.address) == {*BARE, template}


def test_a_killed_run_is_swept_by_the_next_and_a_living_one_is_not(
    clean: Server, start: Start, config: Config
) -> None:
    dead, living = start("dead1"), start("live1")
    for process in (dead, living):
        process.say("go")
        process.hear()
    execute(clean.address, "pgh_live1_live1w_test", "CREATE TABLE precious ()")
    dead.kill()
    dead_backends_are_gone(clean, "dead1")
    assert "pgh_dead1_dead1w_test" in databases(clean.address)

    opened(clean, config, "next1").close()

    found = databases(clean.address)
    assert "pgh_dead1_dead1w_test" not in found
    assert tables(clean.address, "pgh_live1_live1w_test") == {"public.users", "public.precious"}
    assert names.template_name(find(config).fingerprint(clean.major, owner.NAME)) in found
    living.close()


def test_what_is_not_marked_is_never_touched(clean: Server, config: Config) -> None:
    others = {"shop", "pgh_mine", "pgh_dead1_gw0_test", "pgh_t_0123456789ab", "pgh_b_0123456789ab_dead1_test"}
    for name in others:
        execute(clean.address, "postgres", f"CREATE DATABASE {name}")
    execute(clean.address, "postgres", 'COMMENT ON DATABASE pgh_mine IS \'{"run": "dead1"}\'')

    run = opened(clean, config, "run1")
    run.template(find(config))
    run.close()

    assert others <= databases(clean.address)


def test_a_database_whose_maker_was_killed_before_it_could_mark_it(clean: Server, config: Config) -> None:
    left = {
        worker_database_name("dead1", "gw0"),
        names.build_name("0123456789ab", "dead1"),
        names.spare_name("dead1", "gw0", 2),
    }
    for name in left:
        execute(clean.address, "postgres", f"CREATE DATABASE {name} CONNECTION LIMIT {BIRTHMARK}")

    opened(clean, config, "next1").close()

    assert databases(clean.address) == BARE


def test_a_half_built_template_of_a_dead_run_is_dropped(clean: Server, config: Config) -> None:
    now = dt.datetime.now(dt.UTC)
    mark = Mark(kind="build", run="dead1", fingerprint="0123456789ab", created=now, used=now)
    marked(clean, "pgh_b_0123456789ab_dead1_test", mark)

    opened(clean, config, "next1").close()

    assert databases(clean.address) == BARE


@pytest.mark.parametrize(
    ("days", "used_now", "stays"), [(6, False, True), (8, False, False), (8, True, True)]
)
def test_templates_long_unused_are_dropped(
    clean: Server, config: Config, days: int, used_now: bool, stays: bool
) -> None:
    then = dt.datetime.now(dt.UTC) - dt.timedelta(days=days)
    marked(
        clean,
        "pgh_t_0123456789ab",
        Mark(kind="template", run="dead1", fingerprint="0123456789ab", created=then, used=then),
    )
    execute(
        clean.address,
        "postgres",
        "ALTER DATABASE pgh_t_0123456789ab IS_TEMPLATE true ALLOW_CONNECTIONS false",
    )
    user = hold(clean.address, "template1")
    if used_now:
        lock = ledger.key("use", "0123456789ab")
        background.run(user.execute("SELECT pg_advisory_lock_shared($1)", lock))

    opened(clean, config, "next1").close()

    assert ("pgh_t_0123456789ab" in databases(clean.address)) == stays
    background.run(user.close())


def test_runs_with_different_maintenance_databases_see_each_other(clean: Server, config: Config) -> None:
    execute(clean.address, "postgres", "CREATE DATABASE shop")
    elsewhere = _with_address(clean, "shop")
    living = opened(elsewhere, config, "live1")
    living.template(find(config))
    name = living.clone("gw0")

    other = opened(clean, config, "next1")
    assert name in databases(clean.address)
    with pytest.raises(DatabaseError, match="a run named 'live1' is alive"):
        opened(clean, config, "live1")

    other.close()
    living.close()
    assert name not in databases(clean.address)


def test_a_template_that_another_run_published_meanwhile_is_taken(
    clean: Server, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute(clean.address, "postgres", "CREATE DATABASE shop")
    one, two = opened(clean, config, "run1"), opened(_with_address(clean, "shop"), config, "run2")
    schema = find(config)
    apply = type(schema).apply

    def slower(self: Any, *place: Any) -> None:
        monkeypatch.undo()
        assert two.template(schema).hit is False  # its locks are those of another database
        apply(self, *place)

    monkeypatch.setattr(type(schema), "apply", slower)

    assert one.template(schema).hit is True
    assert tables(clean.address, one.clone("gw0")) == {"public.users"}
    one.close()
    two.close()
    fingerprint = schema.fingerprint(clean.major, owner.NAME)
    assert databases(clean.address) == {*BARE, "shop", names.template_name(fingerprint)}


def _with_address(server: Server, database: str) -> Server:
    other = dataclasses.replace(server)  # type: ignore[type-var]  # a Server is a dataclass here
    other.address = dataclasses.replace(server.address, database=database)
    return other
