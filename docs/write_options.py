"""Writes docs/reference/options.md from the table of options: ``./dev docs``."""

from __future__ import annotations

import sys
from pathlib import Path

from pgharness.config.options import OPTIONS, Option

PAGE = Path(__file__).parent / "reference" / "options.md"
_HEAD = """\
# Options

This page is written by `./dev docs` from the table in `src/pgharness/config/options.py`.

Each option is known by three names. The command line wins over the environment, the environment
over the ini file, the ini file over the default. The ini file is pytest's own: the table
`[tool.pytest.ini_options]` of `pyproject.toml`, or `pytest.ini`.

A list is a list in `pyproject.toml`, one value a line in `pytest.ini`, the flag given several times
on the command line, and `|` between the values in the environment. Paths are relative to the
directory of the ini file.
"""
_KINDS = {
    "text": "text",
    "choice": "one of {choices}",
    "integer": "a whole number",
    "seconds": "seconds",
    "lines": "a list",
}


def page() -> str:
    """The whole page, in Markdown."""
    return "\n".join([_HEAD, *(_section(option) for option in OPTIONS)])


def _section(option: Option) -> str:
    names = f"`{option.flag}={option.metavar}`, `{option.ini}`, `{option.env}`"
    kind = _KINDS[option.kind].format(choices=", ".join(f"`{choice}`" for choice in option.choices))
    return f"## {option.ini}\n\n{names}\n\n{option.help} {_sentence(kind)} Default: {_default(option)}.\n"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _default(option: Option) -> str:
    if option.default in ("", ()):
        return "none"
    value = f"{option.default:g}" if isinstance(option.default, float) else str(option.default)
    return f"`{value}`"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE} written\n")
