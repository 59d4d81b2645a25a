"""The CI workflows against the noxfile, the tiers, the classifiers, and what a gate is for."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
import yaml

from tests.support import project_files, workflow

CI: workflow.Workflow = yaml.safe_load(project_files.text(".github/workflows/ci.yml"))
RELEASE: workflow.Workflow = yaml.safe_load(project_files.text(".github/workflows/release.yml"))
JOBS = workflow.jobs(CI)
CLASSIFIER = "Programming Language :: Python :: 3."
FILES = [".github/workflows/ci.yml", ".github/workflows/release.yml", ".github/actions/setup/action.yml"]
USES = [line for name in FILES for line in re.findall(r"uses: (.*)", project_files.text(name))]
# Jobs that have another name than the session they run, or run more than one.
OTHERWISE = {
    "service-container": ["integration", "api"],
    "no-docker": ["integration", "api"],
    "fresh-clone": ["fresh_clone"],
}
# Sessions that guard nothing.
BY_HAND = {"serve", "openapi", "durations", "truth", "lock"}
MEASURED = [job for job in JOBS.values() if set(project_files.tiers()) & set(workflow.sessions(job))]


def classified_pythons() -> list[str]:
    classifiers: list[str] = project_files.pyproject()["project"]["classifiers"]
    return [line.rpartition(" ")[2] for line in classifiers if line.startswith(CLASSIFIER)]


def matrix(job: str) -> dict[str, Any]:
    found: dict[str, Any] = JOBS[job]["strategy"]["matrix"]
    return found


def test_the_gate_has_no_hole() -> None:
    assert workflow.gate_holes(CI) == []


@pytest.mark.parametrize("job", sorted(JOBS))
def test_a_gate_that_leaves_out_a_job_is_found(job: str) -> None:
    broken = copy.deepcopy(CI)
    broken["jobs"]["gate"]["needs"].remove(job)

    assert workflow.gate_holes(broken) == [f"the gate does not need {job}"]


@pytest.mark.parametrize(
    ("change", "hole"),
    [
        ({"if": "success()"}, "the gate is skipped, which counts as green, when a job fails"),
        ({"steps": [{"run": "true"}]}, "the gate does not read every result"),
        ({"continue-on-error": True}, "gate may fail and be called green"),
    ],
)
def test_a_gate_that_is_made_weaker_is_found(change: dict[str, Any], hole: str) -> None:
    broken = copy.deepcopy(CI)
    broken["jobs"]["gate"].update(change)

    assert workflow.gate_holes(broken) == [hole]


def test_a_gate_whose_script_looks_at_the_first_result_only_is_found() -> None:
    broken = copy.deepcopy(CI)
    broken["jobs"]["gate"]["steps"][0]["run"] = 'test "${RESULTS%% *}" = success'

    assert "the gate is green for: success cancelled" in workflow.gate_holes(broken)


def test_the_tiers_are_these() -> None:
    assert project_files.tiers() == ["api", "integration", "unit"]


@pytest.mark.parametrize("job", sorted(JOBS))
def test_each_job_runs_its_session_and_nothing_else(job: str) -> None:
    commands = [step["run"] for step in JOBS[job]["steps"] if "run" in step]

    assert workflow.sessions(JOBS[job]) == OTHERWISE.get(job, [job])
    assert len(commands) == 1


@pytest.mark.parametrize("tier", project_files.tiers())
def test_each_tier_has_a_session_and_a_job(tier: str) -> None:
    assert project_files.sessions()[tier] is True
    assert tier in JOBS


def test_each_session_that_guards_something_has_a_job() -> None:
    run = {session for job in JOBS.values() for session in workflow.sessions(job)}

    assert run == set(project_files.sessions()) - BY_HAND


def test_no_change_goes_past_the_jobs() -> None:
    triggers = CI[True]  # type: ignore[index]  # YAML takes the key `on` for a boolean

    assert triggers == {"push": {"branches": ["main"]}, "pull_request": None}


def test_coverage_takes_the_data_of_every_job_that_runs_a_tier() -> None:
    tiers = set(project_files.tiers())
    measured = {name for name, job in JOBS.items() if tiers & set(workflow.sessions(job))}
    uploaded = {
        name
        for name, job in JOBS.items()
        for step in job["steps"]
        if str(step.get("with", {}).get("name", "")).startswith("coverage-")
    }

    assert set(JOBS["coverage"]["needs"]) == measured == uploaded


def test_coverage_downloads_all_that_the_jobs_upload() -> None:
    download = next(step["with"] for step in JOBS["coverage"]["steps"] if "pattern" in step.get("with", {}))

    assert download == {"pattern": "coverage-*", "path": ".coverage-data", "merge-multiple": True}


def test_no_run_of_a_job_overwrites_the_data_of_another() -> None:
    files = [file for job in MEASURED for file in workflow.data_files(job)]
    artifacts = [artifact for job in MEASURED for artifact in workflow.artifacts("coverage-", job)]

    assert len(files) == len(set(files))
    assert len(artifacts) == len(set(artifacts))


def test_coverage_of_a_change_has_the_history_to_compare_with() -> None:
    assert JOBS["coverage"]["steps"][0]["with"]["fetch-depth"] == 0


def test_what_the_tiers_test_is_the_wheel_that_was_built() -> None:
    for name in [*JOBS["coverage"]["needs"], "minimums", "installed"]:
        assert JOBS[name]["env"]["WHEEL_DIR"] == "dist"
        assert "build" in JOBS[name]["needs"]
        assert any(step.get("with", {}).get("wheel") == "true" for step in JOBS[name]["steps"])


@pytest.mark.parametrize("tier", project_files.tiers())
def test_each_tier_runs_on_every_python_of_the_classifiers(tier: str) -> None:
    assert matrix(tier)["python"] == classified_pythons()


@pytest.mark.parametrize("tier", ["api", "integration"])
def test_the_tiers_with_a_database_run_on_each_major_of_postgres(tier: str) -> None:
    assert [entry["postgres"] for entry in matrix(tier)["include"]] == ["15", "16", "17", "18"]
    assert [entry["python"] for entry in matrix(tier)["include"]] == classified_pythons()


def test_the_shards_of_the_matrix_are_all_there_are() -> None:
    command = next(step["run"] for step in JOBS["integration"]["steps"] if "run" in step)

    assert command.endswith(f"/{len(matrix('integration')['shard'])}")
    assert matrix("integration")["shard"] == [1, 2, 3]


def test_no_job_of_ci_may_write_anything() -> None:
    assert CI["permissions"] == {}
    assert {str(job["permissions"]) for job in JOBS.values()} == {"{'contents': 'read'}"}
    assert CI["jobs"]["gate"]["permissions"] == {}


def test_only_what_publishes_may_sign() -> None:
    assert RELEASE["permissions"] == {}
    assert RELEASE["jobs"]["build"]["permissions"] == {"contents": "read"}
    assert RELEASE["jobs"]["publish"]["permissions"] == {"id-token": "write", "attestations": "write"}
    assert workflow.sessions(RELEASE["jobs"]["build"]) == ["build"]
    assert RELEASE["jobs"]["publish"]["needs"] == ["build"]


def test_every_job_ends() -> None:
    assert [name for name, job in CI["jobs"].items() if "timeout-minutes" not in job] == []


def test_actions_are_pinned_by_commit_and_say_their_version() -> None:
    foreign = [line for line in USES if not line.startswith("./")]

    assert len(foreign) > len(JOBS)
    assert [
        line for line in foreign if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)
    ] == []


def test_one_commit_per_action() -> None:
    lines = set(USES)

    assert len(lines) == len({line.partition("@")[0] for line in lines})
