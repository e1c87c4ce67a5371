"""Collation and pinning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from adapt.data.layout import Frame
from adapt.training.batch import collate
from adapt.training.sample import pack


def make_pair(value: int) -> dict[str, Any]:
    image, label = np.full((4, 6, 3), value, np.uint8), np.full((4, 6), value, np.uint8)
    frame = Frame(name="a", image=Path("a.png"), label=None)
    return {"source": pack(frame, image, label), "target": pack(frame, image, None)}


def test_every_tensor_of_a_batch_is_pinned_labels_too(monkeypatch: pytest.MonkeyPatch) -> None:
    pinned: list[Tensor] = []

    def pin(self: Tensor) -> Tensor:
        pinned.append(self.clone())
        return pinned[-1]

    monkeypatch.setattr(Tensor, "pin_memory", pin)  # there may be no GPU to pin for
    batch = collate([make_pair(3), make_pair(4)])
    copy = batch.pin_memory()

    source = copy["source"]
    assert [int(image[0, 0, 0]) for image in source["inputs"]] == [3, 4]
    assert all(any(image is tensor for tensor in pinned) for image in (*source["inputs"], *copy["target"]["inputs"]))
    labels = [sample.gt_sem_seg.data for sample in source["data_samples"]]
    assert all(any(label is tensor for tensor in pinned) for label in labels)
    assert [int(label[0, 0, 0]) for label in labels] == [3, 4]
    assert source["data_samples"][0].metainfo == batch["source"]["data_samples"][0].metainfo
    assert len(pinned) == 6
    assert batch["source"]["data_samples"][0].gt_sem_seg.data is not labels[0]


def test_the_loader_pins_a_batch_by_its_own_method() -> None:
    from torch.utils.data._utils.pin_memory import pin_memory

    class Pinned(Exception):  # noqa: N818
        pass

    def note(*arguments: Any) -> None:
        raise Pinned

    batch = collate([make_pair(3)])
    assert isinstance(batch, dict)
    batch.pin_memory = note  # type: ignore[method-assign]
    with pytest.raises(Pinned):
        pin_memory(batch)
    assert torch.equal(batch["source"]["inputs"][0], torch.full((3, 4, 6), 3, dtype=torch.uint8))
