"""ClassMix, against counts of the reference and a loop over pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from adapt.uda.class_mix import choose_classes, draw_orders, find_present, make_mask, mix

# Number of classes in the batch -> number chosen.
COUNTS = {1: 1, 2: 1, 3: 2, 7: 4, 19: 10}


def choose(label: torch.Tensor, seed: int) -> list[int]:
    """Choose classes of a label map with one drawn order."""
    order = torch.from_numpy(draw_orders(np.random.default_rng(seed), 1)[0])
    return choose_classes(find_present(label), order).nonzero().flatten().tolist()


def test_present_classes_are_those_of_the_whole_batch_the_ignored_too() -> None:
    label = torch.tensor([[[0, 3]], [[7, 255]]])

    present = find_present(label)

    assert present.shape == (256,)
    assert present.dtype == torch.bool
    assert present.nonzero().flatten().tolist() == [0, 3, 7, 255]


@pytest.mark.parametrize(("present", "chosen"), COUNTS.items())
def test_half_of_the_classes_rounded_up(present: int, chosen: int) -> None:
    # The last of the classes is the ignore label.
    label = torch.arange(present).repeat(5).reshape(1, 5, present)
    label[label == present - 1] = 255

    for seed in range(5):
        classes = choose(label, seed)
        assert len(classes) == chosen
        assert set(classes) <= {*range(present - 1), 255}


def test_chosen_are_the_first_present_ones_of_the_order() -> None:
    present = torch.zeros(256, dtype=torch.bool)
    present[[2, 5, 11, 40, 255]] = True
    order = torch.from_numpy(np.random.default_rng(3).permutation(256))

    chosen = choose_classes(present, order)

    wanted = [value for value in order.tolist() if value in (2, 5, 11, 40, 255)][:3]
    assert chosen.nonzero().flatten().tolist() == sorted(wanted)


def test_all_classes_are_chosen_alike() -> None:
    label = torch.tensor([[[0, 3]], [[7, 255]]])
    counts = dict.fromkeys((0, 3, 7, 255), 0)
    for seed in range(1000):
        for value in choose(label, seed):
            counts[value] += 1

    assert all(430 < count < 570 for count in counts.values())


def test_orders_are_permutations_that_differ_and_repeat_with_the_seed() -> None:
    orders = draw_orders(np.random.default_rng(0), 3)

    assert orders.shape == (3, 256)
    assert orders.dtype == np.int64
    assert np.array_equal(np.sort(orders, axis=1), np.tile(np.arange(256), (3, 1)))
    assert not np.array_equal(orders[0], orders[1])
    assert np.array_equal(orders, draw_orders(np.random.default_rng(0), 3))


def test_nothing_reads_from_the_device() -> None:
    # A meta tensor has no values: whatever would wait for a GPU raises here.
    label = torch.zeros((2, 4, 6), dtype=torch.int64, device="meta")

    chosen = choose_classes(find_present(label), torch.zeros(256, dtype=torch.int64, device="meta"))

    assert make_mask(label, chosen).shape == label.shape


def test_mix_equals_a_loop_over_pixels() -> None:
    torch.manual_seed(1)
    label = torch.randint(0, 5, (2, 4, 6))
    label[0, 0, 0] = 255
    pseudo = torch.randint(0, 5, (2, 4, 6))
    weight = torch.rand(2, 4, 6)
    source, target = torch.rand(2, 3, 4, 6), torch.rand(2, 3, 4, 6)
    chosen = torch.zeros(2, 256, dtype=torch.bool)
    chosen[0, [0, 3, 255]] = True
    chosen[1, [4, 1, 2]] = True

    mask = torch.stack([make_mask(one, classes) for one, classes in zip(label, chosen, strict=True)])
    image = mix(mask[:, None], source, target)
    mixed = mix(mask, label, pseudo)
    weights = mix(mask, torch.ones_like(weight), weight)

    for n in range(2):
        for y in range(4):
            for x in range(6):
                pasted = label[n, y, x].item() in ([0, 3, 255], [4, 1, 2])[n]
                assert mask[n, y, x] == pasted
                assert torch.equal(image[n, :, y, x], (source if pasted else target)[n, :, y, x])
                assert mixed[n, y, x] == (label if pasted else pseudo)[n, y, x]
                assert weights[n, y, x] == (1.0 if pasted else weight[n, y, x])
