"""Features of a frozen copy: which layer, and that the network itself may change."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from adapt.features import build_features


class Pyramid(nn.Module):
    """Four layers of strides 2, 4, 8 and 16, of the mean colour times one parameter."""

    def __init__(self, strides: tuple[int, ...] = (2, 4, 8, 16)) -> None:
        super().__init__()
        self.strides = strides
        self.scale = nn.Parameter(torch.ones(()))
        self.data_preprocessor = nn.Identity()

    def extract_feat(self, images: Tensor) -> list[Tensor]:
        return [nn.functional.avg_pool2d(images, stride) * self.scale for stride in self.strides]


IMAGES = torch.rand(1, 3, 32, 64, generator=torch.Generator().manual_seed(0))


def test_the_finest_layer_of_stride_eight_or_more_is_taken() -> None:
    extract = build_features(Pyramid())
    assert extract is not None
    assert torch.equal(extract(IMAGES), nn.functional.avg_pool2d(IMAGES, 8)[0])


def test_the_coarsest_is_taken_where_all_are_finer() -> None:
    extract = build_features(Pyramid((4, 2)))
    assert extract is not None
    assert torch.equal(extract(IMAGES), nn.functional.avg_pool2d(IMAGES, 4)[0])


def test_adapting_the_network_leaves_its_features_as_they_are() -> None:
    network = Pyramid()
    extract = build_features(network)
    assert extract is not None
    before = extract(IMAGES)
    with torch.no_grad():
        network.scale.fill_(3.0)
    assert torch.equal(extract(IMAGES), before)
    assert not before.requires_grad


def test_a_network_without_features_has_none() -> None:
    assert build_features(nn.Conv2d(3, 5, 1)) is None
