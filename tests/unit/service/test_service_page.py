"""docs/reference/service.md against the settings."""

import re
from pathlib import Path

from service.settings import Settings

PAGE = (Path(__file__).parents[3] / "docs/reference/service.md").read_text(encoding="utf-8")
OWN = {"database_url", "secret_key", "webhook_keys"}
"""They have no default that could be written down."""


def rows() -> list[tuple[list[str], list[str]]]:
    """Names and defaults of each row of the table of settings."""
    lines = [line for line in PAGE.splitlines() if re.match(r"\| `[A-Z]", line)]
    cells = [[cell.strip() for cell in line.split("|")] for line in lines]
    return [(re.findall(r"`(\w+)`", names), default.split(", ")) for _, names, default, *_ in cells]


def default_of(value: object) -> str:
    """A default as the page writes it: an empty one is nothing, a whole number has no point."""
    if isinstance(value, float):
        return f"{value:g}"
    return "" if value in ("", ()) else str(value)


def test_the_page_has_every_setting_once_and_no_other() -> None:
    named = [name.lower() for names, _ in rows() for name in names]

    assert sorted(named) == sorted(Settings.model_fields)


def test_the_page_has_the_defaults() -> None:
    written = {
        name.lower(): default.strip("`")
        for names, defaults in rows()
        for name, default in zip(names, defaults, strict=True)
        if name.lower() not in OWN
    }

    assert written == {
        name: default_of(field.default) for name, field in Settings.model_fields.items() if name not in OWN
    }
