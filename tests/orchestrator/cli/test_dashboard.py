"""`segshift dashboard --files`: what is written, and where it is not."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

import pytest


def test_the_files_are_those_of_the_package(segshift, tmp_path: Path) -> None:
    done = segshift("dashboard", "--files", "here/monitoring")
    assert done.code == 0
    assert "docker compose -f here/monitoring/docker-compose.yml up -d" in done.out
    source = Path(str(importlib.resources.files("orchestrator.monitoring")))
    expected = {f.relative_to(source): f.read_bytes() for f in source.rglob("*") if f.suffix in (".yml", ".json")}
    folder = tmp_path / "here" / "monitoring"
    assert {f.relative_to(folder): f.read_bytes() for f in folder.rglob("*") if f.is_file()} == expected
    assert len(expected) == 5


@pytest.mark.parametrize("taken", ["folder", "file"])
def test_what_is_there_is_not_overwritten(taken: str, segshift, tmp_path: Path) -> None:
    place = tmp_path / "taken"
    if taken == "folder":
        place.mkdir()
        (place / "prometheus.yml").write_text("mine")
    else:
        place.write_text("mine")
    done = segshift("dashboard", "--files", place)
    assert done.code == 2
    assert "there is something already" in done.err


def test_an_empty_folder_is_filled(segshift, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert segshift("dashboard", "--files", "empty").code == 0
    assert (tmp_path / "empty" / "prometheus.yml").is_file()
