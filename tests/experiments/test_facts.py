"""Data sets and models are bound to the bytes on disk; what is missing is a problem, and no exception."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from adapt.data.layout import list_frames
from adapt.data.miniature.settings import MiniatureSettings
from adapt.data.miniature.write import write_miniature
from adapt.errors import SpecError
from experiments.facts import MISSING, WorkspaceFacts, hash_config
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

MINI = """\
title: miniature
datasets:
  val: {type: cityscapes, split: val}
models:
  bare: {config: cgnet_small}
miniature: {seed: 0}
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


@pytest.fixture
def bind(write: Write) -> Bind:
    def _bind(text: str, workspace: Workspace) -> WorkspaceFacts:
        return WorkspaceFacts(load_experiment(str(write(text)), "full"), workspace)

    return _bind


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


# The miniature


def miniature_root(bind: Bind, settings: str, store: Path) -> Path:
    root = bind(MINI.replace("{seed: 0}", settings), Workspace(store=store)).miniature_root
    assert root is not None
    return root


def test_the_miniature_is_known_by_its_settings_and_needs_no_file(bind: Bind, tmp_path: Path) -> None:
    facts = bind(MINI, Workspace(store=tmp_path / "store"))
    root = facts.miniature_root
    assert root is not None
    assert root.parent == tmp_path / "store" / "miniature"
    assert facts.find_root("val") == root / "cityscapes"
    assert facts.bind_dataset("val", True).fingerprint == f"miniature-{root.name}"
    assert facts.problems == []
    assert not (tmp_path / "store").exists()


def test_other_settings_are_another_miniature(bind: Bind, tmp_path: Path) -> None:
    assert miniature_root(bind, "{seed: 0}", tmp_path) == miniature_root(bind, "{}", tmp_path)
    names = {
        miniature_root(bind, settings, tmp_path).name
        for settings in ("{seed: 0}", "{seed: 1}", "{size: [96, 48]}", "{source_train: 3}", "{clip_frames: 1}")
    }
    assert len(names) == 5
    assert miniature_root(bind, "{}", tmp_path).name == miniature_root(bind, "{}", tmp_path / "other").name


def test_another_version_is_another_miniature(bind: Bind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = miniature_root(bind, "{}", tmp_path)
    monkeypatch.setattr("experiments.facts.MINIATURE_VERSION", 99)
    assert miniature_root(bind, "{}", tmp_path) != before
    assert MiniatureSettings().seed == 0


def test_real_data_is_no_miniature(bind: Bind, data: Path) -> None:
    facts = bind(TEXT, Workspace(data=data))
    assert facts.miniature_root is None
    assert facts.find_root("val") == data / "camvid"


def test_a_type_that_the_miniature_lacks_is_refused(bind: Bind) -> None:
    facts = bind(MINI.replace("cityscapes", "camvid"), Workspace())
    with pytest.raises(SpecError, match="the miniature holds no data set of type 'camvid'"):
        facts.bind_dataset("val", True)


# Model configurations


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_config_is_hashed_with_all_that_it_inherits(write: Write) -> None:
    root, middle, leaf = "a = 1\n", "_base_ = ['../base/root.py']\nb = 2\n", "c = 3\n_base_ = 'own/middle.py'\n"
    write(root, "base/root.py")
    write(middle, "own/middle.py")
    path = write(leaf, "leaf.py")
    assert hash_config(path) == sha(leaf + sha(middle + sha(root)))
    write("a = 2\n", "base/root.py")
    assert hash_config(path) == sha(leaf + sha(middle + sha("a = 2\n")))


def test_several_bases_are_hashed_in_their_order(write: Write) -> None:
    for name in ("x", "y"):
        write(f"{name} = 1\n", f"{name}.py")
    leaf = "_base_ = ['./x.py', './y.py']\n"
    assert hash_config(write(leaf, "leaf.py")) == sha(leaf + sha("x = 1\n") + sha("y = 1\n"))


def test_a_config_without_base_is_its_bytes(write: Write) -> None:
    text = "model = dict(_base_='x.py')  # a key of that name is no base\n"
    assert hash_config(write(text, "leaf.py")) == sha(text)


@pytest.mark.parametrize("text", ["a = (\n", "_base_ = name\n", "_base_ = ['no/such.py']\n"])
def test_a_config_that_cannot_be_followed_is_refused(write: Write, text: str) -> None:
    path = write(text, "leaf.py")
    with pytest.raises(SpecError, match=f"model config {path}"):
        hash_config(path)


def test_a_config_with_read_base_is_refused_since_its_bases_cannot_be_hashed(tmp_path: Path) -> None:
    config = tmp_path / "lazy.py"
    config.write_text("from mmengine.config import read_base\nwith read_base():\n    from .base import *\n")
    with pytest.raises(SpecError, match="read_base"):
        hash_config(config)


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


def test_the_miniature_tells_shared_frames_from_its_settings(bind: Bind, tmp_path: Path) -> None:
    names = {
        "fog": "{type: acdc, split: val, subset: [fog]}",
        "night": "{type: acdc, split: val, subset: [night]}",
        "both": "{type: acdc, split: [train, val], subset: [fog, night]}",
        "every": "{type: acdc, split: val}",
        "other": "{type: acdc, split: train}",
        "city": "{type: cityscapes, split: val}",
    }
    text = MINI.replace(
        "  val: {type: cityscapes, split: val}", "\n".join(f"  {name}: {value}" for name, value in names.items())
    ).replace("dataset: val", "dataset: city")
    facts = bind(text, Workspace(store=tmp_path))
    found = {(one, other) for one in names for other in names if one < other and facts.share_frames(one, other)}
    assert found == {
        ("both", "every"),
        ("both", "fog"),
        ("both", "night"),
        ("both", "other"),
        ("every", "fog"),
        ("every", "night"),
    }
    assert all(facts.share_frames(other, one) for one, other in found)
    assert all(facts.share_frames(name, name) for name in names)


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


@pytest.mark.parametrize(
    "dataset",
    [
        "{type: gta, split: train, every: 2}",
        "{type: synthia, split: train}",
        "{type: cityscapes, split: train}",
        "{type: cityscapes, split: [train, val], every: 3}",
        "{type: acdc, split: val}",
        "{type: acdc, split: train, subset: [fog, night], every: 3}",
    ],
)
def test_frames_of_the_miniature_are_counted_before_they_are_there(bind: Bind, tmp_path: Path, dataset: str) -> None:
    size = "{size: [32, 32], source_train: 3, target_train: 4, target_val: 1, acdc_per_condition: 2, clip_frames: 0}"
    text = MINI.replace("{type: cityscapes, split: val}", dataset).replace("{seed: 0}", size)
    facts = bind(text, Workspace(store=tmp_path))
    counted = facts.count_frames("val")
    assert facts.find_class_pixels("val") is None
    assert not list(tmp_path.glob("miniature"))
    settings, miniature = facts._loaded.settings.datasets["val"], facts._loaded.settings.miniature
    assert miniature is not None
    write_miniature(tmp_path / "made", miniature)
    frames = list_frames(settings, tmp_path / "made" / settings.type, require_labels=False)
    assert counted == len(frames)


def test_a_miniature_without_a_frame_is_left_to_its_task(bind: Bind) -> None:
    assert bind(MINI.replace("{seed: 0}", "{target_val: 0}"), Workspace()).count_frames("val") is None
