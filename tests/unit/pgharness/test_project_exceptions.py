"""Every exception from a rule, of the linter, the type checker or the coverage, says why it is made."""

from __future__ import annotations

import io
import re
import tokenize
from pathlib import Path

import pytest

from tests.support import project_files

EXCEPTION = re.compile(r"noqa(: ?[A-Z0-9, ]*[0-9])?|type: ignore(\[[\w, -]+\])?|pragma: no (cover|branch)")
REASON = re.compile(r"[a-z]{2,}")


def without_reason(source: str) -> list[str]:
    """The comments of ``source`` that make an exception and do not say why."""
    comments = [
        token.string
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    ]
    return [
        text for text in comments if EXCEPTION.search(text) and not REASON.search(EXCEPTION.sub("", text))
    ]


@pytest.mark.parametrize("path", project_files.sources(), ids=project_files.shown)
def test_an_exception_has_its_reason_beside_it(path: Path) -> None:
    assert without_reason(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("comment", "found"),
    [
        ("# noqa", True),
        ("# noqa: S603, PLR2004", True),
        ("# type: ignore[arg-type]", True),
        ("# type: ignore[arg-type]  # noqa: E501", True),
        ("# pragma: no cover", True),
        ("# noqa: S603 - our own command", False),
        ("# type: ignore[arg-type]  # one of BACKENDS", False),
        ("# type: ignore[misc]  # noqa: E501 - a table", False),
        ("# says nothing of exceptions", False),
    ],
)
def test_what_counts_as_a_reason(comment: str, found: bool) -> None:
    assert without_reason(f"x = 1  {comment}\n") == ([comment] if found else [])


def test_every_skip_has_its_reason() -> None:
    bare = [
        f"{project_files.shown(path)}: {line.strip()}"
        for path in project_files.sources()
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"pytest\.(mark\.)?(skip|skipif|xfail|importorskip)\b(?!.*reason=)", line)
    ]

    assert bare == []
