"""Checks wheel and sdist: what two builds made is equal, and they hold pgharness and nothing else.

``python -m tools.check_distributions dist build/again``. Needs twine, check-wheel-contents and pyroma.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

BIN = Path(sys.executable).parent
IN_WHEEL = re.compile(r"pgharness(-[\d.]+(\.?(a|b|rc|dev)\d+)*\.dist-info)?/")
NOT_IN_SDIST = re.compile(r"[^/]+/(service|tests|tools|migrations|truth)\b")


def hashes(directory: Path) -> dict[str, str]:
    """The SHA-256 of each distribution in a directory, by name."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(directory.glob("pg*"))
    }


def strangers(wheel: Path, sdist: Path) -> list[str]:
    """What is in them and does not belong there, and what belongs there and is missing."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    found = [name for name in names if not IN_WHEEL.match(name)]
    found += [f"{name} is missing" for name in ["pgharness/py.typed"] if name not in names]
    with tarfile.open(sdist) as archive:
        found += [name for name in archive.getnames() if NOT_IN_SDIST.match(name)]
    return found


def main() -> int:
    """Returns the exit code: 0 if there is nothing to mend."""
    first, second = map(Path, sys.argv[1:3])
    made = hashes(first)
    if made != hashes(second):
        print(f"two builds differ:\n{made}\n{hashes(second)}", file=sys.stderr)
        return 1
    wheel, sdist = next(first.glob("*.whl")), next(first.glob("*.tar.gz"))
    subprocess.run([str(BIN / "twine"), "check", "--strict", str(wheel), str(sdist)], check=True)
    subprocess.run([str(BIN / "check-wheel-contents"), str(wheel)], check=True)
    # The two points left: the project has no public address and no author's e-mail to give.
    subprocess.run([str(BIN / "pyroma"), "--min=8", str(sdist)], check=True)
    if wrong := strangers(wheel, sdist):
        print(f"does not belong: {wrong}", file=sys.stderr)
        return 1
    for name, digest in made.items():
        print(f"{digest}  {name}")
    print("two builds are equal, and they hold pgharness and nothing else")
    return 0


if __name__ == "__main__":
    sys.exit(main())
