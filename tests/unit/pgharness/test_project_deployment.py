"""The files that platforms read: each by a schema, and all against the image and the service."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

import jsonschema_rs
import pytest
import yaml

from service.app import create_app
from service.settings import Settings
from tests.support import project_files

RAILWAY: dict[str, Any] = json.loads(project_files.text("railway.json"))
FLY: dict[str, Any] = tomllib.loads(project_files.text("fly.toml"))
MANIFESTS = sorted(project_files.ROOT.glob("deploy/kubernetes/*.yaml"))
OBJECTS: list[dict[str, Any]] = [
    loaded for path in MANIFESTS for loaded in yaml.safe_load_all(path.read_text(encoding="utf-8"))
]
IMAGE = dict(re.findall(r"(SERVICE_[A-Z_]+)=(\S+)", project_files.text("Dockerfile")))
CHECKLIST = project_files.text("docs/how-to/production-checklist.md")
DRAIN = float(IMAGE["SERVICE_DRAIN_SECONDS"])


def kubernetes(kind: str) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each for each in OBJECTS if each["kind"] == kind}


def pods() -> dict[str, dict[str, Any]]:
    """The templates of pods, by what makes them."""
    return {
        each["metadata"]["name"]: each["spec"]["template"] for each in OBJECTS if "template" in each["spec"]
    }


def paths() -> set[str]:
    """What the service answers to."""
    app = create_app(Settings.model_validate({"database_url": "postgresql+asyncpg://db/board"}))
    return set(app.openapi()["paths"])


@pytest.mark.parametrize(("name", "content"), [("railway", RAILWAY), ("fly", FLY)])
def test_a_platform_s_file_has_no_key_that_the_platform_does_not_know(name: str, content: object) -> None:
    schema = json.loads(project_files.text(f"tests/support/schemas/{name}.json"))

    errors = jsonschema_rs.validator_for(schema).iter_errors(content)

    assert [f"{error.instance_path}: {error.message}" for error in errors] == []


def test_every_path_that_a_platform_asks_for_is_answered() -> None:
    asked = {
        RAILWAY["deploy"]["healthcheckPath"],
        *(check["path"] for check in FLY["http_service"]["checks"]),
    }
    for pod in pods().values():
        for container in pod["spec"]["containers"]:
            probes = [value for key, value in container.items() if key.endswith("Probe")]
            asked |= {probe["httpGet"]["path"] for probe in probes if "httpGet" in probe}

    assert asked == {"/health", "/ready"}
    assert asked <= paths()


def test_every_platform_waits_longer_than_a_process_drains() -> None:
    assert RAILWAY["deploy"]["drainingSeconds"] > DRAIN
    assert float(FLY["kill_timeout"].removesuffix("s")) > DRAIN
    for name, deployment in kubernetes("Deployment").items():
        pod = deployment["spec"]["template"]["spec"]
        environment = {each["name"]: each.get("value") for each in pod["containers"][0]["env"]}
        drain = float(environment.get("SERVICE_DRAIN_SECONDS", DRAIN))
        assert pod["terminationGracePeriodSeconds"] > drain, name


def test_fly_sends_requests_to_the_process_and_the_port_that_serve() -> None:
    assert set(FLY["http_service"]["processes"]) <= set(FLY["processes"])
    assert FLY["http_service"]["internal_port"] == int(IMAGE["SERVICE_PORT"])
    assert FLY["kill_signal"] in project_files.text("Dockerfile")
    assert (project_files.ROOT / FLY["build"]["dockerfile"]).exists()
    assert (project_files.ROOT / RAILWAY["build"]["dockerfilePath"]).exists()


def test_every_selector_of_kubernetes_finds_pods() -> None:
    labels = [pod["metadata"]["labels"] for pod in pods().values()]
    selectors = [each["spec"]["selector"] for each in OBJECTS if "selector" in each["spec"]]

    assert len(selectors) == 5
    for selector in selectors:
        wanted = selector.get("matchLabels", selector)
        assert any(wanted.items() <= each.items() for each in labels), wanted


def test_the_ports_of_kubernetes_have_the_names_by_which_they_are_asked_for() -> None:
    (container,) = pods()["task-board-api"]["spec"]["containers"]
    names = {port["name"]: port["containerPort"] for port in container["ports"]}

    assert names == {"http": int(IMAGE["SERVICE_PORT"])}
    assert {port["targetPort"] for port in kubernetes("Service")["task-board"]["spec"]["ports"]} == {"http"}


def test_an_autoscaler_alone_says_how_many_replicas_there_are() -> None:
    for scaler in kubernetes("HorizontalPodAutoscaler").values():
        target = scaler["spec"]["scaleTargetRef"]["name"]
        # Else each deploy would set the number back.
        assert "replicas" not in kubernetes("Deployment")[target]["spec"]


def test_every_secret_is_one_that_the_page_says_how_to_make() -> None:
    page = project_files.text("docs/how-to/deploy-the-service.md")
    asked = re.findall(r"secretKeyRef: \{ name: task-board, key: ([\w-]+) \}", kubernetes_text())

    assert set(asked) == set(re.findall(r"--from-literal=([\w-]+)=", page))


def kubernetes_text() -> str:
    return "".join(path.read_text(encoding="utf-8") for path in MANIFESTS)


@pytest.mark.parametrize("line", re.findall(r"^- (.*)", CHECKLIST, re.MULTILINE))
def test_a_line_of_the_checklist_names_what_holds_it(line: str) -> None:
    held = re.search(r"Held by `test_\w+\.py::test_\w+`\.$", line)

    assert held or re.search(r"Yours to see to\.$", line)


@pytest.mark.parametrize(
    "word",
    [
        *("64 bytes", "Debugging", "HTTPS", "CORS", "database has a password", "log says", "Errors reach"),
        *("Health", "Migrations", "Backups", "rate, errors and durations", "Logins are limited"),
    ],
)
def test_the_checklist_has_what_every_production_needs(word: str) -> None:
    assert word in " ".join(re.findall(r"^- \*\*(.*?)\*\*", CHECKLIST, re.MULTILINE))
