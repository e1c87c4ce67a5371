"""The feature distance and its mask, against loops over cells."""

from __future__ import annotations

import math

import pytest
import torch

from adapt.uda.feature_distance import compute_feature_distance, make_thing_mask
from adapt.uda.settings import THING_CLASSES


def mask_by_loop(
    label: torch.Tensor, size: tuple[int, int], classes: tuple[int, ...], min_ratio: float
) -> list[list[list[bool]]]:
    """Collect the labels of each cell one pixel at a time and decide by the commonest."""
    height, width = label.shape[1:]
    rows, columns = size
    mask = []
    for image in label.tolist():
        cells: list[list[list[int]]] = [[[] for _ in range(columns)] for _ in range(rows)]
        for y in range(height):
            for x in range(width):
                cells[math.floor(y * rows / height)][math.floor(x * columns / width)].append(image[y][x])
        decided = []
        for row in cells:
            line = []
            for labels in row:
                commonest = max(sorted(set(labels)), key=labels.count)  # max() takes the first, so the smallest
                line.append(labels.count(commonest) / len(labels) >= min_ratio and commonest in classes)
            decided.append(line)
        mask.append(decided)
    return mask


def make_patches(height: int, width: int) -> torch.Tensor:
    """Draw (3, H, W) labels in which most cells are nearly of one class."""
    generator = torch.Generator().manual_seed(4)
    coarse = torch.tensor([2, 6, 12, 255])[torch.randint(0, 4, (3, 4, 6), generator=generator)]
    label = coarse.repeat_interleave(height // 4 + 1, dim=1).repeat_interleave(width // 6 + 1, dim=2)
    label = label[:, :height, :width].clone()
    noise = torch.rand(label.shape, generator=generator) < torch.linspace(0.0, 0.6, width)
    label[noise] = torch.randint(0, 19, (int(noise.sum()),), generator=generator)
    return label


@pytest.mark.parametrize("min_ratio", [0.2, 0.5, 0.75, 1.0])
@pytest.mark.parametrize(("length", "size"), [((32, 48), (4, 6)), ((32, 48), (2, 3)), ((27, 50), (4, 6))])
def test_mask_equals_a_loop_over_cells(length: tuple[int, int], size: tuple[int, int], min_ratio: float) -> None:
    label = make_patches(*length)
    before = label.clone()

    mask = make_thing_mask(label, size, THING_CLASSES, min_ratio)

    assert mask.dtype == torch.bool
    assert mask.tolist() == mask_by_loop(label, size, THING_CLASSES, min_ratio)
    assert torch.equal(label, before)


def test_mask_has_both_values_on_these_patches() -> None:
    mask = make_thing_mask(make_patches(32, 48), (4, 6), THING_CLASSES, 0.75)

    assert 0 < mask.sum() < mask.numel()


def test_mask_equals_pooled_one_hot_labels() -> None:
    label = make_patches(64, 96)
    bins = torch.where(label == 255, 19, label)
    pooled = torch.nn.functional.avg_pool2d(
        torch.nn.functional.one_hot(bins, 20).permute(0, 3, 1, 2).float(), kernel_size=16
    )
    ratio, commonest = pooled.max(dim=1)
    wanted = (ratio >= 0.75) & torch.isin(commonest, torch.tensor(THING_CLASSES))

    assert torch.equal(make_thing_mask(label, (4, 6), THING_CLASSES, 0.75), wanted)


def test_ratio_itself_is_enough_and_ignored_pixels_count_against_it() -> None:
    label = torch.full((1, 4, 12), 13)
    label[0, 0, :4] = 255  # 12 of 16 pixels are left
    label[0, 0, 4:8] = 255
    label[0, 1, 4] = 255  # 11 of 16
    label[0, :, 8:] = 2  # no thing

    assert make_thing_mask(label, (1, 3), THING_CLASSES, 0.75).tolist() == [[[True, False, False]]]


def test_ignored_cells_are_no_things() -> None:
    label = torch.full((1, 8, 8), 255)

    assert not make_thing_mask(label, (2, 2), THING_CLASSES, 0.75).any()


def test_distance_equals_a_loop_over_cells() -> None:
    torch.manual_seed(0)
    features, reference = torch.randn(2, 5, 3, 4), torch.randn(2, 5, 3, 4)
    mask = torch.rand(2, 3, 4) < 0.5
    total, count = 0.0, 0
    for n in range(2):
        for y in range(3):
            for x in range(4):
                if mask[n, y, x]:
                    pairs = zip(features[n, :, y, x].tolist(), reference[n, :, y, x].tolist(), strict=True)
                    total += math.sqrt(sum((a - b) ** 2 for a, b in pairs))
                    count += 1

    distance, cells = compute_feature_distance(features, reference, mask)

    assert distance.item() == pytest.approx(total, rel=1e-5)
    assert cells.item() == count
    assert 0 < count < 24


def test_gradient_is_that_of_the_norm_and_zero_outside_the_mask() -> None:
    torch.manual_seed(1)
    features = torch.randn(1, 4, 2, 2, requires_grad=True)
    reference = torch.randn(1, 4, 2, 2)
    mask = torch.tensor([[[True, False], [False, True]]])

    compute_feature_distance(features, reference, mask)[0].backward()

    difference = (features - reference).detach()
    wanted = difference / difference.square().sum(dim=1, keepdim=True).sqrt() * mask[:, None]
    torch.testing.assert_close(features.grad, wanted)


def test_empty_mask_gives_zero_and_finite_zero_gradients() -> None:
    features = torch.randn(2, 4, 3, 3, requires_grad=True)

    total, count = compute_feature_distance(features, torch.randn(2, 4, 3, 3), torch.zeros(2, 3, 3, dtype=torch.bool))
    total.backward()

    assert total.item() == 0.0
    assert count.item() == 0
    assert features.grad is not None
    assert torch.all(features.grad == 0)


def test_equal_features_give_finite_gradients() -> None:
    reference = torch.randn(2, 4, 3, 3)
    features = reference.clone().requires_grad_()

    total, count = compute_feature_distance(features, reference, torch.ones(2, 3, 3, dtype=torch.bool))
    total.backward()

    assert total.item() == 0.0
    assert count.item() == 18
    assert features.grad is not None
    assert torch.all(features.grad == 0)


def test_half_precision_features_are_added_up_in_float32() -> None:
    features, reference = torch.full((1, 4, 64, 64), 300.0, dtype=torch.float16), torch.zeros(1, 4, 64, 64)

    total, _ = compute_feature_distance(features, reference.half(), torch.ones(1, 64, 64, dtype=torch.bool))

    assert total.dtype == torch.float32
    assert total.item() == pytest.approx(600.0 * 4096)


def test_nothing_reads_from_the_device() -> None:
    # A meta tensor has no values: whatever would wait for a GPU raises here.
    features = torch.zeros(2, 3, 4, 6, device="meta")

    mask = make_thing_mask(torch.zeros((2, 32, 48), dtype=torch.int64, device="meta"), (4, 6), THING_CLASSES, 0.75)

    assert mask.shape == (2, 4, 6)
    assert compute_feature_distance(features, features, mask)[0].shape == ()
