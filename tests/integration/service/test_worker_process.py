"""``python -m service.worker``, as a process of its own."""

import json
import os
import signal
import subprocess
import sys
from typing import Protocol

import pytest

WORK = [sys.executable, "-m", "service.worker"]


class Database(Protocol):
    @property
    def asyncpg_url(self) -> str: ...


def environment(url: str) -> dict[str, str]:
    others = {name: value for name, value in os.environ.items() if not name.startswith("SERVICE_")}
    return {**others, "SERVICE_DATABASE_URL": url}


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_the_worker_listens_until_it_is_told_to_stop(
    pg_empty_database: Database, told: signal.Signals
) -> None:
    env = environment(pg_empty_database.asyncpg_url)
    with subprocess.Popen(WORK, env=env, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            said = next(said for said in process.stderr if "listening" in said)
        finally:
            process.send_signal(told)
        rest = process.stderr.read()

    last = json.loads(rest.splitlines()[-1])
    assert json.loads(said)["logger"] == "service.worker.loop"
    assert (process.returncode, last["message"], "WARNING" in rest) == (0, "stopped", False)


def test_a_wrong_setting_ends_the_process_with_a_sentence() -> None:
    ended = subprocess.run(WORK, env=environment("board"), capture_output=True, text=True, check=False)

    assert ended.returncode == 2
    assert "database_url" in ended.stderr
    assert "Traceback" not in ended.stderr
