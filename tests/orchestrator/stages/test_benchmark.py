"""The benchmark stage in this process: its cells, what an interruption leaves, and its files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from adapt.benchmark.kept import Timing
from orchestrator.driver import assign
from orchestrator.execute import execute
from orchestrator.scoring import read_confusion
from orchestrator.stages import benchmark as module
from orchestrator.stages.benchmark import count_workers, name_bottleneck
from orchestrator.stages.stage import StageContext

from .conftest import Run, run_experiment

GRID = """\
  grid:
    kind: benchmark
    model: net
    dataset: fog
    shifts: [night, rain]
    protocol: {name: three, cells: {contrast: [1, 4], glass_blur: 2}}
    calibration: true
    label_check: 1
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_experiment(GRID, tmp_path_factory.mktemp("grid"))


def test_the_record_holds_clean_real_shifts_and_each_corruption(finished: Run) -> None:
    record = finished.records["grid"]
    assert record.failure is None
    assert [cell.name for cell in record.cells] == [
        "clean", "shift/night", "shift/rain", "contrast/1", "contrast/4", "glass_blur/2",
    ]  # fmt: skip
    assert [cell.axes for cell in record.cells[1:4]] == [
        {"shift": "night"}, {"shift": "rain"}, {"corruption": "contrast", "severity": 1},
    ]  # fmt: skip
    assert all(cell.frames == 2 and cell.calibration is not None for cell in record.cells)
    for cell in record.cells:
        confusion = read_confusion(cell)
        assert confusion is not None
        assert np.sum(cell.calibration or (), axis=1)[0] == confusion.sum() > 0
    assert set(record.metrics) == {
        "frames_per_second", "network_seconds", "waiting_seconds", "decoding_seconds", "corrupting_seconds",
        "label_check_seconds", "label_agreement/glass_blur/2",
    }  # fmt: skip
    assert record.notes[0].startswith("Bottleneck: ")


def test_counts_of_each_frame_lie_beside_the_record(finished: Run) -> None:
    record = finished.records["grid"]
    assert "counts.npz" in record.files
    with np.load(finished.folder("grid") / "counts.npz") as file:
        for cell in record.cells:
            assert file[f"cell:{cell.name}"].shape == (2, 19, 19)
            assert np.array_equal(file[f"cell:{cell.name}"].sum(axis=0), read_confusion(cell))
        assert len(file["frames"]) == len(file["frames:shift/night"]) == 2
        assert set(file["frames"]).isdisjoint(file["frames:shift/night"])
        assert "frames:contrast/1" not in file


def test_an_interrupted_benchmark_goes_on_where_it_was(
    finished: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = finished.records["grid"].cells
    task = finished.task("grid")
    done: list[str] = []
    real = module.compute_units

    def stop_after_two(*arguments, on_unit, **options) -> None:
        def count(unit) -> None:
            done.append(unit.name)
            on_unit(unit)
            if len(done) == 2:
                raise KeyboardInterrupt

        real(*arguments, on_unit=count, **options)

    store = type(finished.store)(tmp_path / "again")
    store.check_writable()
    monkeypatch.setattr(module, "compute_units", stop_after_two)
    with pytest.raises(KeyboardInterrupt):
        execute(assign(finished.plan, task), store, lambda step, values: None)
    assert done == ["clean-0-2", "shift-night-0-2"]
    (store.scratch(task.key) / module.UNITS / "clean-0-2.npz").write_bytes(b"damaged")
    record = execute(assign(finished.plan, task), store, lambda step, values: None)
    assert record.cells == whole
    assert done == ["clean-0-2", "shift-night-0-2", "clean-0-2", "shift-rain-0-2", "contrast-0-2", "glass_blur-0-2"]


@pytest.mark.parametrize(("workers", "threads", "gpus", "expected"), [
    (None, 1, 0.0, 0), (None, 4, 0.0, 1), (None, 1, 1.0, 1), (None, 8, 1.0, 7), (0, 8, 1.0, 0), (3, 1, 0.0, 3),
])  # fmt: skip
def test_processes_ahead_of_the_network(
    finished: Run, workers: int | None, threads: int, gpus: float, expected: int
) -> None:
    settings = finished.task("grid").settings.model_copy(update={"workers": workers})
    context = StageContext(Path(), Path(), {}, {}, {}, threads, gpus, lambda step, values: None)
    assert count_workers(settings, context) == expected


@pytest.mark.parametrize(
    ("timing", "workers", "expected"),
    [
        (Timing(95, 5, 3, 40), 1, "Bottleneck: the network, which worked 95% of the time."),
        (
            Timing(60, 40, 3, 40),
            2,
            "corrupting images; the network waited 40% of the time. To go faster, raise `workers` (now 2)",
        ),
        (
            Timing(60, 40, 41, 2),
            0,
            "decoding images; the network waited 40% of the time. To go faster, give the stage `workers`",
        ),
    ],
)
def test_the_bottleneck_is_named(timing: Timing, workers: int, expected: str) -> None:
    assert expected in name_bottleneck(timing, workers)
