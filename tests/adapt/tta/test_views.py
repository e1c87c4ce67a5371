"""Views: their sizes, the mean by a naive loop over pixels, and when two of them may share a batch."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from adapt.tta.batch_norm import use_batch_statistics, use_source_statistics
from adapt.tta.views import average_views, keeps_images_apart, resize_bilinearly, scale_images

SCALES = (0.5, 1.0, 1.5)


class Counted(nn.Module):
    """A network that notes the shape of every batch."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.shapes.append(tuple(images.shape))
        return self.net(images)


def sample(image: torch.Tensor, row: float, column: float) -> float:
    """Bilinear value of an (h, w) map at a place in pixels, its border repeated."""
    height, width = image.shape
    row, column = min(max(row, 0.0), height - 1.0), min(max(column, 0.0), width - 1.0)
    top, left = int(row), int(column)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    down, across = row - top, column - left
    upper = float(image[top, left]) * (1 - across) + float(image[top, right]) * across
    lower = float(image[bottom, left]) * (1 - across) + float(image[bottom, right]) * across
    return upper * (1 - down) + lower * down


def resize_by_hand(maps: torch.Tensor, height: int, width: int) -> torch.Tensor:
    old_height, old_width = maps.shape[-2:]
    result = torch.zeros(maps.shape[0], height, width, dtype=torch.float64)
    for channel in range(maps.shape[0]):
        for row in range(height):
            for column in range(width):
                place = ((row + 0.5) * old_height / height - 0.5, (column + 0.5) * old_width / width - 0.5)
                result[channel, row, column] = sample(maps[channel], *place)
    return result


def average_by_hand(net: nn.Module, image: torch.Tensor, scales, flip: bool) -> torch.Tensor:
    _, height, width = image.shape
    total = torch.zeros(5, height, width, dtype=torch.float64)
    for scale in scales:
        view = resize_by_hand(image, math.floor(height * scale + 0.5), math.floor(width * scale + 0.5))
        for mirrored in [False, True] if flip else [False]:
            seen = torch.stack([view[..., width_ - 1 - c] for width_ in [view.shape[-1]] for c in range(width_)], -1)
            logits = resize_by_hand(net((seen if mirrored else view)[None])[0], height, width)
            for row in range(height):
                for column in range(width):
                    weights = [math.exp(float(value)) for value in logits[:, row, column]]
                    place = width - 1 - column if mirrored else column
                    for k, weight in enumerate(weights):
                        total[k, row, place] += weight / sum(weights)
    return total / (len(scales) * (2 if flip else 1))


@pytest.mark.parametrize("at_once", [1, 2])
@pytest.mark.parametrize("flip", [False, True])
def test_mean_of_the_views_by_a_naive_loop(toy_net, inputs, flip, at_once):
    net = toy_net().eval()
    with torch.no_grad():
        expected = average_by_hand(net, inputs[0][0], SCALES, flip)
    found = average_views(nn.Module.__call__, net, inputs[0], SCALES, flip, at_once)
    assert found.shape == (1, 5, 6, 8)
    assert not found.requires_grad
    torch.testing.assert_close(found[0], expected, rtol=0, atol=1e-12)


def test_smaller_logits_are_resized_before_the_softmax(inputs):
    net = nn.Conv2d(3, 5, 3, stride=2, padding=1).double()
    with torch.no_grad():
        expected = resize_by_hand(net(inputs[0])[0], 6, 8).softmax(dim=0)
    found = average_views(nn.Module.__call__, net, inputs[0], (1.0,), flip=False)
    torch.testing.assert_close(found[0], expected, rtol=0, atol=1e-12)


def test_several_images_stay_apart(toy_net, inputs):
    net, batch = toy_net().eval(), torch.cat(inputs)
    together = average_views(nn.Module.__call__, net, batch, SCALES, flip=True, at_once=2)
    for index, images in enumerate(inputs):
        alone = average_views(nn.Module.__call__, net, images, SCALES, flip=True, at_once=1)
        torch.testing.assert_close(together[index : index + 1], alone, rtol=0, atol=1e-12)


def test_two_views_share_a_batch_only_where_nothing_mixes_them(toy_net, inputs):
    net = Counted(toy_net()).eval()
    average_views(nn.Module.__call__, net, inputs[0], (1.0, 0.5), flip=True, at_once=2)
    assert net.shapes == [(2, 3, 6, 8), (2, 3, 3, 4)]
    use_batch_statistics(net)
    net.shapes.clear()
    found = average_views(nn.Module.__call__, net, inputs[0], (1.0, 0.5), flip=True, at_once=2)
    assert net.shapes == [(1, 3, 6, 8)] * 2 + [(1, 3, 3, 4)] * 2
    assert torch.equal(found, average_views(nn.Module.__call__, net, inputs[0], (1.0, 0.5), flip=True, at_once=1))


def test_which_networks_keep_images_apart(toy_net, layer_norm_net, inputs):
    net = toy_net().eval()
    assert keeps_images_apart(net)
    for weight in (1.0, 0.3):
        use_batch_statistics(net, weight)
        assert not keeps_images_apart(net)
        net(inputs[0])
        assert not keeps_images_apart(net)
    use_source_statistics(net)
    assert keeps_images_apart(net)
    assert not keeps_images_apart(net.train())
    assert not keeps_images_apart(nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False)).eval())
    assert keeps_images_apart(layer_norm_net)


def test_sizes_are_whole_pixels_and_at_least_one():
    images = torch.arange(3 * 5 * 7.0).reshape(1, 3, 5, 7)
    assert scale_images(images, 0.5).shape == (1, 3, 3, 4)  # 2.5 and 3.5: halves are rounded up
    assert scale_images(images, 1.75).shape == (1, 3, 9, 12)
    assert scale_images(images, 0.01).shape == (1, 3, 1, 1)
    assert scale_images(images, 1.0) is images
    assert resize_bilinearly(images, (5, 7)) is images
