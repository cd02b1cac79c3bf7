"""docker-compose.yml, checked against the Compose Specification's own schema, and what it mounts and runs."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

TOP = Path(__file__).parents[1]
COMPOSE = TOP / "docker-compose.yml"


@pytest.fixture
def compose() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return read


def _check(file: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_it_agrees_with_the_compose_specification() -> None:
    checked = _check(COMPOSE)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_check_against_the_specification_can_fail(tmp_path: Path) -> None:
    wrong = tmp_path / "docker-compose.yml"
    wrong.write_text(COMPOSE.read_text().replace("depends_on:", "depend_on:", 1))
    assert _check(wrong).returncode == 1


def test_it_has_the_service_its_traffic_both_databases_prometheus_and_grafana(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {"demo", "traffic", "postgres", "redis", "prometheus", "grafana"}


def test_every_image_is_pinned_to_a_version(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        assert re.fullmatch(r"[\w/-]+:v?\d+\.\d+(\.\d+)?", service["image"]), service["image"]


def test_whoever_waits_for_health_waits_for_a_service_that_tells_it(compose: dict[str, Any]) -> None:
    services = compose["services"]
    dockerfile = (TOP / "docker/Dockerfile").read_text()
    for service in services.values():
        for name, wait in service.get("depends_on", {}).items():
            assert wait["condition"] == "service_healthy"
            assert "healthcheck" in services[name] or ("build" in services[name] and "HEALTHCHECK" in dockerfile)


def test_what_it_mounts_exists_and_what_it_keeps_is_declared(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (TOP / source).exists() if source.startswith(".") else source in compose["volumes"], volume


def test_nothing_is_published_beyond_this_machine(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("module", ["watchglass.demo.service", "watchglass.demo.traffic"])
def test_the_modules_it_runs_can_be_run(compose: dict[str, Any], module: str) -> None:
    assert module in COMPOSE.read_text() + (TOP / "docker/Dockerfile").read_text()
    helped = subprocess.run([sys.executable, "-m", module, "--help"], capture_output=True, text=True, check=False)
    assert helped.returncode == 0, helped.stderr


def test_the_build_is_given_the_files_it_copies() -> None:
    """The wheel's build reads what the sdist has; .dockerignore must let it through."""
    allowed = {line[1:] for line in (TOP / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {"src", "pyproject.toml", "hatch_build.py", "README.md", "LICENSE"} <= allowed


def test_prometheus_accepts_its_configuration(promtool: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    checked = promtool("check", "config", str(TOP / "docker/prometheus.yml"))
    assert checked.returncode == 0, checked.stderr
