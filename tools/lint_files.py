"""Checks files that are not Python by their schemas: workflows, the compose file, Kubernetes objects.

Needs check-jsonschema, kubernetes-validate and zizmor beside this Python. None of them uses the network.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent


def checks() -> list[list[str]]:
    """The commands, each with the files it takes."""
    workflows = sorted(map(str, ROOT.glob(".github/workflows/*.yml")))
    actions = sorted(map(str, ROOT.glob(".github/actions/*/action.yml")))
    objects = sorted(map(str, ROOT.glob("deploy/kubernetes/*.yaml")))
    schema = ["check-jsonschema", "--builtin-schema"]
    return [
        [*schema, "vendor.github-workflows", *workflows],
        [*schema, "vendor.github-actions", *actions],
        [*schema, "vendor.dependabot", str(ROOT / ".github/dependabot.yml")],
        [*schema, "vendor.compose-spec", str(ROOT / "compose.yaml")],
        ["kubernetes-validate", "--strict", *objects],
        ["zizmor", "--offline", "--no-progress", str(ROOT / ".github")],
    ]


def main() -> int:
    """Returns the exit code: 1 if any check failed. All run, whatever the first says."""
    failed = []
    for tool, *arguments in checks():
        print(f"{tool} {' '.join(arguments[:2])}", flush=True)
        if subprocess.run([str(BIN / tool), *arguments], check=False).returncode:
            failed.append(tool)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
