"""The shipped dashboards: sound as files, and each query answered by a Prometheus that scraped the demo."""

from __future__ import annotations

import json
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "src/watchglass/grafana"
DASHBOARDS = sorted((FOLDER / "dashboards").glob("*.json"))

Dashboard = dict[str, Any]


@pytest.fixture(params=DASHBOARDS, ids=lambda path: path.stem)
def dashboard(request: pytest.FixtureRequest) -> Dashboard:
    read: Dashboard = json.loads(request.param.read_text())
    return read


def targets(dashboard: Dashboard) -> list[dict[str, Any]]:
    return [target for panel in dashboard["panels"] for target in panel.get("targets", [])]


def test_there_is_an_overview() -> None:
    assert "overview" in [path.stem for path in DASHBOARDS]


def test_panels_have_an_id_each_and_do_not_overlap(dashboard: Dashboard) -> None:
    assert max(Counter(panel["id"] for panel in dashboard["panels"]).values()) == 1
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        assert 0 <= place["x"] < place["x"] + place["w"] <= 24
    for one, other in combinations([panel["gridPos"] for panel in dashboard["panels"]], 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above, (one, other)


def test_every_panel_says_what_it_shows_in_which_unit(dashboard: Dashboard) -> None:
    for panel in dashboard["panels"]:
        if panel["type"] != "row":
            assert panel["title"]
            assert panel["description"].endswith(".")
            assert panel["fieldConfig"]["defaults"]["unit"]


def test_every_query_asks_the_chosen_data_source_for_the_chosen_instances(dashboard: Dashboard) -> None:
    assert targets(dashboard)
    for target in targets(dashboard):
        assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert 'instance=~"$instance"' in target["expr"]


def test_its_variables_are_data_source_service_and_instance(dashboard: Dashboard) -> None:
    assert [variable["name"] for variable in dashboard["templating"]["list"]] == ["datasource", "service", "instance"]


def test_dashboards_have_a_uid_each() -> None:
    uids = [json.loads(path.read_text())["uid"] for path in DASHBOARDS]
    assert len(set(uids)) == len(uids)


def test_provisioning_names_a_prometheus_and_the_folder_of_the_dashboards() -> None:
    source = yaml.safe_load((FOLDER / "provisioning/datasources/prometheus.yml").read_text())
    provider = yaml.safe_load((FOLDER / "provisioning/dashboards/watchglass.yml").read_text())
    compose = yaml.safe_load((FOLDER.parents[2] / "docker-compose.yml").read_text())
    assert [entry["type"] for entry in source["datasources"]] == ["prometheus"]
    assert source["datasources"][0]["url"] == "http://prometheus:9090"
    assert "prometheus" in compose["services"]
    mounted = [volume.split(":")[1] for volume in compose["services"]["grafana"]["volumes"]]
    assert provider["providers"][0]["options"]["path"] in mounted
