"""The style vector: the official numbers, a naive loop, and both extractors."""

from __future__ import annotations

import math
import statistics
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from adapt.errors import PrerequisiteError, SpecError
from adapt.tta.reservoir.settings import StyleExtractorSettings
from adapt.tta.reservoir.style import build_extractor, log_variance
from adapt.tta.reservoir.vgg19 import Vgg19Start


def test_matches_the_official_implementation():
    place = torch.arange(2 * 3 * 4 * 5, dtype=torch.float64)
    features = (2 * torch.sin(0.7 * place + 0.013 * place**2 + 0.2)).reshape(2, 3, 4, 5)
    assert log_variance(features, eps=0.0).tolist() == pytest.approx(
        [0.7268552385, 0.8243346565, 0.6498884865], abs=1e-8
    )


def test_equals_a_naive_loop_and_a_constant_channel_is_finite():
    torch.manual_seed(0)
    features = torch.randn(2, 3, 2, 4, dtype=torch.float64)
    features[:, 1] = 5.0
    expected = [math.log(statistics.variance(features[:, channel].flatten().tolist()) + 1e-3) for channel in range(3)]
    assert log_variance(features, eps=1e-3).tolist() == pytest.approx(expected, abs=1e-12)
    assert expected[1] == pytest.approx(math.log(1e-3))


def test_refuses_features_of_a_single_pixel():
    with pytest.raises(SpecError, match="Lower `stride`"):
        log_variance(torch.ones(1, 3, 1, 1), eps=1e-3)
    assert log_variance(torch.ones(1, 3, 1, 2), eps=1.0).tolist() == [0, 0, 0]


def test_early_joins_the_layers_and_sees_every_stride_th_pixel(toy_net, inputs):
    net = toy_net()
    settings = StyleExtractorSettings(layers=2, stride=2, eps=1e-6)
    style = build_extractor(settings, net, nn.Module.__call__)(inputs[0])
    net.eval()
    with torch.no_grad():
        first = net[0](inputs[0][:, :, [0, 2, 4]][..., [0, 2, 4, 6]])
        second = net[4](torch.relu(net[1](first)))
    expected = [
        math.log(statistics.variance(layer[0, channel].flatten().tolist()) + 1e-6)
        for layer in (first, second)
        for channel in range(layer.shape[1])
    ]
    assert style.tolist() == pytest.approx(expected, abs=1e-9)
    assert len(style) == 4 + 5


@pytest.mark.parametrize("is_rgb", [True, False])
def test_vgg19_sees_the_segmentors_images_in_imagenets_colours(tmp_path, is_rgb):
    torch.manual_seed(0)
    network = Vgg19Start()
    torch.save(network.state_dict(), tmp_path / "vgg19.pth")
    model = nn.Conv2d(3, 2, 1)
    model.data_preprocessor = SimpleNamespace(
        channel_conversion=is_rgb,
        _enable_normalize=True,
        mean=torch.tensor([100.0, 110.0, 120.0]).view(3, 1, 1),
        std=torch.tensor([2.0, 3.0, 4.0]).view(3, 1, 1),
    )
    settings = StyleExtractorSettings(name="vgg19", weights="vgg19.pth", stride=1)
    extract = build_extractor(settings, model, nn.Module.__call__, tmp_path / "vgg19.pth")
    pixels = torch.randint(0, 256, (1, 3, 8, 8)).float()  # RGB
    given = pixels if is_rgb else pixels.flip(1)
    style = extract((given - model.data_preprocessor.mean) / model.data_preprocessor.std)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():
        outputs = network((pixels / 255 - mean.view(3, 1, 1)) / std.view(3, 1, 1))
    expected = torch.cat([torch.log(output[0].flatten(1).var(dim=1) + 1e-8) for output in outputs])
    assert style.shape == (320,)
    assert torch.allclose(style, expected, atol=1e-4)


def test_vgg19_needs_its_weights_and_the_colours_of_the_segmentor(tmp_path, toy_net):
    settings = StyleExtractorSettings(name="vgg19", weights="vgg19.pth")
    with pytest.raises(PrerequisiteError, match="extractor `early`"):
        build_extractor(settings, toy_net(), nn.Module.__call__)
    with pytest.raises(SpecError, match="data_preprocessor"):
        build_extractor(settings, toy_net(), nn.Module.__call__, tmp_path / "vgg19.pth")
