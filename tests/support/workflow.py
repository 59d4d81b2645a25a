"""What a CI workflow promises, read from the file: for the tests that prove it and the ones that break it."""

from __future__ import annotations

import itertools
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


def combinations(job: dict[str, Any]) -> list[dict[str, str]]:
    """The variables of each run of a job; one run without any where there is no matrix."""
    axes = {
        name: values
        for name, values in job.get("strategy", {}).get("matrix", {}).items()
        if name not in {"include", "exclude"}
    }
    return [dict(zip(axes, map(str, values), strict=True)) for values in itertools.product(*axes.values())]


def filled(template: str, variables: dict[str, str]) -> str:
    """A text of the workflow as one run of the matrix sees it."""
    for name, value in variables.items():
        template = template.replace(f"${{{{ matrix.{name} }}}}", value)
    return template


def artifacts(name: str, job: dict[str, Any]) -> list[str]:
    """What the runs of a job upload under names that begin so."""
    uploads = [step["with"]["name"] for step in job["steps"] if "upload-artifact" in step.get("uses", "")]
    return [filled(upload, run) for upload in uploads if upload.startswith(name) for run in combinations(job)]


def data_files(job: dict[str, Any]) -> list[str]:
    """The data of coverage that the runs of a job leave, by the names that the noxfile gives them."""
    suffix, shard = job["env"].get("COVERAGE_SUFFIX", ""), "-shard-${{ matrix.shard }}"
    return [
        filled(session + suffix + (shard if "shard" in run else ""), run)
        for session in sessions(job)
        for run in combinations(job)
    ]


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
