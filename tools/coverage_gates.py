"""Reports the combined coverage and fails under the gates; on GitHub the summary of the job shows it too.

Needs coverage, and its data file in ``COVERAGE_FILE``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PACKAGE_GATE = 95
GATES = {
    "total": ("*", 80),
    "pgharness": ("src/pgharness/*", PACKAGE_GATE),
    "service": ("service/*", PACKAGE_GATE),
}


def report(*options: str) -> str:
    """What ``coverage report`` prints with these options."""
    command = [sys.executable, "-m", "coverage", "report", *options]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> int:
    """Returns the exit code: 1 if a figure is under its gate."""
    print(report(*sys.argv[1:]))
    lines, under = [], []
    for name, (pattern, gate) in GATES.items():
        percent = float(report("--format=total", f"--include={pattern}"))
        lines.append(f"coverage of {name}: {percent:.2f} % (gate {gate} %)")
        if percent < gate:
            under.append(name)
    print("\n".join(lines))
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write("\n".join(["## Coverage", *(f"- {line}" for line in lines), "", ""]))
            file.write(report("--format=markdown"))
    if under:
        print(f"coverage is under the gate: {', '.join(under)}", file=sys.stderr)
    return bool(under)


if __name__ == "__main__":
    sys.exit(main())
