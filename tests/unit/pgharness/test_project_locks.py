"""The locks against pyproject.toml: complete, hashed, and without any address."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support import project_files

GROUPS: dict[str, list[Any]] = project_files.pyproject()["dependency-groups"]
# The lowest versions of what the tests need, in place of the newest.
MINIMUMS = "minimums"
LOCKS = sorted({*GROUPS, MINIMUMS})
NAME = re.compile(r"^([A-Za-z0-9][\w.-]*)")


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def wanted(group: str) -> set[str]:
    """The names that a group asks for, those of the groups it includes too."""
    group = "test" if group == MINIMUMS else group
    names: set[str] = set()
    for entry in GROUPS[group]:
        if isinstance(entry, dict):
            names |= wanted(entry["include-group"])
        elif match := NAME.match(entry):
            names.add(normal(match.group()))
    return names


def locked(group: str) -> dict[str, list[str]]:
    """The names in a lock, and each one's hashes."""
    found: dict[str, list[str]] = {}
    for line in project_files.text(f"locks/{group}.txt").splitlines():
        if match := NAME.match(line):
            found[current := normal(match.group())] = []
        elif "--hash=" in line:
            found[current].append(line.strip(" \\"))
    return found


def test_each_group_has_a_lock_and_each_lock_a_group() -> None:
    locks = {path.stem for path in (project_files.ROOT / "locks").glob("*")}

    assert locks == {*GROUPS, MINIMUMS}


@pytest.mark.parametrize("group", LOCKS)
def test_a_lock_holds_all_that_its_group_asks_for(group: str) -> None:
    assert wanted(group) - set(locked(group)) == set()


@pytest.mark.parametrize("group", ["test", "typing", "minimums"])
def test_the_locks_of_tests_hold_what_the_package_needs(group: str) -> None:
    dependencies: list[str] = project_files.pyproject()["project"]["dependencies"]
    needed = {normal(match.group()) for line in dependencies if (match := NAME.match(line))}

    assert needed - set(locked(group)) == set()


@pytest.mark.parametrize("group", LOCKS)
def test_everything_locked_has_hashes(group: str) -> None:
    hashes = locked(group)

    assert [name for name, found in hashes.items() if not found] == []
    assert all(
        re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", line) for found in hashes.values() for line in found
    )


@pytest.mark.parametrize("group", LOCKS)
def test_no_lock_names_an_address_or_a_path(group: str) -> None:
    lock = project_files.text(f"locks/{group}.txt")

    assert re.findall(r"://|file:|--(?:extra-)?index-url|--find-links|(?<=\s)/\w+|@ ", lock) == []
