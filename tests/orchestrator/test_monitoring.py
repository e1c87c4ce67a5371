"""The files of Prometheus and Grafana: well formed, on localhost, and every metric of the dashboard exists."""

from __future__ import annotations

import fnmatch
import importlib.util
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import orchestrator.monitoring
from orchestrator.metrics import DEFINITIONS, PREFIX

FOLDER = Path(str(orchestrator.monitoring.__file__)).parent
ROOT = FOLDER.parents[1]
DASHBOARD = FOLDER / "grafana" / "dashboards" / "segshift.json"


def read_yaml(name: str) -> Any:
    return YAML(typ="safe").load((FOLDER / name).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    return json.loads(DASHBOARD.read_text(encoding="utf-8"))


def list_queries(dashboard: dict[str, Any]) -> list[str]:
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    return asked + [v["query"]["query"] for v in dashboard["templating"]["list"] if v["type"] == "query"]


def read_names_of_ray() -> set[str]:
    """Return the metrics in Ray's own Grafana dashboards, without importing Ray."""
    found = importlib.util.find_spec("ray")
    assert found is not None
    assert found.origin is not None
    panels = (
        Path(found.origin).parent / "dashboard" / "modules" / "metrics" / "dashboards" / "default_dashboard_panels.py"
    )
    return set(re.findall(r"\bray_[a-z_]+", panels.read_text(encoding="utf-8")))


def test_every_metric_is_one_of_ours_or_of_rays(dashboard: dict[str, Any]) -> None:
    ours = {PREFIX + definition.name for definition in DEFINITIONS}
    used = {name for query in list_queries(dashboard) for name in re.findall(r"\bray_\w+", query)}
    assert used - ours <= read_names_of_ray()
    assert ours <= used, "every metric of ours is shown"


def test_every_label_is_one_of_its_metric(dashboard: dict[str, Any]) -> None:
    labels = {PREFIX + definition.name: set(definition.labels) for definition in DEFINITIONS}
    for query in list_queries(dashboard):
        for name, selector in re.findall(r"(ray_segshift_\w+)\{([^}]*)\}", query):
            assert set(re.findall(r"(\w+)=~?\"", selector)) <= labels[name], query
        grouped = re.match(r"\w+ by \(([^)]*)\) \((ray_segshift_\w+)", query)
        assert grouped is None or set(grouped[1].split(", ")) <= labels[grouped[2]], query


def test_queries_use_variables_that_are_there_and_brackets_that_close(dashboard: dict[str, Any]) -> None:
    names = {variable["name"] for variable in dashboard["templating"]["list"]}
    assert names == {"datasource", "experiment", "profile", "task", "session"}
    for query in list_queries(dashboard):
        assert set(re.findall(r"\$(\w+)", query)) <= names
        for opening, closing in ("()", "{}", "[]"):
            assert query.count(opening) == query.count(closing)
        assert query.count('"') % 2 == 0


def test_panels_have_their_own_id_and_place(dashboard: dict[str, Any]) -> None:
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({panel["title"] for panel in panels if panel["type"] != "stat"}) > 10
    taken: dict[tuple[int, int], str] = {}
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] >= 0
        assert place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, f"{panel['title']} lies over {taken.get((x, y))}"
                taken[x, y] = panel["title"]
        if panel["type"] != "row":
            assert panel["description"].endswith((".", "%")), panel["title"]
            assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_prometheus_finds_the_nodes_in_the_file_that_ray_keeps() -> None:
    from ray._private.ray_constants import PROMETHEUS_SERVICE_DISCOVERY_FILE

    (job,) = read_yaml("prometheus.yml")["scrape_configs"]
    (found,) = job["file_sd_configs"]
    assert found["files"] == [f"/tmp/ray/{PROMETHEUS_SERVICE_DISCOVERY_FILE}"]


def test_both_listen_on_localhost_and_find_each_other_and_their_files() -> None:
    services = read_yaml("docker-compose.yml")["services"]
    prometheus, grafana = services["prometheus"], services["grafana"]
    assert all(service["network_mode"] == "host" and "ports" not in service for service in services.values())
    assert "--web.listen-address=127.0.0.1:9090" in prometheus["command"]
    assert grafana["environment"]["GF_SERVER_HTTP_ADDR"] == "127.0.0.1"
    for service in services.values():
        assert re.fullmatch(r"[\w/]+:v?\d+\.\d+\.\d+", service["image"]), "a version, not `latest`"
        for volume in service["volumes"]:
            source, target, *_ = volume.split(":")
            assert not source.startswith(".") or (FOLDER / source).exists(), source
            if source == "/tmp/ray":
                assert target == source, "the list of nodes is a link into it"
    (source,) = read_yaml("grafana/provisioning/datasources/prometheus.yml")["datasources"]
    assert source["url"] == "http://127.0.0.1:9090"
    (provider,) = read_yaml("grafana/provisioning/dashboards/segshift.yml")["providers"]
    assert provider["options"]["path"] == "$SEGSHIFT_DASHBOARDS"
    place = grafana["environment"]["SEGSHIFT_DASHBOARDS"]
    assert f"./grafana/dashboards:{place}:ro" in grafana["volumes"]


def test_the_files_are_installed() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = settings["tool"]["setuptools"]["package-data"]["orchestrator.monitoring"]
    for file in FOLDER.rglob("*"):
        if file.is_file() and file.suffix not in (".py", ".pyc"):
            name = str(file.relative_to(FOLDER))
            assert any(fnmatch.fnmatch(name, pattern.replace("**/", "*")) for pattern in patterns), name


def test_the_docs_list_every_metric() -> None:
    text = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(segshift_\w+)` \| (.*?) \|", text, re.M)
    assert [name for name, _ in listed] == [definition.name for definition in DEFINITIONS]
    for definition, (_, labels) in zip(DEFINITIONS, listed, strict=True):
        assert set(re.findall(r"`(\w+)`", labels)) == set(definition.labels) - {"experiment", "profile"}
