"""The place in the user's code that messages name."""

from __future__ import annotations

import inspect
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pgharness.runs.origin import place

HERE = os.path.relpath(__file__)


def line() -> int:
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno


def test_it_is_the_innermost_frame_of_the_user() -> None:
    found, number = str(place()), line()

    assert found == f"{HERE}:{number} in test_it_is_the_innermost_frame_of_the_user"


def test_a_thread_of_libraries_alone_has_no_place() -> None:
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(place).result() is None


@pytest.mark.parametrize(
    ("filename", "shown"),
    [
        ("/elsewhere/app.py", "/elsewhere/app.py:1 in <module>"),
        (str(Path.cwd() / "app" / "main.py"), "app/main.py:1 in <module>"),
    ],
)
def test_a_file_is_shown_from_where_the_run_was_started(
    filename: str, shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"place": place}

    exec(compile("found = place()", filename, "exec"), namespace)  # noqa: S102 - code of another file

    assert str(namespace["found"]) == shown


@pytest.mark.parametrize(
    "filename",
    [
        "<string>",
        f"{sys.prefix}/lib/python3/site-packages/x.py",
        inspect.getfile(inspect),
        inspect.getfile(place),
    ],
)
def test_code_of_libraries_is_nobodys_place(filename: str) -> None:
    namespace: dict[str, object] = {"place": place}

    number = line() + 1
    exec(compile("found = place()", filename, "exec"), namespace)  # noqa: S102 - code of a library

    assert str(namespace["found"]) == f"{HERE}:{number} in test_code_of_libraries_is_nobodys_place"
