"""What a CI workflow promises, read from the file: for the tests that prove it and the ones that break it."""

from __future__ import annotations

import subprocess
from typing import Any

Workflow = dict[str, Any]

GATE = "gate"


def jobs(workflow: Workflow) -> dict[str, dict[str, Any]]:
    """The jobs without the gate."""
    return {name: job for name, job in workflow["jobs"].items() if name != GATE}


def sessions(job: dict[str, Any]) -> list[str]:
    """The sessions of the noxfile that a job runs."""
    found: list[str] = []
    for step in job["steps"]:
        words = str(step.get("run", "")).partition(" -- ")[0].split()
        if words[:1] == ["./dev"]:
            found += words[1:]
    return found


def gate_holes(workflow: Workflow) -> list[str]:
    """Each way in which the gate could be green although a job is not; empty if there is none."""
    gate = workflow["jobs"][GATE]
    holes = [f"the gate does not need {name}" for name in jobs(workflow) if name not in gate["needs"]]
    if gate.get("if") != "always()":
        holes.append("the gate is skipped, which counts as green, when a job fails")
    for name, job in {**jobs(workflow), GATE: gate}.items():
        if any("continue-on-error" in part for part in [job, *job["steps"]]):
            holes.append(f"{name} may fail and be called green")
    step = gate["steps"][0]
    if step.get("env") != {"RESULTS": "${{ join(needs.*.result, ' ') }}"}:
        return [*holes, "the gate does not read every result"]
    for result in ("failure", "cancelled", "skipped"):
        mixed = (f"{result} success", f"success {result}")
        holes += [f"the gate is green for: {each}" for each in mixed if ends(step["run"], each) == 0]
    if ends(step["run"], "success success") != 0:
        holes.append("the gate is red when every job is green")
    return holes


def ends(script: str, results: str) -> int:
    """The exit code of the gate's script, run as GitHub runs it."""
    shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    return subprocess.run(shell, env={"RESULTS": results}, check=False).returncode
