"""What class statistics beside a data set say, and a class that settings name and no label shows, before any task runs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adapt.data.class_statistics import SAMPLES_FILE, class_statistics, write_class_statistics
from adapt.data.layout import Frame, list_frames
from adapt.data.settings import DatasetSettings
from adapt.errors import SpecError
from experiments.class_pixels import read_class_pixels
from experiments.facts import WorkspaceFacts
from experiments.graph import expand
from experiments.load import load_experiment
from experiments.workspace import Workspace

TRAIN = DatasetSettings(type="camvid", split="train")
TEXT = """\
title: noise of named classes
datasets:
  frames: {type: camvid, split: train}
models:
  net: {config: cgnet_small}
stages:
  trained:
    kind: train
    model: net
    dataset: frames
    training: {iterations: 1000, augment: {crop: [8, 4]}}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three CamVid frames of 8x4 with their statistics: Sky in all, Building in the last one, no Pole."""
    root = tmp_path / "camvid"
    for folder in ("train", "trainannot"):
        (root / folder).mkdir(parents=True)
    for index in range(3):
        label = np.zeros((4, 8), np.uint8)
        label[0, : max(0, index - 1)] = 1
        Image.new("RGB", (8, 4)).save(root / "train" / f"0001TP_{index}.png")
        Image.fromarray(label).save(root / "trainannot" / f"0001TP_{index}.png")
    write_class_statistics(class_statistics(list_frames(TRAIN, root), TRAIN), root)
    return root


def read(root: Path, frames: tuple[Frame, ...] | None = None) -> tuple[int, ...] | None:
    known = read_class_pixels(list_frames(TRAIN, root) if frames is None else frames, TRAIN, root)
    return None if known is None else known.pixels


def test_the_pixels_are_those_of_the_frames(root: Path) -> None:
    frames = list_frames(TRAIN, root)
    assert read(root) == (95, 1, *[0] * 9)
    assert read(root, frames[:2]) == (64, *[0] * 10)


def test_a_file_that_does_not_tell_every_label_says_nothing(root: Path) -> None:
    for folder in ("train", "trainannot"):
        (root / folder / "0001TP_0.png").rename(root / folder / "0001TP_9.png")
    assert read(root) is None


def test_a_file_that_is_older_than_a_label_says_nothing(root: Path) -> None:
    os.utime(root / "trainannot" / "0001TP_1.png", (2**32, 2**32))
    assert read(root) is None


def test_a_file_that_cannot_be_read_or_is_not_there_says_nothing(root: Path) -> None:
    (root / SAMPLES_FILE).write_text("[{}]")
    assert read(root) is None
    (root / SAMPLES_FILE).unlink()
    assert read(root) is None


@pytest.mark.parametrize(
    ("lines", "key", "named"),
    [
        ("noise: {name: drop, rate: 0.2, background: Pole}", "noise", "`background` names 'Pole'"),
        ("noise: {name: flip, rate: 0.2, target: pair, pairs: {Pole: Sky}}", "noise", "`pairs` names 'Pole'"),
        (
            "correction: {name: adele, rule: {background: Pole}}",
            "correction.rule.background",
            "`correction.rule.background` names 'Pole'",
        ),
    ],
)
def test_a_class_that_never_occurs_is_refused_at_planning(
    write: Callable[..., Path], root: Path, lines: str, key: str, named: str
) -> None:
    def plan(lines: str) -> None:
        loaded = load_experiment(str(write(f"{TEXT}    {lines}\n")), "full")
        facts = WorkspaceFacts(loaded, Workspace(data=root.parent))
        assert len(expand(loaded, facts).nodes) == 1
        assert facts.problems == []

    with pytest.raises(SpecError) as caught:
        plan(lines)
    message = str(caught.value)
    assert f"test.yaml:12: stages.trained.{key}: " in message
    assert named in message
    assert f"no label of data set 'frames' (says {root / SAMPLES_FILE}: where it is wrong, delete it) holds" in message
    plan(lines.replace("Pole", "Building"))
    (root / SAMPLES_FILE).unlink()
    plan(lines)  # nobody has counted: the task refuses it
