"""Operations of forward and backward passes against counts by hand, with groups and without."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from adapt.tta.operations import count_operations

PIXELS = 6 * 8


def count(layer: nn.Module, images: torch.Tensor) -> tuple[int, int]:
    """Count the operations of the forward pass alone, and of both."""
    with count_operations() as forward, torch.no_grad():
        layer(images)
    with count_operations() as both:
        layer(images).sum().backward()
    return forward.get_total_flops(), both.get_total_flops()


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_a_convolution_costs_as_much_again_for_its_input_and_for_its_weights(groups):
    layer = nn.Conv2d(4, 8, 3, padding=1, groups=groups)
    once = 2 * PIXELS * 8 * (4 // groups) * 9
    images = torch.rand(1, 4, 6, 8)
    assert count(layer, images) == (once, 2 * once), "the images want no gradient"
    assert count(layer, images.requires_grad_()) == (once, 3 * once)
    layer.weight.requires_grad_(False)
    assert count(layer, images) == (once, 2 * once)


def test_a_stride_counts_the_places_of_the_output():
    layer = nn.Conv2d(4, 8, 3, stride=2, padding=1)
    once = 2 * (PIXELS // 4) * 8 * 4 * 9
    assert count(layer, torch.rand(1, 4, 6, 8)) == (once, 2 * once)


def test_a_transposed_convolution_multiplies_at_the_places_of_its_input():
    layer = nn.ConvTranspose2d(4, 8, 2, stride=2)
    once = 2 * PIXELS * 4 * 8 * 4
    assert count(layer, torch.rand(1, 4, 6, 8)) == (once, 2 * once)
