"""Nothing outlives the run, however the run ends."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TextIO

import psutil
import pytest

from pgharness.server import choose, directories, local, supervise
from pgharness.server.base import Address
from pgharness.server.keeper import Control, keep
from pgharness.server.liveness import Identity
from tests.support.server_runs import controller, make_config, wait_gone

pytestmark = pytest.mark.pg(allow_hosts=["127.0.0.1"])


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name
)
@pytest.mark.parametrize("fork", ["", "fork"], ids=["alone", "with a forked child that lives on"])
def test_a_killed_run_leaves_no_server_and_no_directory(
    number: signal.Signals, fork: str, home: Path
) -> None:
    with controller({"backend": "local", "tmpdir": str(home)}, extra=fork) as run:
        keeper, postgres = run.keeper, run.postgres

        run.process.send_signal(number)
        code = run.process.wait(10)

        assert code == -number
        assert wait_gone(keeper, postgres) == []
        assert list(home.iterdir()) == []


def test_ctrl_c_in_the_terminal_does_not_reach_the_server(home: Path) -> None:
    with controller({"backend": "local", "tmpdir": str(home)}) as run:
        groups = {os.getsid(pid) for pid in (run.keeper.pid, run.postgres.pid)}

        assert groups == {run.keeper.pid}
        assert os.getsid(run.process.pid) not in groups


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_keeper_that_is_told_to_go_cleans_up(number: signal.Signals, home: Path) -> None:
    with controller({"backend": "local", "tmpdir": str(home)}) as run:
        keeper, postgres = run.keeper, run.postgres

        keeper.send_signal(number)

        assert wait_gone(postgres) == []
        run.process.communicate("")
        assert list(home.iterdir()) == []


def test_what_a_killed_keeper_left_is_swept_by_the_next_run_and_living_runs_are_not(home: Path) -> None:
    options = {"backend": "local", "tmpdir": str(home)}
    with controller(options) as living, controller(options) as dead:
        kept = {path.name for path in home.iterdir()}
        left = dead.postgres
        dead.keeper.kill()
        dead.process.kill()
        dead.process.wait()
        assert left.is_running()

        config = make_config(**options)
        server = choose.start(config, choose.reserve(config))

        server.stop()
        assert wait_gone(left) == []
        assert living.postgres.is_running()
        assert len(list(home.iterdir())) == len(kept) / 2
        living.process.communicate("")
    assert list(home.iterdir()) == []


def test_a_stop_while_initdb_runs_leaves_nothing(home: Path) -> None:
    with in_process(home) as (control, events, thread):
        while not list(home.glob("*/data/base")):
            assert thread.is_alive()
        os.close(control)

        thread.join(30)
        assert json.loads(events.readline()) == {
            "event": "failed",
            "step": "order",
            "said": "whoever wanted the server is gone",
        }
    assert list(home.iterdir()) == []


def test_a_keeper_whose_order_never_comes_ends() -> None:
    reading, writing = os.pipe()
    os.write(writing, b'{"kind": "cluster"')
    os.close(writing)
    report_reading, report_writing = os.pipe()

    keep(Control(reading), report_writing)

    os.close(report_writing)
    assert os.read(report_reading, 10) == b""
    os.close(report_reading)
    os.close(reading)


def test_the_keeper_makes_starts_and_removes_a_cluster(home: Path) -> None:
    with in_process(home) as (control, events, thread):
        assert json.loads(events.readline()) == {"event": "ready"}
        postmaster = int(next(home.glob("*/data/postmaster.pid")).read_text().split()[0])

        os.close(control)

        thread.join(30)
        assert not psutil.pid_exists(postmaster)
    assert list(home.iterdir()) == []


class in_process:  # noqa: N801 - read as a function
    """A keeper of a cluster in a thread of this process: its control pipe, its events, the thread.

    ``changes`` replace parts of the order.
    """

    def __init__(self, home: Path, **changes: object) -> None:
        config = make_config(backend="local", tmpdir=str(home))
        self._reservation = choose.reserve(config)
        user = local.unprivileged(local.UNPRIVILEGED) if os.geteuid() == 0 else None
        order, _ = local.plan(config, self._reservation.address, local._choose(config), user)
        self._reading, self._control = os.pipe()
        events, self._reporting = os.pipe()
        self._events = os.fdopen(events)
        os.write(self._control, json.dumps({**order, **changes}).encode() + b"\n")
        self._thread = threading.Thread(target=keep, args=(Control(self._reading), self._reporting))

    def __enter__(self) -> tuple[int, TextIO, threading.Thread]:
        self._thread.start()
        return self._control, self._events, self._thread

    def __exit__(self, *_: object) -> None:
        self._thread.join(30)
        self._reservation.close()
        self._events.close()
        os.close(self._reading)
        os.close(self._reporting)


def shell(script: str) -> list[str]:
    return ["/bin/sh", "-c", script]


@pytest.mark.parametrize(
    ("changes", "step", "said"),
    [
        ({"initdb": [["/nonexistent/initdb"]]}, "run", "/nonexistent/initdb: No such file or directory"),
        ({"initdb": [shell("echo no; exit 1"), shell("echo never")]}, "initdb", "no"),
        (
            {"initdb": [shell("echo invalid locale; exit 1"), shell("echo; seq 30; exit 1")]},
            "initdb",
            "LINES",
        ),
        ({"initdb": [shell(":")], "server": shell("echo bad; exit 1")}, "postgres", "bad"),
        (
            {"directories": ["/nonexistent/base"]},
            "directory",
            "/nonexistent/base.lock: No such file or directory",
        ),
    ],
    ids=["no program", "initdb fails", "no locale will do", "postgres fails", "no directory"],
)
def test_a_step_that_fails_is_reported_and_cleaned_up(
    changes: dict[str, object], step: str, said: str, home: Path
) -> None:
    last_twenty = "\n".join(str(number) for number in range(11, 31))
    with in_process(home, **changes) as (control, events, thread):
        event = json.loads(events.readline())
        thread.join(30)
        os.close(control)

    assert event == {"event": "failed", "step": step, "said": said.replace("LINES", last_twenty)}
    assert list(home.iterdir()) == []


def test_a_server_whose_keeper_was_killed_is_swept_away(home: Path) -> None:
    with controller({"backend": "local", "tmpdir": str(home)}) as run:
        keeper, postgres = run.keeper, run.postgres
        directories.sweep(home)
        assert postgres.is_running()
        keeper.kill()
        wait_gone(keeper)
        assert (keeper.status(), postgres.is_running()) == (psutil.STATUS_ZOMBIE, True)

        directories.sweep(home)

        assert wait_gone(postgres) == []
        assert list(home.iterdir()) == []


def test_binaries_are_copied_so_that_everybody_may_run_them(home: Path) -> None:
    source = home / "source"
    (source / "bin").mkdir(parents=True)
    (source / "include").mkdir()
    (source / "bin" / "postgres").write_text("")
    (source / "bin" / "postgres").chmod(0o700)
    (source / "bin" / "share").write_text("")
    (source / "bin" / "share").chmod(0o600)
    (source / "bin" / "link").symlink_to("postgres")
    source.chmod(0o700)

    directories.copy_binaries(source, home / "between" / "target")

    modes = {path.name: path.stat().st_mode & 0o777 for path in (home / "between").rglob("*")}
    assert modes == {"target": 0o755, "bin": 0o755, "postgres": 0o755, "share": 0o644, "link": 0o755}
    assert (home / "between" / "target" / "bin" / "link").readlink() == Path("postgres")


def test_stop_in_a_forked_process_stops_nothing(home: Path) -> None:
    config = make_config(backend="local", tmpdir=str(home))
    server = choose.start(config, choose.reserve(config))
    child = os.fork()
    if child == 0:
        server.stop()
        os._exit(0)
    os.waitpid(child, 0)

    alive = [path.name for path in home.glob("*/data/postmaster.pid")]

    server.stop()
    assert alive == ["postmaster.pid"]


def test_a_stopped_keeper_has_nothing_to_say(home: Path) -> None:
    keeper = supervise.Keeper({})
    keeper.stop()
    keeper.stop()

    assert keeper.pid is None
    assert keeper.event(1) == supervise.Event("lost", said="it has been stopped")


def test_a_directory_that_exists_is_not_taken_over(home: Path) -> None:
    (home / "pgharness-1").mkdir()

    with pytest.raises(FileExistsError):
        directories.Directory(home / "pgharness-1", 0o700)

    assert [path.name for path in home.iterdir()] == ["pgharness-1"]


def test_a_sweep_leaves_alone_what_is_not_a_servers_directory(home: Path) -> None:
    (home / "pgharness-precious").mkdir()
    (home / "pgharness-trap.lock").symlink_to(home / "elsewhere")

    directories.sweep(home)

    assert sorted(path.name for path in home.iterdir()) == ["pgharness-precious", "pgharness-trap.lock"]


def test_a_sweep_kills_no_process_that_merely_has_the_number(home: Path) -> None:
    data = home / "pgharness-dead" / "data"
    data.mkdir(parents=True)
    (home / "pgharness-dead.lock").touch()
    (data / "postmaster.pid").write_text(f"{os.getpid()}\n")

    directories.sweep(home)

    assert list(home.iterdir()) == []


def test_liveness_tells_this_process_from_dead_and_from_unknown_ones() -> None:
    own = Identity.own()
    with psutil.Popen([sys.executable, "-c", ""]) as finished:
        finished.wait()

    assert not own.is_dead()
    assert Identity(own.host, finished.pid, "1").is_dead()
    assert Identity(own.host, own.pid, "1").is_dead()
    assert not Identity("another boot", finished.pid, "1").is_dead()


def test_addresses_survive_the_way_to_a_worker() -> None:
    address = Address("127.0.0.1", 5432, "postgres", "secret")

    assert (
        Address(*json.loads(json.dumps([address.host, address.port, address.user, address.password])))
        == address
    )
