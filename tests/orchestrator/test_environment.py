"""What a result was made on."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy
import pytest

from corruptions.protocol import DISTRIBUTIONS
from orchestrator import environment


def test_it_names_versions_and_hardware_as_json() -> None:
    found = json.loads(json.dumps(environment.describe_environment(), allow_nan=False))
    assert found["packages"]["numpy"] == numpy.__version__
    assert "mmcv" not in found["packages"] or found["packages"]["mmcv"]
    assert found["cpu_count"] >= 1
    assert found["memory_bytes"] > 2**20


def test_all_that_decides_the_pixels_of_a_corruption_is_recorded() -> None:
    deciding = {name for names in DISTRIBUTIONS.values() for name in names}
    assert deciding <= set(environment.RECORDED_PACKAGES)
    assert deciding <= environment.describe_environment()["packages"].keys()


def test_the_commit_and_whether_it_was_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "orchestrator" / "environment.py"
    module.parent.mkdir()
    module.write_text("a = 1\n")
    monkeypatch.setattr(environment, "__file__", str(module))
    assert environment.describe_commit() is None, "no checkout"
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.example"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *command], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert environment.describe_commit() == {"commit": head, "dirty": False}
    (tmp_path / "beside.txt").write_text("not tracked, so no part of the code")
    assert environment.describe_commit() == {"commit": head, "dirty": False}
    module.write_text("a = 2\n")
    assert environment.describe_commit() == {"commit": head, "dirty": True}


def test_the_memory_of_this_process() -> None:
    held = environment.read_memory()
    assert set(held) == {"memory_bytes"}, "no GPU is used here"
    assert 10e6 < held["memory_bytes"] < 1e12


@pytest.mark.parametrize(("visible", "count"), [("", 0), ("-1", 0), ("0", 1), ("0,2", 2), ("GPU-a, GPU-b", 2)])
def test_the_devices_that_are_shown_are_counted(visible: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert environment.count_gpus() == count
