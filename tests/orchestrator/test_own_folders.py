"""The example of docs/data.md, from two folders of one's own to a leaderboard: what users do first with their own data."""

from __future__ import annotations

import csv
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from orchestrator.record import read_record
from orchestrator.scoring import score_record

DOCS = Path(__file__).parents[2] / "docs" / "data.md"
CLASSES = ("road", "building", "vegetation", "person", "car")
SHOWN = (0, 2, 3)  # those that the drawn images show
# The example is for real images and hours.
SHORTENED = (
    "stages.adapted.training.iterations=3",
    "stages.adapted.training.augment.crop=[32,32]",
    "stages.adapted.method.rare_class={min_pixels: 30, min_crop_pixels: 15}",
)


def read_example() -> str:
    """Take the experiment out of the section on data of one's own."""
    section = DOCS.read_text().partition("## Your own data\n")[2].partition("\n## ")[0]
    (text,) = re.findall(r"```yaml\n(title:.*?)```", section, flags=re.DOTALL)
    return str(text)


def draw(root: Path, count: int, shade: float, with_labels: bool) -> None:
    """Draw upright stripes of the shown classes, 64x32, each in a colour of its own."""
    generator = np.random.default_rng(int(100 * shade))
    for index in range(count):
        label = np.repeat(generator.permutation(SHOWN), (24, 24, 16))[None].repeat(32, axis=0).astype(np.uint8)
        image = shade * 60 * (label[..., None] + [0.2, 0.6, 1.0]) + generator.normal(0, 5, (32, 64, 3))
        write(root / "images" / f"{index:02d}.png", np.clip(image, 0, 255))
        if with_labels:
            write(root / "labels" / f"{index:02d}.png", label)


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels.astype(np.uint8))


def list_files(root: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(root)): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in root.rglob("*")
    }


def test_the_example_is_short_and_needs_nothing_but_folders() -> None:
    text = read_example()
    assert len(text.splitlines()) <= 12
    example = yaml.safe_load(text)
    assert {data["root"] for data in example["datasets"].values()} == {
        "/data/simulator",
        "/data/camera",
        "/data/camera_test",
    }
    assert {tuple(data["classes"]) for data in example["datasets"].values()} == {CLASSES}
    assert example["models"] == {"network": {"config": "unet_small"}}, "this one needs no weight file"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_example_adapts_and_scores(tmp_path: Path, start_segshift: Callable[..., subprocess.Popen[str]]) -> None:
    data, store, file = tmp_path / "data", tmp_path / "store", tmp_path / "my.yaml"
    draw(data / "simulator", 4, 1.0, with_labels=True)
    draw(data / "camera", 3, 0.6, with_labels=False)  # no `labels` folder at all
    draw(data / "camera_test", 2, 0.6, with_labels=True)
    file.write_text(read_example().replace("/data/", f"{data}/"))
    before = list_files(data)

    process = start_segshift("sweep", file, "--no-servers", "--no-mlflow", "--store", store, "--cpus", "2", *SHORTENED)
    out, err = process.communicate(timeout=550)

    assert process.returncode == 0, out + err
    assert "2 tasks executed, 0 cached." in out
    assert list_files(data) == before

    records = {record.stage: record for record in map(read_record, (store / "tasks").glob("*/record.json"))}
    assert {stage: record.status for stage, record in records.items()} == {"adapted": "done", "scored": "done"}
    (cell,) = records["scored"].cells
    assert cell.confusion is not None
    seen = [sum(row) for row in cell.confusion]
    assert len(seen) == 5
    # Rare classes were drawn, for which classes are counted on the way.
    assert records["adapted"].settings["method"]["rare_class"]["min_pixels"] == 30
    assert [index for index, pixels in enumerate(seen) if pixels] == list(SHOWN)
    assert sum(seen) == 2 * 64 * 32

    (board,) = (store / "leaderboards").glob("*/leaderboard.csv")
    rows = {row["score"]: row for row in csv.DictReader(board.open())}
    assert set(rows) == {"mIoU", *(f"IoU/{name}" for name in CLASSES)}
    assert {(row["method"], row["rank"], row["runs"]) for row in rows.values()} == {("adapted", "1", "1")}
    assert float(rows["mIoU"]["mean"]) == pytest.approx(score_record(records["scored"])["miou"], abs=1e-6)
    assert 0 < float(rows["mIoU"]["mean"]) < 1
