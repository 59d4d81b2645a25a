"""The command line of ``pgharness``, where it is wrong or only asks."""

from __future__ import annotations

from importlib.metadata import version

import pytest

from pgharness.cli.main import USAGE, main


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["help"], ["run", "--help"], ["doctor", "-h"]])
def test_help_is_given(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    assert capsys.readouterr() == (USAGE, "")


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr() == (f"pgharness {version('pgharness')}\n", "")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "say what to do"),
        (["walk"], "there is no command 'walk'"),
        (["run"], "write -- before the command to run"),
        (["run", "psql"], "write -- before the command to run"),
        (["run", "--pg-backend=local", "--"], "write -- before the command to run"),
    ],
)
def test_wrong_usage_is_said_in_a_sentence(
    arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 4
    assert capsys.readouterr() == ("", f"pgharness: {problem}\n{USAGE}")
