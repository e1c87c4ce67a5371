"""ClassMix, against counts of the reference and a loop over pixels."""

from __future__ import annotations

import pytest
import torch

from adapt.uda.class_mix import draw_classes, make_mask, mix

# Number of classes in the batch -> number drawn.
COUNTS = {1: 1, 2: 1, 3: 2, 7: 4, 19: 10}


@pytest.mark.parametrize(("present", "drawn"), COUNTS.items())
def test_half_of_the_classes_rounded_up(present: int, drawn: int) -> None:
    labels = torch.arange(present).repeat(5).reshape(1, 5, present)

    classes = draw_classes(labels)

    assert len(classes) == drawn == len(set(classes.tolist()))
    assert set(classes.tolist()) <= set(range(present))


def test_all_classes_of_the_batch_are_drawn_alike_the_ignored_too() -> None:
    labels = torch.tensor([[[0, 3]], [[7, 255]]])
    torch.manual_seed(0)
    counts = dict.fromkeys((0, 3, 7, 255), 0)
    for _ in range(1000):
        for value in draw_classes(labels).tolist():
            counts[value] += 1

    assert all(430 < count < 570 for count in counts.values())


def test_mix_equals_a_loop_over_pixels() -> None:
    torch.manual_seed(1)
    label = torch.randint(0, 5, (2, 4, 6))
    pseudo = torch.randint(0, 5, (2, 4, 6))
    weight = torch.rand(2, 4, 6)
    source, target = torch.rand(2, 3, 4, 6), torch.rand(2, 3, 4, 6)
    drawn = [torch.tensor([0, 3]), torch.tensor([4, 1, 2])]

    mask = torch.stack([make_mask(one, classes) for one, classes in zip(label, drawn, strict=True)])
    image = mix(mask[:, None], source, target)
    mixed = mix(mask, label, pseudo)
    weights = mix(mask, torch.ones_like(weight), weight)

    for n in range(2):
        for y in range(4):
            for x in range(6):
                pasted = label[n, y, x].item() in drawn[n].tolist()
                assert torch.equal(image[n, :, y, x], (source if pasted else target)[n, :, y, x])
                assert mixed[n, y, x] == (label if pasted else pseudo)[n, y, x]
                assert weights[n, y, x] == (1.0 if pasted else weight[n, y, x])
