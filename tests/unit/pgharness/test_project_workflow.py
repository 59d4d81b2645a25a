"""The CI workflow against the noxfile, the tiers and the classifiers."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.support import project_files

WORKFLOW: dict[str, Any] = yaml.safe_load(project_files.text(".github/workflows/ci.yml"))
JOBS: dict[str, dict[str, Any]] = WORKFLOW["jobs"]
CLASSIFIER = "Programming Language :: Python :: 3."


def commands(job: str) -> list[str]:
    return [step["run"] for step in JOBS[job]["steps"] if "run" in step]


def classified_pythons() -> list[str]:
    classifiers: list[str] = project_files.pyproject()["project"]["classifiers"]
    return [line.rpartition(" ")[2] for line in classifiers if line.startswith(CLASSIFIER)]


def test_the_gate_needs_every_other_job() -> None:
    assert sorted(JOBS["gate"]["needs"]) == sorted(set(JOBS) - {"gate"})


def test_the_gate_runs_even_if_a_job_failed_and_then_fails() -> None:
    step = JOBS["gate"]["steps"][0]

    assert JOBS["gate"]["if"] == "always()"
    assert step["env"]["RESULTS"] == "${{ join(needs.*.result, ' ') }}"
    assert 'test "$result" = success' in step["run"]


def test_the_tiers_are_these() -> None:
    assert project_files.tiers() == ["api", "integration", "unit"]


@pytest.mark.parametrize("tier", project_files.tiers())
def test_each_tier_has_a_session_and_a_job_that_runs_it(tier: str) -> None:
    assert project_files.sessions()[tier] is True
    assert commands(tier) == [f"./dev {tier}"]


def test_each_session_that_must_be_green_has_a_job() -> None:
    guards = {name for name, by_default in project_files.sessions().items() if by_default}

    assert guards == set(JOBS) - {"gate"}
    assert all(commands(name) == [f"./dev {name}"] for name in guards)


def test_coverage_takes_the_data_of_every_tier() -> None:
    uploaded = {
        step["with"]["path"]
        for job in JOBS.values()
        for step in job["steps"]
        if str(step.get("with", {}).get("name", "")).startswith("coverage-")
    }

    assert sorted(JOBS["coverage"]["needs"]) == project_files.tiers()
    assert uploaded == {f".coverage-data/{tier}" for tier in project_files.tiers()}


@pytest.mark.parametrize("tier", project_files.tiers())
def test_each_tier_runs_on_every_python_of_the_classifiers(tier: str) -> None:
    assert JOBS[tier]["strategy"]["matrix"]["python"] == classified_pythons()


@pytest.mark.parametrize("tier", ["api", "integration"])
def test_the_slow_tiers_run_on_two_backends(tier: str) -> None:
    matrix = JOBS[tier]["strategy"]["matrix"]

    assert matrix["backend"] + [entry["backend"] for entry in matrix["include"]] == ["container", "local"]
    assert JOBS[tier]["env"] == {"PGHARNESS_BACKEND": "${{ matrix.backend }}"}


def test_no_job_may_write_anything() -> None:
    assert WORKFLOW["permissions"] == {}
    assert {str(job.get("permissions")) for name, job in JOBS.items() if name != "gate"} == {
        "{'contents': 'read'}"
    }
    assert "permissions" not in JOBS["gate"]


def test_actions_are_pinned_by_commit_and_say_their_version() -> None:
    lines = re.findall(r"uses: (.*)", project_files.text(".github/workflows/ci.yml"))

    assert len(lines) > len(JOBS)
    assert [line for line in lines if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)] == []


def test_one_commit_per_action() -> None:
    lines = set(re.findall(r"uses: (.*)", project_files.text(".github/workflows/ci.yml")))

    assert len(lines) == len({line.partition("@")[0] for line in lines})
