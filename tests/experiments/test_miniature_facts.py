"""The miniature is known by its settings: where it lies, what it shares and how many frames it has, before it is there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from adapt.data.layout import list_frames
from adapt.data.miniature.settings import MiniatureSettings
from adapt.data.miniature.write import write_miniature
from adapt.errors import SpecError
from experiments.facts import WorkspaceFacts
from experiments.workspace import Workspace

Bind = Callable[..., WorkspaceFacts]

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


def test_a_type_that_the_miniature_lacks_is_refused(bind: Bind) -> None:
    facts = bind(MINI.replace("cityscapes", "camvid"), Workspace())
    with pytest.raises(SpecError, match="the miniature holds no data set of type 'camvid'"):
        facts.bind_dataset("val", True)


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
