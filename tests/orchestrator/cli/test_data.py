"""`data`: prepare, check and noise on a small miniature in the real layouts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapt.data.miniature.settings import MiniatureSettings
from adapt.data.miniature.write import write_miniature
from adapt.noise.settings import FlipSettings


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("miniature") / "m"
    counts = {"source_train": 2, "target_train": 2, "target_val": 2, "acdc_per_condition": 0, "clip_frames": 0}
    write_miniature(root, MiniatureSettings(size=(64, 32), **counts))
    return root


@pytest.fixture
def gta(drawn: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(drawn / "gta", tmp_path / "gta"))


def test_prepare_converts_once_and_check_is_content(segshift, gta: Path) -> None:
    first = segshift("data", "prepare", "gta", "--root", gta, "--workers", "1")
    assert first.code == 0
    assert "2 labels converted, 0 were up to date, 2 counted" in first.out
    second = segshift("data", "prepare", "gta", "--root", gta, "--workers", "1")
    assert "0 labels converted, 2 were up to date" in second.out
    checked = segshift("data", "check", "gta", "--root", gta, "--workers", "1")
    assert (checked.code, checked.out.strip()) == (0, f"{gta}: everything is in order.")


def test_check_names_what_is_wrong(segshift, gta: Path) -> None:
    segshift("data", "prepare", "gta", "--root", gta, "--workers", "1")
    image = sorted((gta / "images").rglob("*.png"))[0]
    image.write_bytes(image.read_bytes()[:100])
    outcome = segshift("data", "check", "gta", "--root", gta, "--workers", "1")
    assert outcome.code == 1
    assert image.name in outcome.out


def test_a_folder_that_is_no_data_set(segshift, tmp_path: Path) -> None:
    outcome = segshift("data", "prepare", "gta", "--root", tmp_path, "--workers", "1")
    assert outcome.code == 2
    assert "Traceback" not in outcome.err
    assert str(tmp_path) in outcome.err


@pytest.mark.parametrize("action", ["prepare", "check"])
def test_a_folder_of_ones_own_needs_neither(segshift, tmp_path: Path, action: str) -> None:
    outcome = segshift("data", action, "folder", "--root", tmp_path, "--workers", "1")
    assert outcome.code == 2
    assert outcome.err.startswith("segshift: 'folder' is a data set of your own")
    assert "nothing to prepare" in outcome.err
    assert "`segshift plan FILE` then names" in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_type_is_refused(segshift, tmp_path: Path) -> None:
    outcome = segshift("data", "check", "kitti", "--root", tmp_path)
    assert outcome.code == 2
    assert "cityscapes" in outcome.err


# noise


@pytest.fixture
def noisy(segshift, gta: Path, tmp_path: Path) -> Callable[..., Any]:
    """Run `data noise` on the prepared miniature."""
    segshift("data", "prepare", "gta", "--root", gta, "--workers", "1")

    def run(*arguments: str, out: str = "noisy", type: str = "gta", root: Path = gta) -> Any:
        common = ("data", "noise", "--type", type, "--root", root, "--out", tmp_path / out, "--workers", "1")
        return segshift(*common, *arguments)

    return run


def test_noise_is_written_and_told(noisy, gta: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in gta.rglob("*") if path.is_file()}
    outcome = noisy("--model", "flip", "--rate", "0.5", "--seed", "3", "unit=pixel")
    assert (outcome.code, outcome.err) == (0, "")
    manifest = json.loads((tmp_path / "noisy" / "manifest.json").read_text())
    assert manifest["noise"] == FlipSettings(rate=0.5, seed=3, unit="pixel").model_dump(mode="json")
    assert manifest["dataset"]["split"] == "train"
    totals = manifest["totals"]
    assert (
        f"2 labels with noise in {tmp_path / 'noisy'}: {totals['hit']} of {totals['units']} units hit (50.0%),"
        in outcome.out
    )
    assert "50.0" in outcome.out.splitlines()[1]
    assert {path: path.read_bytes() for path in gta.rglob("*") if path.is_file()} == before
    # The folder is a data set of its own: noise upon noise.
    classes = ",".join(manifest["read_as"]["classes"])
    again = noisy(
        "--classes", classes, "--model", "drop", "--rate", "1", out="twice", type="folder", root=tmp_path / "noisy"
    )
    assert again.code == 0, again.err
    assert "2 labels with noise" in again.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model", "flip", "--rate", "1.5"), "--rate: noise.rate: input should be less than or equal to 1 (got 1.5)"),
        (("--model", "flop", "--rate", "0.5"), "command line: noise: unknown name 'flop'. Did you mean 'flip'?"),
        (("--model", "drop", "--rate", "0.5", "max_sahre=1"), "unknown key 'max_sahre'. Did you mean 'max_share'?"),
        (("--model", "drop", "--rate", "0.5", "rate=0.1"), "override 'rate=0.1': give --rate instead."),
        (("--model", "drop", "--rate", "0.5", "--seed", "-1"), "--seed: noise.seed"),
        (("--model", "drop", "--rate", "0.5", "background=rode"), "The closest is 'road'."),
        (("--model", "drop", "--rate", "0.5", "--split", "val"), "'val' is no split of data set type 'gta'"),
        (("--model", "drop", "--rate", "0.5", "--classes", "a"), "--classes is for type folder"),
    ],
)
def test_wrong_noise_is_refused(noisy, tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    outcome = noisy(*arguments)
    assert outcome.code == 2
    assert message in outcome.err
    assert not (tmp_path / "noisy").exists()


def test_a_folder_needs_names_for_its_classes(noisy) -> None:
    outcome = noisy("--model", "drop", "--rate", "0.5", type="folder")
    assert outcome.code == 2
    assert "--classes road,car,person" in outcome.err
    twice = noisy("--model", "drop", "--rate", "0.5", "--classes", "a,a", type="folder")
    assert twice.code == 2
    assert "two classes have the same name" in twice.err


def test_noise_lists_what_it_could_not_read(noisy, gta: Path, tmp_path: Path) -> None:
    label = sorted((gta / "labels").rglob("*_labelTrainIds.png"))[0]
    label.write_bytes(label.read_bytes()[:100])
    outcome = noisy("--model", "drop", "--rate", "0.5")
    assert outcome.code == 1
    assert f"  {label}: Cannot read" in outcome.out
    assert "1 labels with noise" in outcome.out


def test_noise_that_hits_nothing_is_told(noisy) -> None:
    outcome = noisy("--model", "drop", "--rate", "0.5", "max_share=0.0000001")
    assert outcome.code == 0
    assert "0 of 0 units hit (none)" in outcome.out
    assert "Nothing could be hit" in outcome.out


def test_a_class_that_never_occurs_is_refused_before_anything_is_written(noisy, tmp_path: Path) -> None:
    outcome = noisy("--model", "flip", "--rate", "0.5", "target=pair", "pairs={truck: bus}")
    assert outcome.code == 2
    assert "`pairs` names 'truck', which no label of data set type 'gta', split 'train' holds" in outcome.err
    assert not (tmp_path / "noisy").exists()


def test_other_noise_needs_another_folder(noisy) -> None:
    assert noisy("--model", "drop", "--rate", "0.5").code == 0
    outcome = noisy("--model", "drop", "--rate", "0.6")
    assert outcome.code == 2
    assert "made otherwise" in outcome.err
