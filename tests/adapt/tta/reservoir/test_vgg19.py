"""The first layers of VGG19 against the same layers put together by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from adapt.errors import PrerequisiteError
from adapt.tta.reservoir.vgg19 import load_vgg19_start


def build_features():
    """torchvision's `vgg19().features[:8]`, with the in-place ReLU that makes its outputs hard to read."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 64, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(64, 64, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2, 2),
        nn.Conv2d(64, 128, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(128, 128, 3, padding=1),
    )


@pytest.fixture
def weights(tmp_path):
    content = {f"features.{name}": value for name, value in build_features().state_dict().items()}
    content["classifier.6.bias"] = torch.zeros(1000)
    torch.save(content, tmp_path / "vgg19.pth")
    return tmp_path / "vgg19.pth"


def test_gives_the_outputs_2_5_and_7_before_the_relu(weights):
    images = torch.randn(1, 3, 9, 10)
    outputs = load_vgg19_start(weights)(images)
    features = build_features()
    with torch.no_grad():
        for place, output in zip((2, 5, 7), outputs, strict=True):
            assert torch.allclose(output, features[: place + 1](images), atol=1e-5)
    assert [output.shape[1] for output in outputs] == [64, 128, 128]
    assert all((output < 0).any() for output in outputs)
    assert not any(output.requires_grad for output in outputs)


def test_refuses_weights_that_are_missing_or_of_another_network(weights, tmp_path):
    with pytest.raises(PrerequisiteError, match="does not exist"):
        load_vgg19_start(tmp_path / "none.pth")
    content = torch.load(weights, weights_only=True)
    content["features.5.weight"] = torch.zeros(128, 64, 1, 1)
    del content["features.7.bias"]
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(PrerequisiteError, match=r"features\.5\.weight, features\.7\.bias\. Give a state dict"):
        load_vgg19_start(tmp_path / "other.pth")
