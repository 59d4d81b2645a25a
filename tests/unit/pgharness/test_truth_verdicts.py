"""How the matrix comes from the records of its runs to a verdict, and from there to its page."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy.exc import DBAPIError

from pgharness.errors import HarnessError
from tests.support import project_files
from truth import catalogue, page
from truth.contenders.registry import CONTENDERS
from truth.recorder import describe
from truth.verdicts import MEANING, Record, Verdict, Word, verdict

BEHAVIOURS = catalogue.behaviours()


def records(*outcomes: str) -> list[Record]:
    """Records of one behaviour, from ``part outcome`` each; the line of each is its outcome."""
    split = [outcome.split() for outcome in outcomes]
    return [Record("one", part, outcome, outcome) for part, outcome in split]


@pytest.mark.parametrize(
    ("outcomes", "word"),
    [
        (("itself passed", "after passed"), "right"),
        (("itself passed", "itself passed", "after passed"), "right"),
        (("itself passed", "itself wrong", "after passed"), "wrong"),
        (("itself error", "after passed"), "error"),
        (("itself wrong", "itself error", "after passed"), "wrong"),
        (("itself refused", "after passed"), "refused"),
        (("itself passed", "itself refused", "after passed"), "refused"),
        (("itself wrong", "itself refused", "after passed"), "refused"),
        (("itself refused", "after wrong"), "error"),
        (("itself passed", "after wrong"), "leaks"),
        (("itself passed", "after error"), "error"),
        (("itself wrong", "after wrong"), "wrong"),
        (("itself hang",), "hang"),
        (("itself passed", "after hang"), "hang"),
        (("itself passed",), "error"),
        ((), "error"),
    ],
)
def test_a_verdict_is_computed_from_what_was_recorded(outcomes: tuple[str, ...], word: Word) -> None:
    assert verdict(records(*outcomes)).word == word


def raised(error: Exception, cause: Exception | None = None) -> Exception:
    error.__cause__ = cause
    return error


REFUSAL = HarnessError("no.", fix=["mark the test"])


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (AssertionError("the row is gone\nassert 0 == 1"), ("wrong", "the row is gone")),
        (ValueError("\n  first\nsecond"), ("error", "ValueError: first")),
        (REFUSAL, ("refused", "pgharness: no.")),
        (raised(ValueError("wrapped"), REFUSAL), ("refused", "pgharness: no.")),
        (ExceptionGroup("several", [REFUSAL]), ("refused", "pgharness: no.")),
        (HarnessError("no way out."), ("error", "pgharness: no way out.")),
        (ExceptionGroup("several", [KeyError("a")]), ("error", "KeyError: 'a'")),
        (
            DBAPIError("SELECT", {}, raised(RuntimeError("adapted"), OSError("gone"))),
            ("error", "OSError: gone"),
        ),
    ],
)
def test_an_error_is_described_by_its_kind_and_first_line(
    error: Exception, expected: tuple[str, str]
) -> None:
    assert describe(error) == expected


def test_each_behaviour_has_a_name_and_a_title_of_its_own() -> None:
    assert len({behaviour.name for behaviour in BEHAVIOURS}) == len(BEHAVIOURS)
    assert len({behaviour.title for behaviour in BEHAVIOURS} - {""}) == len(BEHAVIOURS)


def test_every_file_of_behaviours_is_in_the_catalogue() -> None:
    files = {path.stem for path in catalogue.DIRECTORY.glob("test_*.py")}

    assert files == {*catalogue.FILES, "test_nothing_left"}


def test_what_is_not_offered_is_a_behaviour() -> None:
    named = {name for contender in CONTENDERS for name in contender.not_offered}

    assert named - {behaviour.name for behaviour in BEHAVIOURS} == set()


def test_the_page_has_one_line_for_each_behaviour_and_a_verdict_of_each_contender() -> None:
    rows = [
        line.strip("| ").split(" | ")
        for line in page.PAGE.read_text(encoding="utf-8").splitlines()
        if line.startswith("| ") and not line.startswith(("| |", "| **"))
    ]

    assert [row[0] for row in rows] == [behaviour.title for behaviour in BEHAVIOURS], "run ./dev truth"
    assert {len(row) for row in rows} == {1 + len(CONTENDERS)}
    assert {cell.strip("*") for row in rows for cell in row[1:]} - set(MEANING) == set()


def test_the_table_shows_each_cell_and_what_was_seen() -> None:
    first, second = BEHAVIOURS[:2]
    table = page.Table(
        behaviours=[first, second],
        contenders=list(CONTENDERS[:2]),
        verdicts={
            CONTENDERS[0].name: {first.name: Verdict("right"), second.name: Verdict("wrong", "no row")},
            CONTENDERS[1].name: {first.name: Verdict("right"), second.name: Verdict("wrong", "no row")},
        },
        versions={"PostgreSQL": "17.1"},
        date=dt.date(2026, 1, 2),
    )

    assert f"| {second.title} | **wrong** | **wrong** |" in page.markdown(table)
    assert "| **pgharness as installed** | 1 |  |  | 1 |  |  |  |" in page.markdown(table)
    assert "- wrong: pgharness as installed, pgharness rollback: no row" in page.markdown(table)
    assert "2026-01-02: PostgreSQL 17.1." in page.markdown(table)
    assert [line.split() for line in page.terminal(table) if line.startswith(second.title + "  ")] == [
        [*second.title.split(), "wrong", "wrong"]
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("pgharness: truth/behaviours/test_a.py::test_one[1]: no.", "no."),
        ("pgharness: test_a.py::test_one: no.", "no."),
        ("opened at /home/me/truth/shop/app.py:3", "opened at truth/shop/app.py:3"),
        ('database "truth_usual_12" is gone', 'database "truth" is gone'),
        ("<Task at 0x7f00> of process 123", "<...> of process ..."),
        ("Task <Task coro=<test_one() at a/b.py:1> wait_for=<Future pending>> got", "Task <...> got"),
    ],
)
def test_a_line_tells_nothing_of_the_machine(line: str, expected: str) -> None:
    assert page.plain(line) == expected


def test_a_long_line_is_cut_between_words() -> None:
    cut = page.plain("word " * 100)

    assert cut.endswith("word ...")
    assert len(cut) <= page.LONGEST


@pytest.mark.parametrize("name", ["README.md", "docs/README.md"])
def test_the_first_page_tells_the_counts_of_the_table(name: str) -> None:
    counts = {
        row[0].strip("*"): [int(cell or 0) for cell in row[1:]]
        for line in page.PAGE.read_text(encoding="utf-8").splitlines()
        if line.startswith("| **") and (row := [cell.strip() for cell in line.split("|")[1:-1]])
    }
    first = project_files.text(name)
    right, _, error, wrong, leaks, hang, _ = counts["usual fixture"]
    ours, *others = counts["pgharness as installed"]

    assert f"Of [{len(BEHAVIOURS)} behaviours" in first
    assert f"| the usual rollback fixture | {right} | {error} | {wrong + leaks + hang} |" in first
    assert f"| pgharness, with nothing set | {ours} | 0 | 0 |" in first
    assert sum(others) == 0
    if name == "README.md":
        assert f"Of the {len(BEHAVIOURS)}, that is {counts['pgharness rollback'][1]};" in first
