"""DeepLabV2's head against a loop over pixels."""

from __future__ import annotations

import itertools

import pytest
import torch

from adapt.networks.deeplabv2_head import DeepLabV2Head

# mmsegmentation warns of its own deprecated builders and defaults.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:mmseg")


def test_sum_of_dilated_convolutions() -> None:
    torch.manual_seed(0)
    head = DeepLabV2Head(2, dilations=(1, 3), in_index=1, num_classes=3)
    level = torch.randn(1, 2, 5, 4)
    expected = torch.zeros(1, 3, 5, 4)
    for branch, dilation in zip(head.branches, (1, 3), strict=True):
        expected += branch.bias[None, :, None, None].detach()
        for row, column, i, j in itertools.product(range(5), range(4), range(3), range(3)):
            y, x = row + (i - 1) * dilation, column + (j - 1) * dilation
            if 0 <= y < 5 and 0 <= x < 4:
                expected[0, :, row, column] += (branch.weight[:, :, i, j] @ level[0, :, y, x]).detach()
    torch.testing.assert_close(head([torch.zeros(1), level]).detach(), expected)


def test_parameters_for_resnet() -> None:
    head = DeepLabV2Head(2048, in_index=3, num_classes=19)
    # Four convolutions from 2048 channels to 19 classes, with biases; nothing else.
    assert sum(parameter.numel() for parameter in head.parameters()) == 4 * (2048 * 19 * 9 + 19)
    assert [branch.dilation for branch in head.branches] == [(6, 6), (12, 12), (18, 18), (24, 24)]


def test_every_parameter_has_a_gradient_and_the_weights_are_small() -> None:
    torch.manual_seed(0)
    head = DeepLabV2Head(8, in_index=0, num_classes=19)
    head.init_weights()
    head([torch.randn(1, 8, 30, 30)]).sum().backward()
    assert all(parameter.grad is not None for parameter in head.parameters())
    for branch in head.branches:
        assert 0.008 < float(branch.weight.detach().std()) < 0.012  # as its authors: a normal of 0.01
        assert not branch.bias.any()
