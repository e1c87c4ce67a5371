"""`doctor`: every check reports, and a broken one stops no other."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from adapt.data.catalog import DATASET_TYPES
from experiments.workspace import Workspace
from orchestrator import doctor


def test_it_reports_versions_data_store_and_ports(segshift, tmp_path: Path) -> None:
    (tmp_path / "data" / "camvid").mkdir(parents=True)
    outcome = segshift("doctor", "--data", "data")
    lines = {line[2:26].strip(): line for line in outcome.out.splitlines()}
    assert {"python", "torch", "ray", "mlflow", "mmcv", "OpenCV", "GPUs", "store"} <= set(lines)
    assert {f"data: {name}" for name in DATASET_TYPES} <= set(lines)
    assert str(tmp_path / "data" / "camvid") in lines["data: camvid"]
    assert "not configured" in lines["data: gta"]
    assert lines["python"].startswith("✓")
    bad = [line for line in lines.values() if line.startswith("✗")]
    assert outcome.code == (1 if bad else 0)


def test_a_package_that_is_missing_is_bad_and_names_the_remedy(segshift, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PACKAGES", ("no_such_package",))
    outcome = segshift("doctor")
    assert outcome.code == 1
    assert "not installed: run `make setup`" in outcome.out
    assert "thing(s) to mend" in outcome.out


def test_a_check_that_breaks_is_a_finding_and_the_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> int:
        raise ImportError("half an installation")

    monkeypatch.setattr(doctor, "count_gpus", broken)
    findings = list(doctor.examine(Workspace(store=tmp_path / "store")))
    assert doctor.Finding("bad", "gpus", "ImportError: half an installation") in findings
    assert findings[-1].subject.startswith("port of the")


def test_a_store_without_room_is_bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1, 1, 0))
    findings = [f for f in doctor.examine(Workspace(store=tmp_path / "store")) if f.subject == "store"]
    assert [finding.level for finding in findings] == ["bad"]
    assert "0 MiB left" in findings[0].text
