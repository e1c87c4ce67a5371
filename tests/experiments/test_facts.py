"""Data sets and models are bound to the bytes on disk; what is missing is a problem, and no exception."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from adapt.errors import SpecError
from experiments.facts import MISSING, WorkspaceFacts
from experiments.graph import expand
from experiments.load import load_experiment
from experiments.workspace import Workspace

Write = Callable[..., Path]
Bind = Callable[..., WorkspaceFacts]

TEXT = """\
title: facts
datasets:
  val: {type: camvid, split: val}
  train: {type: camvid, split: train}
models:
  net: {config: cgnet_small, weights: net.pth}
  bare: {config: cgnet_small}
stages:
  clean: {kind: evaluate, model: bare, dataset: val}
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two CamVid splits in the published layout; fingerprints read names and sizes only."""
    root = tmp_path / "data"
    for split, name in (("train", "0001TP_006690"), ("val", "0016E5_07959"), ("val", "0016E5_07961")):
        for folder in (split, f"{split}annot"):
            (root / "camvid" / folder).mkdir(parents=True, exist_ok=True)
            (root / "camvid" / folder / f"{name}.png").write_bytes(b"pixels")
    return root


def fingerprints(bind: Bind, data: Path) -> tuple[str, str]:
    facts = bind(TEXT, Workspace(data=data))
    found = facts.bind_dataset("train", True).fingerprint, facts.bind_dataset("val", True).fingerprint
    assert facts.problems == []
    return found


def test_a_file_that_grows_changes_the_fingerprint_of_its_split_alone(bind: Bind, data: Path) -> None:
    train, val = fingerprints(bind, data)
    assert train != val
    assert (train, val) == fingerprints(bind, data)
    (data / "camvid" / "valannot" / "0016E5_07961.png").write_bytes(b"more pixels")
    train_after, val_after = fingerprints(bind, data)
    assert train_after == train
    assert val_after != val


def test_a_new_frame_changes_the_fingerprint(bind: Bind, data: Path) -> None:
    train, val = fingerprints(bind, data)
    for folder in ("train", "trainannot"):
        (data / "camvid" / folder / "0001TP_006720.png").write_bytes(b"pixels")
    train_after, val_after = fingerprints(bind, data)
    assert train_after != train
    assert val_after == val


def test_the_place_and_age_of_data_do_not_matter(bind: Bind, data: Path, tmp_path: Path) -> None:
    before = fingerprints(bind, data)
    moved = tmp_path / "elsewhere" / "deeper"
    shutil.copytree(data, moved)
    for file in moved.rglob("*.png"):
        os.utime(file, (0, 0))
    assert fingerprints(bind, moved) == before


def test_a_data_set_is_read_once(bind: Bind, data: Path) -> None:
    facts = bind(TEXT, Workspace(data=data))
    before = facts.bind_dataset("val", True)
    shutil.rmtree(data)
    assert facts.bind_dataset("val", True) is before


def test_a_target_needs_no_labels(bind: Bind, data: Path) -> None:
    shutil.rmtree(data / "camvid" / "trainannot")
    facts = bind(TEXT, Workspace(data=data))
    assert facts.bind_dataset("train", False).fingerprint != MISSING
    assert facts.problems == []
    assert facts.bind_dataset("train", True).fingerprint == MISSING
    assert len(facts.problems) == 1


def test_a_missing_root_is_a_problem_with_its_remedy(bind: Bind, tmp_path: Path) -> None:
    facts = bind(TEXT, Workspace())
    assert facts.bind_dataset("val", True).fingerprint == MISSING
    facts.bind_dataset("val", True)
    assert facts.problems == [
        "data set 'val': no folder for camvid is configured. Give one folder that holds camvid/ by DATA=/path "
        "(or --data, SEGSHIFT_DATA), or write `data: {camvid: /path}` in segshift.yaml."
    ]
    facts = bind(TEXT, Workspace(data=tmp_path))
    facts.bind_dataset("val", True)
    assert facts.problems[0].startswith(f"data set 'val': there is no folder {tmp_path / 'camvid'}. Give one folder")


def test_a_damaged_root_is_a_problem_that_names_the_file(bind: Bind, data: Path) -> None:
    (data / "camvid" / "valannot" / "0016E5_07961.png").unlink()
    facts = bind(TEXT, Workspace(data=data))
    assert facts.bind_dataset("val", True).fingerprint == MISSING
    (problem,) = facts.problems
    assert problem.startswith("data set 'val': ")
    assert "0016E5_07961.png" in problem


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("{type: camvid, split: val}", "{type: camvit, split: val}", "'camvit' is no data set type"),
        ("{type: camvid, split: val}", "{type: camvid, split: vall}", "'vall' is no split of data set type 'camvid'"),
        ("{type: camvid, split: val}", "{type: camvid, split: val, subset: [0001TQ]}", "'0001TQ' is no subset"),
    ],
)
def test_an_unknown_type_split_or_subset_has_the_line_of_the_data_set(
    write: Write, data: Path, old: str, new: str, part: str
) -> None:
    path = write(TEXT.replace(old, new))
    loaded = load_experiment(str(path), "full")
    with pytest.raises(SpecError) as caught:
        expand(loaded, WorkspaceFacts(loaded, Workspace(data=data)))
    assert str(caught.value).startswith(f"{path}:3: datasets.val: {part}")
    assert "The closest is '" in str(caught.value)


def test_an_unknown_config_has_the_line_of_the_model(write: Write, data: Path) -> None:
    path = write(TEXT.replace("bare: {config: cgnet_small}", "bare: {config: cgnet_smal}"))
    loaded = load_experiment(str(path), "full")
    with pytest.raises(SpecError) as caught:
        expand(loaded, WorkspaceFacts(loaded, Workspace(data=data)))
    assert str(caught.value).startswith(f"{path}:7: models.bare: No model config is called 'cgnet_smal'")
    assert "cgnet_small" in str(caught.value)


def test_a_model_is_bound_to_the_bytes_of_its_weights(bind: Bind, tmp_path: Path) -> None:
    (tmp_path / "net.pth").write_bytes(b"some weights")
    facts = bind(TEXT, Workspace(weights=tmp_path))
    bound = facts.bind_model("net")
    assert bound.weights_sha256 == hashlib.sha256(b"some weights").hexdigest()
    assert facts.find_weights("net.pth") == tmp_path / "net.pth"
    assert facts.bind_model("bare").weights_sha256 is None
    assert facts.bind_model("bare").config_sha256 == bound.config_sha256
    assert facts.problems == []


def test_missing_weights_are_one_problem(bind: Bind, tmp_path: Path) -> None:
    facts = bind(TEXT, Workspace(weights=tmp_path))
    assert facts.bind_model("net").weights_sha256 == MISSING
    facts.bind_model("net")
    (problem,) = facts.problems
    assert problem.startswith(f"model 'net': weight file 'net.pth' was not found (looked in: {tmp_path / 'net.pth'})")


# A data set of one's own

OWN = """\
title: own
datasets:
  ours: {type: folder, root: ROOT, classes: [road, car]}
models:
  net: {config: cgnet_small}
stages:
  trained: {kind: train, model: net, dataset: ours, training: {iterations: 1, augment: {crop: [24, 16]}}}
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    root = tmp_path / "own"
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
        Image.new("L", (32, 20)).save(root / folder / "1.png")
    return root


def test_a_folder_is_found_by_its_own_root_and_bound_without_it(bind: Bind, own: Path, tmp_path: Path) -> None:
    facts = bind(OWN.replace("ROOT", str(own)), Workspace())
    bound = facts.bind_dataset("ours", True)
    assert facts.problems == []
    assert facts.find_root("ours") == own
    moved = shutil.move(own, tmp_path / "moved")
    again = bind(OWN.replace("ROOT", str(moved)), Workspace()).bind_dataset("ours", True)
    assert again.fingerprint == bound.fingerprint != MISSING
    assert again.settings.model_dump() == bound.settings.model_dump()


def test_a_task_of_a_folder_is_the_same_wherever_it_lies(write: Write, own: Path, tmp_path: Path) -> None:
    def key(root: Path, change: tuple[str, str] = ("", "")) -> str:
        loaded = load_experiment(str(write(OWN.replace("ROOT", str(root)).replace(*change))), "full")
        (task,) = expand(loaded, WorkspaceFacts(loaded, Workspace())).tasks.values()
        return task.key

    before = key(own)
    assert key(own, ("[road, car]", "[road, bus]")) != before
    assert key(own, ("classes", 'label_map: {"0": 1}, classes')) != before
    assert key(Path(shutil.move(own, tmp_path / "moved"))) == before


def test_folders_of_other_classes_do_not_go_together(write: Write, own: Path) -> None:
    more = f"  theirs: {{type: folder, root: {own}, classes: [road, bus]}}\nmodels:"
    text = OWN.replace("ROOT", str(own)).replace("models:", more)
    text += "  scored: {kind: evaluate, checkpoint: '${trained.checkpoint}', dataset: theirs}\n"
    loaded = load_experiment(str(write(text)), "full")
    with pytest.raises(
        SpecError, match=r"'theirs' has 2 classes \(road, bus, \.\.\.\) but the network of trained has 2"
    ):
        expand(loaded, WorkspaceFacts(loaded, Workspace()))


def test_a_folder_without_a_root_lies_where_other_data_sets_do(bind: Bind, own: Path) -> None:
    text = OWN.replace("root: ROOT, ", "")
    assert bind(text, Workspace(data={"folder": own})).find_root("ours") == own
    facts = bind(text, Workspace())
    assert facts.bind_dataset("ours", True).fingerprint == MISSING
    assert facts.problems == [
        "data set 'ours': it has no `root`: the folder that holds its images and labels. Write `root: /path`."
    ]


def test_a_root_that_is_not_there_is_a_problem(bind: Bind, tmp_path: Path) -> None:
    facts = bind(OWN.replace("ROOT", str(tmp_path / "gone")), Workspace())
    assert facts.bind_dataset("ours", True).fingerprint == MISSING
    assert facts.problems == [f"data set 'ours': its root {tmp_path / 'gone'} is not a folder. Correct `root`."]


def test_a_crop_that_does_not_fit_is_refused_with_its_line(write: Write, own: Path) -> None:
    def plan(crop: str) -> WorkspaceFacts:
        loaded = load_experiment(str(write(OWN.replace("ROOT", str(own)).replace("[24, 16]", crop))), "full")
        facts = WorkspaceFacts(loaded, Workspace())
        assert len(expand(loaded, facts).tasks) == 1
        return facts

    assert plan("[32, 20]").problems == []
    assert plan("null").problems == []
    for crop, named in (("[33, 20]", "33x20"), ("[32, 21]", "32x21"), ("[512, 512]", "512x512")):
        with pytest.raises(SpecError) as caught:
            plan(crop)
        message = str(caught.value)
        assert "test.yaml:7: stages.trained.training: data set 'ours': " in message
        assert f"The crop of {named} pixels is larger than the frames" in message
        assert "which are 32x20" in message
    (own / "images" / "1.png").write_bytes(b"no image")
    (problem,) = plan("[24, 16]").problems
    assert problem.startswith("data set 'ours': Cannot read the size of")


SHARED = """\
title: who shares frames
datasets:
  val: {type: camvid, split: val}
  all: {type: camvid, split: [train, val]}
  third: {type: camvid, split: val, every: 3}
  train: {type: camvid, split: train}
  absent: {type: cityscapes, split: val}
models:
  bare: {config: cgnet_small}
stages:
  clean: {kind: evaluate, model: bare, dataset: val}
"""


def test_data_sets_share_frames_when_they_hold_the_same_image(bind: Bind, data: Path) -> None:
    """CamVid's train and val hold different files here, and one of another folder may be a link to one of them."""
    facts = bind(SHARED, Workspace(data=data))
    for name in ("val", "all", "third", "train", "absent"):
        facts.bind_dataset(name, True)
    found = {
        (one, other)
        for one in ("val", "train", "absent")
        for other in ("val", "all", "third", "train", "absent")
        if facts.share_frames(one, other)
    }
    assert found == {("val", "val"), ("val", "all"), ("val", "third"), ("train", "all"), ("train", "train")}
    assert facts.share_frames("all", "val")


def test_a_link_to_an_image_is_that_image(bind: Bind, data: Path) -> None:
    (data / "camvid" / "train" / "0001TP_006690.png").unlink()
    (data / "camvid" / "train" / "0001TP_006690.png").symlink_to(data / "camvid" / "val" / "0016E5_07959.png")
    facts = bind(SHARED, Workspace(data=data))
    facts.bind_dataset("val", True)
    facts.bind_dataset("train", True)
    assert facts.share_frames("val", "train")


def test_the_images_of_a_data_set_are_resolved_once(bind: Bind, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two splits of one and two frames, asked for ever again."""
    facts = bind(TEXT, Workspace(data=data))
    for name in ("train", "val"):
        facts.bind_dataset(name, True)
    asked: list[object] = []
    real = os.path.realpath
    monkeypatch.setattr("os.path.realpath", lambda path: asked.append(path) or real(path))
    for _ in range(3):
        assert not facts.share_frames("train", "val")
        assert facts.share_frames("val", "val")
    assert len(asked) == 3


# Numbers of frames


def test_frames_are_counted_as_they_are_listed(bind: Bind, data: Path) -> None:
    facts = bind(TEXT.replace("split: train}", "split: [train, val], every: 2}"), Workspace(data=data))
    assert facts.count_frames("val") is None
    for name in ("val", "train"):
        facts.bind_dataset(name, True)
    assert (facts.count_frames("val"), facts.count_frames("train")) == (2, 2)


def test_real_data_is_no_miniature(bind: Bind, data: Path) -> None:
    facts = bind(TEXT, Workspace(data=data))
    assert facts.miniature_root is None
    assert facts.find_root("val") == data / "camvid"
