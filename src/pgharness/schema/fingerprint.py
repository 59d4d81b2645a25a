"""The hash that names a template: everything that can change the schema, and nothing else."""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.metadata
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from pgharness.config import Config
from pgharness.schema import problems
from pgharness.schema.locations import Locations

FORMAT = 2
"""Raised when the harness itself builds another schema from the same files."""

Part = tuple[str, bytes]


def fingerprint(config: Config, kind: str, locations: Locations | None, major: int, owner: str) -> str:
    """12 hexadecimal digits over the options and files of a schema.

    Raises:
        SchemaError: A file that an option names is not there.
    """
    digest = hashlib.sha256()
    for name, content in _parts(config, kind, locations, major, owner):
        for piece in (name.encode(), content):
            digest.update(len(piece).to_bytes(8, "big"))
            digest.update(piece)
    return digest.hexdigest()[:12]


def _parts(config: Config, kind: str, locations: Locations | None, major: int, owner: str) -> Iterator[Part]:
    options = {
        "format": FORMAT,
        "major": major,
        "owner": owner,
        "kind": kind,
        "env": sorted(config.env),
        "extensions": sorted(config.extensions),
        "metadata": config.metadata,
        "clock": config.clock,
        "seed": config.seed,
        "server_settings": sorted(config.server_settings),
        "locale": config.locale,
        "alembic": _version("alembic") if locations else "",
        "sqlalchemy": _version("sqlalchemy") if kind in ("alembic", "metadata") else "",
    }
    yield "options", json.dumps(options, sort_keys=True).encode()
    if locations is not None:
        for label, file in (("ini", locations.ini), ("toml", locations.toml)):
            if file is not None:
                yield label, file.read_bytes()
        yield from _tree("script", locations.script)
        for number, directory in enumerate(locations.versions):
            if not directory.is_relative_to(locations.script):
                yield from _tree(f"versions {number}", directory)
    if config.metadata:
        yield from _modules(config.metadata.partition(":")[0], config.root)
    for number, text in enumerate(config.sql):
        path = config.path(text)
        if not path.is_file():
            raise problems.no_sql_file(config, "sql", text, path)
        yield f"sql {number}", path.read_bytes()
    yield from _seeds(config)
    yield from _inputs(config)


def _seeds(config: Config) -> Iterator[Part]:
    """The SQL files of `pg_seed`, and the module of each function; of a package, all its files."""
    for number, text in enumerate(config.seed):
        if text.endswith(".sql"):
            path = config.path(text)
            if not path.is_file():
                raise problems.no_sql_file(config, "seed", text, path)
        else:
            found = _module(text.partition(":")[0], config.root)
            if found is None:  # the process that calls it will say so
                continue
            path = found
        if path.is_dir():
            yield from _tree(f"seed {number}", path)
        else:
            yield f"seed {number}", path.read_bytes()


def _inputs(config: Config) -> Iterator[Part]:
    """The files of `pg_template_inputs`, in the order of their names."""
    for text in sorted(config.template_inputs):
        path = config.path(text)
        label = (
            path.relative_to(config.root.resolve()).as_posix() if _inside(path, config.root) else path.name
        )
        if path.is_file():
            yield f"input {label}", path.read_bytes()
        elif path.is_dir():
            yield from _tree(f"input {label}", path)
        else:
            raise problems.no_template_input(config, text, path)


def _inside(path: Path, root: Path) -> bool:
    return path.is_relative_to(root.resolve())


def _module(name: str, root: Path) -> Path | None:
    """The file of the module ``name``, or the directory of the package; nothing is imported."""
    places = [*sys.path, str(root)]
    spec = None
    for part in name.split("."):
        spec = importlib.machinery.PathFinder.find_spec(part, places)
        if spec is None:
            return None
        places = list(spec.submodule_search_locations or ())
    if places:
        return Path(places[0])
    return Path(spec.origin) if spec is not None and spec.origin else None


def _modules(module: str, root: Path) -> Iterator[Part]:
    """The Python files of the top-level package of ``module``; for a lone file, those beside it."""
    spec = importlib.machinery.PathFinder.find_spec(module.partition(".")[0], [*sys.path, str(root)])
    if spec is None:
        return
    if spec.submodule_search_locations:
        for place in spec.submodule_search_locations:
            yield from _tree("package", Path(place), suffix=".py")
    elif spec.origin:
        files = sorted(Path(spec.origin).parent.glob("*.py"))
        yield from ((f"module {file.name}", file.read_bytes()) for file in files)


def _tree(label: str, directory: Path, suffix: str = "") -> Iterator[Part]:
    """Every file under ``directory`` under its relative name, in the order of the names."""
    for name, file in sorted(_files(directory, suffix)):
        yield f"{label}/{name}", file.read_bytes()


def _files(directory: Path, suffix: str) -> Iterable[tuple[str, Path]]:
    for file in directory.rglob("*"):
        relative = file.relative_to(directory)
        if "__pycache__" in relative.parts or file.suffix == ".pyc" or not file.name.endswith(suffix):
            continue
        if file.is_file():
            yield relative.as_posix(), file


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""
