"""The image and the compose file against the repository: what goes in, as whom it runs, what it names."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from service.settings import Settings
from tests.support import project_files

DOCKERFILE = project_files.text("Dockerfile")
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(project_files.text("compose.yaml"))["services"]
LET_IN = re.findall(r"^!(.+)$", project_files.text(".dockerignore"), re.MULTILINE)
SETTINGS = {f"SERVICE_{name.upper()}" for name in Settings.model_fields}


def copied() -> set[str]:
    """What the Dockerfile takes from the repository, by name."""
    copies = re.findall(r"^COPY (?!--from)(\S+) ", DOCKERFILE, re.MULTILINE)
    return {*copies, *re.findall(r"type=bind,source=([^,]+)", DOCKERFILE)} - {"."}


def test_an_image_gets_only_what_is_let_in_by_name() -> None:
    lines = project_files.text(".dockerignore").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]

    assert rules[0] == "*"
    assert all((project_files.ROOT / name).exists() for name in LET_IN)
    assert {name.partition("/")[0] for name in copied()} <= set(LET_IN)


def test_nothing_that_git_leaves_out_is_let_in() -> None:
    left_out = {line.strip("/*") for line in project_files.text(".gitignore").splitlines()}

    assert left_out & set(LET_IN) == set()
    assert "**/.env*" in project_files.text(".dockerignore")


def test_the_runtime_holds_no_development_dependency() -> None:
    runtime = DOCKERFILE[DOCKERFILE.index("AS runtime\n") : DOCKERFILE.index("AS test-dependencies")]

    assert re.findall(r"--from=(\S+)", runtime) == ["dependencies", "code"]
    assert re.findall(r"source=(locks/[^,]+)", DOCKERFILE[: DOCKERFILE.index("AS runtime\n")]) == [
        "locks/service.txt",
        "locks/telemetry.txt",
    ]


def test_what_a_setting_of_the_service_needs_is_in_the_image() -> None:
    assert "otlp_endpoint" in Settings.model_fields
    assert re.findall(r"^ARG LOCK=(.*)", DOCKERFILE, re.MULTILINE) == ["telemetry"]


def test_every_install_is_checked_by_hash_or_brings_nothing() -> None:
    installs = re.findall(r"pip .*install (.*)", DOCKERFILE)

    assert len(installs) == 3
    assert all("--require-hashes" in install or "--no-deps" in install for install in installs)


def test_the_image_ends_as_a_user_known_by_number() -> None:
    stages = dict(re.findall(r"^FROM \S+ AS (\S+)\n(.*?)(?=^FROM |\Z)", DOCKERFILE, re.MULTILINE | re.DOTALL))

    assert re.findall(r"^USER (.*)", stages["runtime"], re.MULTILINE) == ["10001:10001"]
    assert "USER" not in stages["test"]


def test_no_secret_is_written_into_an_image() -> None:
    names = re.findall(r"(?:^ARG |^ENV |^ +)([A-Z_]+)=", DOCKERFILE, re.MULTILINE)

    assert [name for name in names if re.search("SECRET|PASSWORD|TOKEN|KEY|URL", name)] == []


DEPLOYED = [
    *("Dockerfile", "compose.yaml", "railway.json", "fly.toml"),
    *(f"deploy/kubernetes/{path.name}" for path in project_files.ROOT.glob("deploy/kubernetes/*.yaml")),
    *("docs/how-to/deploy-the-service.md", "docs/how-to/production-checklist.md"),
]


@pytest.mark.parametrize("name", DEPLOYED)
def test_every_setting_that_is_named_exists(name: str) -> None:
    assert set(re.findall(r"\bSERVICE_[A-Z_]+\b", project_files.text(name))) - SETTINGS == set()


def test_compose_publishes_the_api_alone_and_on_loopback() -> None:
    assert {name: service["ports"] for name, service in SERVICES.items() if "ports" in service} == {
        "api": ["127.0.0.1:${PORT:-8000}:8000"]
    }


@pytest.mark.parametrize("name", ["api", "worker"])
def test_compose_starts_nothing_on_a_database_that_is_not_migrated(name: str) -> None:
    assert SERVICES[name]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
    assert SERVICES["migrate"]["depends_on"] == {"db": {"condition": "service_healthy"}}


@pytest.mark.parametrize("name", ["migrate", "api", "worker"])
def test_compose_runs_the_service_without_rights_and_on_a_read_only_root(name: str) -> None:
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", DEPLOYED)
def test_every_program_that_is_started_exists(name: str) -> None:
    modules = set(re.findall(r"(?:-m,? |\"-m\", \")(service[\w.]*)", project_files.text(name)))
    paths = [project_files.ROOT / module.replace(".", "/") for module in modules]

    assert [str(path) for path in paths if not path.with_suffix(".py").exists() and not path.is_dir()] == []


def test_kubernetes_gives_no_container_rights() -> None:
    files = project_files.ROOT.glob("deploy/kubernetes/*.yaml")
    objects = [loaded for path in files for loaded in yaml.safe_load_all(path.read_text(encoding="utf-8"))]
    pods = [each["spec"]["template"]["spec"] for each in objects if "template" in each["spec"]]

    assert len(pods) == 3
    for pod in pods:
        assert pod["securityContext"]["runAsUser"] == 10001
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


def test_a_worker_that_hangs_is_noticed() -> None:
    asked = ["python", "-m", "service.worker", "--healthy"]
    (deployment,) = yaml.safe_load_all(project_files.text("deploy/kubernetes/worker.yaml"))
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]

    assert SERVICES["worker"]["healthcheck"]["test"] == ["CMD", *asked]
    assert container["livenessProbe"]["exec"]["command"] == asked
    assert container["volumeMounts"][0]["name"] == pod["volumes"][0]["name"]


def test_every_deploy_migrates_first() -> None:
    for name in ("railway.json", "fly.toml", "compose.yaml", "deploy/kubernetes/migrate.yaml"):
        assert re.search(r"service\.migrate", project_files.text(name)), name
