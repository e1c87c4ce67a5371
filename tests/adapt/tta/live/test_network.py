"""Networks by folder and by config with weights; names and colours of their classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from adapt.data.catalog import CAMVID_CLASSES, CAMVID_PALETTE, CITYSCAPES_CLASSES, CITYSCAPES_PALETTE, make_palette
from adapt.errors import PrerequisiteError, SpecError
from adapt.model import ModelSettings
from adapt.openmmlab.checkpoint import save_artifact
from adapt.openmmlab.model import build_model, resolve_config
from adapt.tta.live.network import choose_palette, load_trained, load_with_weights


@pytest.fixture
def save(tmp_path: Path):
    """Save the weights of the small CGNet with some number of classes, and any meta."""

    def write(classes: int, meta: dict[str, Any] | None = None, prefix: str = "") -> Path:
        model = build_model(resolve_config(ModelSettings(config="cgnet_small"), classes), seed=3)
        weights = {prefix + key: value for key, value in model.state_dict().items()}
        torch.save({"state_dict": weights} | ({} if meta is None else {"meta": meta}), tmp_path / "w.pth")
        return tmp_path / "w.pth"

    return write


@pytest.mark.parametrize(
    ("count", "classes", "palette", "origin"),
    [
        (19, CITYSCAPES_CLASSES, CITYSCAPES_PALETTE, "guessed: 19 classes, as Cityscapes has"),
        (11, CAMVID_CLASSES, CAMVID_PALETTE, "guessed: 11 classes, as CamVid has"),
        (3, ("class 0", "class 1", "class 2"), make_palette(3), "not known: numbered"),
    ],
)
def test_classes_are_told_by_their_number(save, count: int, classes, palette, origin: str) -> None:
    network = load_with_weights("cgnet_small", save(count))
    assert (network.classes, network.palette, network.classes_from) == (classes, palette, origin)
    assert network.model.num_classes == count
    assert not network.model.training
    wanted = build_model(resolve_config(ModelSettings(config="cgnet_small"), count), seed=3).state_dict()
    assert all(torch.equal(value, wanted[key]) for key, value in network.model.state_dict().items())


@pytest.mark.parametrize(
    "meta",
    [
        {"dataset_meta": {"classes": ("dog", "cat"), "palette": [[1, 2, 3], [4, 5, 6]]}},
        {"CLASSES": ("dog", "cat"), "PALETTE": [[1, 2, 3], [4, 5, 6]]},
    ],
)
def test_mmengines_names_and_colours_are_taken(save, meta) -> None:
    network = load_with_weights("cgnet_small", save(2, meta))
    assert network.classes == ("dog", "cat")
    assert network.palette == ((1, 2, 3), (4, 5, 6))
    assert network.classes_from == "checkpoint"


def test_names_without_colours(save) -> None:
    network = load_with_weights("cgnet_small", save(2, {"classes": ["Sky", "Road"]}))
    assert network.palette == (CITYSCAPES_PALETTE[10], CITYSCAPES_PALETTE[0])


def test_weights_of_a_wrapped_network(save) -> None:
    assert len(load_with_weights("cgnet_small", save(5, prefix="module.")).classes) == 5


def test_weights_that_do_not_fit(save, tmp_path: Path) -> None:
    with pytest.raises(PrerequisiteError, match="do not fit"):
        load_with_weights("unet_small", save(19))
    with pytest.raises(PrerequisiteError, match="head has 5 classes and the network's 2"):
        load_with_weights("cgnet_small", save(5, {"classes": ["a", "b"]}))
    torch.save({"state_dict": {"some.weight": torch.zeros(1)}}, tmp_path / "other.pth")
    with pytest.raises(SpecError, match="does not tell how many classes"):
        load_with_weights("cgnet_small", tmp_path / "other.pth")
    with pytest.raises(SpecError, match="cgnet_small"):
        load_with_weights("cgnet_smal", save(19))


def test_a_trained_network(tmp_path: Path, model_config) -> None:
    model = build_model(model_config, seed=1)
    save_artifact(tmp_path / "task", model_config, model, CAMVID_CLASSES)
    network = load_trained(tmp_path / "task")
    assert (network.classes, network.palette, network.classes_from) == (CAMVID_CLASSES, CAMVID_PALETTE, "checkpoint")
    assert network.weights == tmp_path / "task" / "checkpoint.pth"
    with pytest.raises(PrerequisiteError, match="holds no trained network"):
        load_trained(tmp_path)


def test_palettes() -> None:
    assert choose_palette(["sky", "ROAD"]) == (CITYSCAPES_PALETTE[10], CITYSCAPES_PALETTE[0])
    assert choose_palette(["Sky", "Pavement"]) == (CAMVID_PALETTE[0], CAMVID_PALETTE[4])
    assert choose_palette(["sky", "unicorn"]) == make_palette(2)
    assert len(set(choose_palette([f"class {n}" for n in range(150)]))) == 150
