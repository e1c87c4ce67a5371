"""Debug pictures: the right pixels in the right panel, and a file every K iterations."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import torch

from adapt.uda.monitor import Example, Monitor
from adapt.uda.pictures import CAPTION_HEIGHT, PANEL_WIDTH, SavePictures, draw_example

MEAN, STD = torch.tensor([10.0, 20.0, 30.0]).view(3, 1, 1), torch.full((3, 1, 1), 2.0)
PALETTE = [(255, 0, 0), (0, 255, 0)]


def make_example() -> Example:
    label = torch.tensor([[0, 1], [255, 1]])
    return Example(
        source=torch.full((3, 2, 2), 5.0),
        source_label=label,
        target=torch.full((3, 2, 2), -1.0),
        pseudo_label=1 - label.clamp(max=1),
        mixed=torch.full((3, 2, 2), 100.0),
        mixed_label=label,
        weight=torch.tensor([[1.0, 0.5], [0.0, 0.25]]),
    )


def test_panels_show_what_their_captions_say() -> None:
    picture = draw_example(make_example(), MEAN, STD, PALETTE)

    height = CAPTION_HEIGHT + PANEL_WIDTH
    assert picture.shape == (2 * height, 4 * PANEL_WIDTH, 3)

    def at(row: int, column: int, y: int, x: int) -> tuple[int, ...]:
        """Pixel (y, x) of the 2x2 image in a panel."""
        top, left = row * height + CAPTION_HEIGHT, column * PANEL_WIDTH
        half = PANEL_WIDTH // 2
        return tuple(int(v) for v in picture[top + y * half + half // 2, left + x * half + half // 2])

    assert at(0, 0, 0, 0) == (20, 30, 40)
    assert at(0, 1, 0, 0) == (8, 18, 28)
    assert at(0, 2, 1, 1) == (210, 220, 230)
    assert [at(0, 3, y, x)[0] for y in (0, 1) for x in (0, 1)] == [255, 127, 0, 63]
    assert at(1, 0, 0, 0) == (255, 0, 0)
    assert at(1, 0, 0, 1) == (0, 255, 0)
    assert at(1, 0, 1, 0) == (0, 0, 0)
    assert at(1, 1, 0, 0) == (0, 255, 0)
    assert at(1, 2, 1, 1) == (0, 255, 0)


def test_writes_every_interval(tmp_path: Path) -> None:
    monitor = Monitor(["a", "b"])
    model: Any = SimpleNamespace(monitor=monitor, data_preprocessor=SimpleNamespace(mean=MEAN, std=STD))
    runner = SimpleNamespace(model=model, iter=0)
    hook = SavePictures(tmp_path / "pictures", 3, PALETTE)
    example = make_example()
    for iteration in range(7):
        runner.iter = iteration
        hook.before_train_iter(runner, iteration)
        monitor.keep_example(**{name: value[None] for name, value in vars(example).items()})
        hook.after_train_iter(runner, iteration)

    written = sorted((tmp_path / "pictures").iterdir())
    assert [path.name for path in written] == ["iteration_000003.png", "iteration_000006.png"]
    pixels = cv2.cvtColor(cv2.imread(str(written[0])), cv2.COLOR_BGR2RGB)
    assert np.array_equal(pixels, draw_example(example, MEAN, STD, PALETTE))
