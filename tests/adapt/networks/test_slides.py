"""Overlapping crops: where they lie, and their mean."""

from __future__ import annotations

import pytest
import torch

from adapt.networks.slides import average_overlaps, list_regions, list_starts


@pytest.mark.parametrize(
    ("length", "crop", "step", "starts"),
    [
        (1024, 512, 256, [0, 256, 512]),
        (8, 8, 4, [0]),
        (9, 8, 4, [0, 1]),
        (12, 8, 4, [0, 4]),
        (20, 8, 4, [0, 4, 8, 12]),
        (21, 8, 4, [0, 4, 8, 12, 13]),
    ],
)
def test_starts(length: int, crop: int, step: int, starts: list[int]) -> None:
    assert list_starts(length, crop, step) == starts


def test_regions_of_a_map_lower_than_a_crop() -> None:
    assert list_regions((4, 10), (6, 6), (3, 3)) == [
        (slice(0, 4), slice(0, 6)),
        (slice(0, 4), slice(3, 9)),
        (slice(0, 4), slice(4, 10)),
    ]


@pytest.mark.parametrize("size", [(7, 11), (4, 6), (3, 13), (12, 12)])
def test_average_is_that_of_a_loop_over_cells(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    regions = list_regions(size, (4, 6), (2, 3))
    parts = [
        torch.randn(2, 3, rows.stop - rows.start, columns.stop - columns.start, dtype=torch.float64)
        for rows, columns in regions
    ]
    average = average_overlaps(iter(parts), regions, size)
    for row in range(size[0]):
        for column in range(size[1]):
            seen = [
                part[:, :, row - rows.start, column - columns.start]
                for part, (rows, columns) in zip(parts, regions, strict=True)
                if rows.start <= row < rows.stop and columns.start <= column < columns.stop
            ]
            torch.testing.assert_close(average[:, :, row, column], sum(seen) / len(seen))


def test_half_precision_is_summed_in_single_and_gradients_reach_the_parts() -> None:
    parts = [torch.ones(1, 1, 2, 2, dtype=torch.bfloat16, requires_grad=True) for _ in range(2)]
    regions = [(slice(0, 2), slice(0, 2)), (slice(0, 2), slice(1, 3))]
    average = average_overlaps(parts, regions, (2, 3))
    assert average.dtype == torch.float32
    average.sum().backward()
    assert parts[0].grad is not None
    assert parts[0].grad.tolist() == [[[[1.0, 0.5], [1.0, 0.5]]]]
