"""Each command of the service that cannot begin says which variable is wrong, and shows no value."""

import subprocess

import pytest

from tests.support.processes import MIGRATE, ROTATE, SERVE, WORK, environment

COMMANDS = [
    pytest.param(SERVE, id="service"),
    pytest.param(WORK, id="worker"),
    pytest.param(MIGRATE, id="migrate"),
    pytest.param(ROTATE, id="rotate"),
]


def refused(command: list[str], **settings: str) -> str:
    """What the command says on standard error before it ends with exit code 2."""
    ended = subprocess.run(
        command, env=environment(**settings), capture_output=True, text=True, check=False, timeout=60
    )
    assert (ended.returncode, ended.stdout) == (2, ""), ended.stderr
    return ended.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_a_database_of_another_kind(command: list[str]) -> None:
    said = refused(command, DATABASE_URL="mysql://board:hunter2@db/board")

    assert said == (
        "SERVICE_DATABASE_URL: names the driver 'mysql'; write"
        " postgresql+asyncpg://user:password@host:port/database\n"
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_a_setting_that_is_not_there(command: list[str]) -> None:
    assert refused(command) == "SERVICE_DATABASE_URL: Field required\n"


def test_a_secret_is_not_shown() -> None:
    said = refused(
        SERVE,
        DATABASE_URL="postgresql+asyncpg://board:hunter2@db/board",
        ENVIRONMENT="production",
        WEBHOOK_KEYS="7mWv0xQk3nS1uY9bJ4cT6hR2pL8zA5dFgEoIiKqXyNM=",
        SECRET_KEY="changeme",
    )

    assert said == (
        "SERVICE_SECRET_KEY must have at least 64 bytes; make one with: openssl rand -base64 48\n"
    )
