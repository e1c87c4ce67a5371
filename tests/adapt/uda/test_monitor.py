"""What self-training counts between two reports, against hand-worked cases."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from adapt.openmmlab import PixelData, SegDataSample
from adapt.uda import monitor as monitor_module
from adapt.uda.monitor import Monitor


def make_sample(label: torch.Tensor | None = None, **metainfo: Any) -> SegDataSample:
    sample = SegDataSample(metainfo=metainfo)
    if label is not None:
        sample.gt_sem_seg = PixelData(data=label[None])
    return sample


def test_counts_draws_since_the_last_reading() -> None:
    monitor = Monitor(["road", "car", "bus"])
    monitor.count_draws([make_sample(rare_class=1), make_sample(rare_class=1)])
    monitor.count_draws([make_sample(rare_class=2)])

    assert monitor.read() == {"rcs_draws/road": 0.0, "rcs_draws/car": 2.0, "rcs_draws/bus": 1.0}
    assert monitor.read() == {}


def test_uniform_draws_are_not_counted() -> None:
    monitor = Monitor(["road"])
    monitor.count_draws([make_sample()])

    assert monitor.read() == {}


def test_scores_pseudo_labels_over_batches() -> None:
    monitor = Monitor(["a", "b", "c", "d"])
    pseudo = torch.tensor([[[0, 0, 1, 1], [2, 2, 0, 1]]])
    label = torch.tensor([[0, 1, 1, 255], [2, 2, 2, 1]])
    for _ in range(2):
        monitor.score_pseudo_labels(pseudo, [make_sample(label)])

    values = monitor.read()

    # a: 1 of {0,0 | 0,1 | 1,2}; b: 2 of 3; c: 2 of 3; d is in neither; the ignored pixel counts nowhere.
    assert values["pseudo_iou/a"] == pytest.approx(1 / 3)
    assert values["pseudo_iou/b"] == pytest.approx(2 / 3)
    assert values["pseudo_iou/c"] == pytest.approx(2 / 3)
    assert values["pseudo_miou"] == pytest.approx(5 / 9)
    assert "pseudo_iou/d" not in values
    assert monitor.read() == {}


def test_without_labels_nothing_is_scored() -> None:
    monitor = Monitor(["a"])
    monitor.score_pseudo_labels(torch.zeros(1, 2, 2, dtype=torch.int64), [make_sample()])

    assert monitor.read() == {}


def test_sums_over_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    # Two workers that counted the same.
    monkeypatch.setattr(monitor_module, "sum_over_workers", lambda counts: 2 * counts)
    monitor = Monitor(["a", "b"])
    monitor.count_draws([make_sample(rare_class=1)])
    monitor.score_pseudo_labels(torch.tensor([[[0, 1]]]), [make_sample(torch.tensor([[0, 0]]))])

    assert monitor.read() == {
        "rcs_draws/a": 0.0, "rcs_draws/b": 2.0, "pseudo_iou/a": 0.5, "pseudo_iou/b": 0.0, "pseudo_miou": 0.25,
    }  # fmt: skip


def test_counts_are_exchanged_where_the_model_is(monkeypatch: pytest.MonkeyPatch) -> None:
    # NCCL takes no tensors that lie elsewhere; "meta" stands in for a GPU.
    devices: list[str] = []

    def note(counts: torch.Tensor) -> torch.Tensor:
        devices.append(counts.device.type)
        return torch.zeros(counts.shape)

    monkeypatch.setattr(monitor_module, "sum_over_workers", note)
    monitor = Monitor(["a", "b"])
    monitor.count_draws([make_sample(rare_class=1)])
    monitor.read(torch.device("meta"))

    assert devices == ["meta"]


def test_keeps_one_example_and_only_when_asked() -> None:
    monitor = Monitor(["a"])
    image, label, weight = torch.rand(2, 3, 4, 4), torch.zeros(2, 4, 4, dtype=torch.int64), torch.rand(2, 4, 4)

    def offer() -> None:
        monitor.keep_example(
            source=image, source_label=label, target=image, pseudo_label=label, mixed=image, mixed_label=label,
            weight=weight,
        )  # fmt: skip

    offer()
    assert monitor.example is None
    monitor.wants_example = True
    offer()

    assert monitor.example is not None
    assert torch.equal(monitor.example.mixed, image[0])
    assert torch.equal(monitor.example.weight, weight[0])
    assert not monitor.wants_example
