"""Where Alembic's files lie, read from its configuration without importing Alembic."""

from __future__ import annotations

import configparser
import dataclasses
import importlib.machinery
import os
import re
import sys
import tomllib
from pathlib import Path

from pgharness.schema import problems

_SEPARATORS = {"os": os.pathsep, "space": " ", "newline": "\n", ":": ":", ";": ";"}


@dataclasses.dataclass(frozen=True, slots=True)
class Locations:
    """Alembic's files. ``cwd`` is the directory from which the project's relative paths hold."""

    ini: Path | None
    toml: Path | None
    cwd: Path
    script: Path
    versions: tuple[Path, ...]


def locate(ini: Path | None, toml: Path | None, root: Path) -> Locations:
    """Find script and version directories.

    Relative ones start at ``root`` as they do for the ``alembic`` command, or, where nothing is
    there, beside the configuration file, for a project in a subdirectory.

    Raises:
        SchemaError: There is no script_location, or no env.py in it.
    """
    source = ini or toml
    assert source is not None  # noqa: S101 (callers have found one of them)
    options = _options(ini, toml)
    location = options.get("script_location")
    if not isinstance(location, str) or not location.strip():
        raise problems.no_script_location(source, root)
    bases = list(dict.fromkeys((root, source.parent)))
    for base in bases:
        script = _directory(location.strip(), base)
        if (script / "env.py").is_file():
            break
    else:
        raise problems.no_env_py(
            location.strip(), source, [_directory(location.strip(), b) for b in bases], root
        )
    named = _version_locations(options)
    versions = tuple(_directory(entry, base) for entry in named) or (script / "versions",)
    return Locations(ini, toml, base, script, versions)


def _options(ini: Path | None, toml: Path | None) -> dict[str, object]:
    """The options of [alembic] over those of [tool.alembic], ``%(here)s`` filled in."""
    options: dict[str, object] = {}
    if toml is not None:
        here = str(toml.parent)
        for name, value in tomllib.loads(toml.read_text(encoding="utf-8"))["tool"]["alembic"].items():
            if isinstance(value, str):
                options[name] = _fill(value, here)
            elif isinstance(value, list):
                options[name] = [_fill(item, here) for item in value if isinstance(item, str)]
    if ini is not None:
        parser = configparser.ConfigParser({"here": str(ini.parent)})
        try:
            parser.read(ini, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError) as error:
            raise problems.unreadable_ini(ini, error) from None
        for name in ("script_location", "version_locations", "version_path_separator", "path_separator"):
            try:
                options[name] = parser.get("alembic", name)
            except configparser.Error:
                continue
    return options


def _fill(text: str, here: str) -> str:
    return text.replace("%(here)s", here).replace("%%", "%")


def _version_locations(options: dict[str, object]) -> list[str]:
    value = options.get("version_locations") or []
    if isinstance(value, list):
        return value
    separator = options.get("path_separator") or options.get("version_path_separator")
    if isinstance(separator, str) and separator in _SEPARATORS:
        parts = str(value).split(_SEPARATORS[separator])
    else:
        parts = re.split(r",\s*|\s+", str(value))
    return [part.strip() for part in parts if part.strip()]


def _directory(location: str, base: Path) -> Path:
    """The directory of ``location``: a path, or ``package:path`` as Alembic knows it."""
    package, colon, rest = location.partition(":")
    if colon and "/" not in package and len(package) > 1:
        found = find_package(package, base)
        if found is not None:
            return found / rest
    return (base / location).resolve()


def find_package(dotted: str, root: Path) -> Path | None:
    """The directory of a package, found without importing it or its parents."""
    top, *inner = dotted.split(".")
    spec = importlib.machinery.PathFinder.find_spec(top, [*sys.path, str(root)])
    places = spec.submodule_search_locations if spec is not None else None
    return Path(next(iter(places))).joinpath(*inner) if places else None
