"""The table, on a terminal and as a page of the documentation."""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from truth.catalogue import Behaviour
from truth.contenders.registry import Contender
from truth.verdicts import MEANING, Verdict

PAGE = Path(__file__).resolve().parents[1] / "docs" / "concepts" / "truth.md"
LONGEST = 150
HEAD = """\
# What tests can see

What each way of isolating tests makes of each behaviour of a FastAPI and SQLAlchemy app on PostgreSQL. The
table is computed: `./dev truth` runs every behaviour with every contender in pytest processes of its own, on
one server, and `./dev truth -- --write` writes this page. Each behaviour is one small test with the
endpoints it needs, written once, in [`truth/behaviours`](../../truth/behaviours); it asserts what PostgreSQL
does in production, and a test after it asserts that nothing is left. Each contender is set up as its
documentation says, in [`truth/contenders`](../../truth/contenders).
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """``verdicts`` are by contender, then by behaviour."""

    behaviours: list[Behaviour]
    contenders: list[Contender]
    verdicts: Mapping[str, Mapping[str, Verdict]]
    versions: Mapping[str, str]
    date: dt.date

    def cell(self, contender: Contender, behaviour: Behaviour) -> Verdict:
        return self.verdicts[contender.name][behaviour.name]

    def groups(self) -> Iterator[tuple[str, list[Behaviour]]]:
        for group, members in itertools.groupby(self.behaviours, key=lambda behaviour: behaviour.group):
            yield group, list(members)


def terminal(table: Table) -> Iterator[str]:
    """The lines of the table in plain text, and below each verdict but ``right`` and ``n/a`` explained."""
    width = max(len(behaviour.title) for behaviour in table.behaviours) + 2
    for line in (0, 1):
        yield (
            " " * width + "".join(f"{contender.column[line]:12}" for contender in table.contenders)
        ).rstrip()
    for group, members in table.groups():
        yield f"\n{group}"
        for behaviour in members:
            words = (table.cell(contender, behaviour).word for contender in table.contenders)
            yield (f"{behaviour.title:{width}}" + "".join(f"{word:12}" for word in words)).rstrip()
    yield ""
    yield from (f"{word:8} {meaning}" for word, meaning in MEANING.items())
    for behaviour in table.behaviours:
        if lines := list(_seen(table, behaviour)):
            yield f"\n{behaviour.title}"
            yield from (f"  {line}" for line in lines)
    yield "\n" + ", ".join(f"{name} {version}" for name, version in table.versions.items())


def markdown(table: Table) -> str:
    """The page."""
    names = ", ".join(f"{name} {version}" for name, version in table.versions.items())
    lines = [HEAD, f"{table.date.isoformat()}: {names}.\n"]
    lines += [f"- **{word}**: {meaning}" for word, meaning in MEANING.items()]
    lines += ["", "## How often", "", *_counts(table)]
    for group, members in table.groups():
        lines += ["", f"## {group.rstrip('.')}", ""]
        lines.append("| | " + " | ".join("<br>".join(each.column) for each in table.contenders) + " |")
        lines.append("|---" * (len(table.contenders) + 1) + "|")
        for behaviour in members:
            words = (table.cell(contender, behaviour).word for contender in table.contenders)
            cells = (word if word in ("right", "n/a") else f"**{word}**" for word in words)
            lines.append(f"| {behaviour.title} | " + " | ".join(cells) + " |")
    lines += ["", "## Who is who", ""]
    lines += [f"- **{contender.title}**: {contender.how}" for contender in table.contenders]
    lines += ["", "## What was seen", ""]
    for behaviour in table.behaviours:
        if seen := list(_seen(table, behaviour)):
            lines.append(f"**{behaviour.title}.** {behaviour.note}".rstrip() + "\n")
            lines += [f"- {line}" for line in _escaped(seen)]
            lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _counts(table: Table) -> Iterator[str]:
    """A table of how often each contender has each verdict."""
    yield "| | " + " | ".join(MEANING) + " |"
    yield "|---" + "|--:" * len(MEANING) + "|"
    for contender in table.contenders:
        words = [table.cell(contender, behaviour).word for behaviour in table.behaviours]
        yield (
            f"| **{contender.title}** | "
            + " | ".join(str(words.count(word) or "") for word in MEANING)
            + " |"
        )


def _seen(table: Table, behaviour: Behaviour) -> Iterator[str]:
    """Each verdict but ``right``, with those who share it and what they said."""
    found: dict[tuple[str, str], list[str]] = {}
    for contender in table.contenders:
        cell = table.cell(contender, behaviour)
        if cell.word != "right":
            found.setdefault((cell.word, plain(cell.line)), []).append(contender.title)
    for (word, line), names in found.items():
        yield f"{word}: {', '.join(names)}: {line}"


def plain(line: str) -> str:
    """``line`` without what changes from run to run and machine to machine, and not too long."""
    line = re.sub(r"^pgharness: ", "", " ".join(line.split()))
    line = re.sub(r"^\S*\btest_\w+(?:\[\w+\])?: ", "", line)
    line = re.sub(r"(?:/[\w.@+-]+)+/(?=truth/)", "", line)
    line = re.sub(r"\btruth_[a-z_]+_\d+\w*", "truth", line)
    line = re.sub(r"\bprocess \d+", "process ...", line)
    while (short := re.sub(r"<[^<>]+>", "\0", line)) != line:
        line = short
    line = line.replace("\0", "<...>")
    return line if len(line) <= LONGEST else line[: LONGEST - 4].rsplit(" ", 1)[0] + " ..."


def _escaped(lines: list[str]) -> Iterator[str]:
    for line in lines:
        yield re.sub(r"([<>*_|\[\]])", r"\\\1", line)
