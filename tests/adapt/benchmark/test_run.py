"""Counts of units against a plain loop over cells and frames."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from adapt.benchmark.feed import FeedSettings, Source
from adapt.benchmark.kept import load_unit
from adapt.benchmark.run import compute_units
from adapt.benchmark.unit import Unit, list_cells, plan_units
from adapt.data.reading import read_frame
from adapt.data.settings import DatasetSettings
from adapt.errors import PrerequisiteError, TaskError
from adapt.inference import predict_classes, predict_logits
from adapt.scores.calibration import CalibrationBins
from adapt.scores.confusion import count_confusion
from corruptions import PROTOCOLS
from corruptions.apply import corrupt
from corruptions.seeding import derive_seed

GRID = [("contrast", 2), ("contrast", 5), ("impulse_noise", 3)]
NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")


def plan() -> tuple[Unit, ...]:
    return plan_units(list_cells("val", GRID), {"val": 4}, 3)


def compute(network, feed: FeedSettings, folder: Path, units: tuple[Unit, ...] | None = None, **options) -> list[str]:
    left, done = iter(plan() if units is None else units), []
    compute_units(
        network, 11, feed, lambda: next(left, None), folder, on_unit=lambda unit: done.append(unit.name), **options
    )
    return done


def loop(network, source: Source, unit: Unit):
    """Yield place, image, label of each cell and frame of a unit, the plain way."""
    for place, cell in enumerate(unit.cells):
        for index in range(unit.first, unit.last):
            frame = source.frames[index]
            image, label = read_frame(frame, source.settings)
            if cell.corruption is not None:
                seed = derive_seed(3, frame.name, cell.corruption, cell.severity)
                image = corrupt(image, cell.corruption, cell.severity, seed, backend="fast")
            yield place, index - unit.first, image, label


@pytest.mark.parametrize("workers", [0, 2])
def test_counts_equal_those_of_a_plain_loop(network, feed: FeedSettings, source: Source, tmp_path: Path, workers: int):
    done = compute(network, feed, tmp_path / "units", workers=workers)
    assert done == [unit.name for unit in plan()]
    for unit in plan():
        counts = load_unit(tmp_path / "units", unit)
        assert counts is not None
        assert counts.calibration.shape == (len(unit.cells), 0, 3, 15)
        for place, index, image, label in loop(network, source, unit):
            expected = count_confusion(label, predict_classes(network, image, source.settings.resize), 11)
            assert np.array_equal(counts.confusion[place, index], expected)
        assert counts.confusion.sum() > 0
        assert counts.timing.network > 0


def test_calibration_counts_equal_those_of_a_plain_loop(network, feed: FeedSettings, source: Source, tmp_path: Path):
    unit = plan()[-1]
    compute(network, feed, tmp_path, (unit,), calibration=True)
    counts = load_unit(tmp_path, unit)
    assert counts is not None
    for place, index, image, label in loop(network, source, unit):
        probability = predict_logits(network, image, source.settings.resize).softmax(dim=0).numpy()
        valid = label != 255
        bins = CalibrationBins().accumulate(
            probability.max(axis=0)[valid], (probability.argmax(axis=0) == label)[valid]
        )
        assert counts.calibration[place, index] == pytest.approx(bins, abs=1e-4)


@pytest.mark.gpu
@NO_GPU
def test_counts_on_a_gpu_are_those_on_the_cpu(network, feed: FeedSettings, tmp_path: Path):
    compute(network, feed, tmp_path / "cpu")
    compute(network.cuda(), feed, tmp_path / "gpu", workers=2)
    for unit in plan():
        on_cpu, on_gpu = load_unit(tmp_path / "cpu", unit), load_unit(tmp_path / "gpu", unit)
        assert on_cpu is not None
        assert on_gpu is not None
        moved = np.abs(on_cpu.confusion - on_gpu.confusion).sum()
        assert moved <= 0.01 * on_cpu.confusion.sum()  # pixels whose two best classes differ by rounding


def test_what_was_finished_before_an_error_is_kept(network, feed: FeedSettings, source: Source, tmp_path: Path):
    source.frames[3].image.write_bytes(b"cut")
    with pytest.raises(PrerequisiteError, match=r"f3\.png"):
        compute(network, feed, tmp_path / "units")
    assert [path.name for path in (tmp_path / "units").iterdir()] == ["clean-0-3.npz"]


def test_labels_that_are_no_classes_are_named(network, source: Source, tmp_path: Path):
    label = source.frames[0].label
    assert label is not None
    cv2.imwrite(str(label), np.full((40, 56), 15, np.uint8))
    cityscapes = Source(DatasetSettings(type="cityscapes", split="val"), source.frames)
    with pytest.raises(TaskError, match=r"f0_label\.png: The label has ids \[15\], but 11 classes"):
        compute(network, FeedSettings({"val": cityscapes}, PROTOCOLS["quick"], 3), tmp_path)


def test_a_network_whose_output_is_not_finite_is_no_result(network, feed: FeedSettings, tmp_path: Path):
    with torch.no_grad():
        next(network.decode_head.conv_seg.parameters())[0] = float("nan")
    with pytest.raises(TaskError, match=r"f0\.png, clean: The output of the network EncoderDecoder is not finite"):
        compute(network, feed, tmp_path)
    assert not list(tmp_path.glob("*.npz"))
