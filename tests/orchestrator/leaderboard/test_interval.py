"""Intervals from the counts of every image against a loop over resamples, and every reason why there is none."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from adapt.scores.bootstrap import draw_resamples
from adapt.scores.confusion import mean_iou
from orchestrator.image_counts import SEED
from orchestrator.leaderboard.columns import MAIN, select_scores
from orchestrator.leaderboard.interval import add_intervals
from orchestrator.leaderboard.row import Row, pool_scores
from orchestrator.record import Record
from orchestrator.stages.counts_file import save_counts
from tests.orchestrator.leaderboard.grids import GRID
from tests.orchestrator.leaderboard.sources import Records

Counts = dict[str, NDArray[np.int64]]
NAMES = [f"{name}/{severity}" for name, severity in GRID]
FRAMES = [f"frame{index}" for index in range(6)]


def draw_counts(seed: int, cells: Sequence[str] = ("clean", *NAMES)) -> Counts:
    """Counts of six images in every cell; the labels of an image are the same in all of them and under every seed."""
    labels = np.random.default_rng(99).integers(20, 50, size=(len(FRAMES), 2))
    rng = np.random.default_rng(seed)
    counts = {}
    for name in cells:
        right = rng.integers(1, labels)
        counts[name] = np.zeros((len(FRAMES), 2, 2), np.int64)
        for k in range(2):
            counts[name][:, k, k], counts[name][:, k, 1 - k] = right[:, k], labels[:, k] - right[:, k]
    return counts


def place(name: str) -> dict[str, str | int]:
    first, _, second = name.partition("/")
    if first.isdigit():
        return {"round": int(first), "domain": second}
    return {"corruption": first, "severity": int(second)} if second else {}


@dataclass
class Bench:
    """Writes runs as the stages write them."""

    make_task: Callable[..., Any]
    make_record: Callable[..., Record]
    folder: Path
    records: dict[str, Record] = field(default_factory=dict)
    files: dict[tuple[str, str], Path] = field(default_factory=dict)

    def add(
        self,
        runs: Sequence[Counts],
        kind: str = "benchmark",
        frames: Mapping[int, list[str]] | None = None,
        **options: Any,
    ) -> Row:
        """Return the row of some runs; `names` says which frames each cell of a stream shows."""
        scored, keys = [], []
        for seed, counts in enumerate(runs):
            task = self.make_task(f"grid{len(self.records)}", kind, point={"seed": seed})
            cells = {name: (place(name), tuple(map(tuple, each.sum(axis=0).tolist()))) for name, each in counts.items()}
            protocol = {"cells": options.get("cells", GRID)}
            record = self.make_record(task, cells, protocol=protocol)
            folder = self.folder / task.key
            folder.mkdir()
            save_counts(folder, (frames or {}).get(seed, FRAMES), counts)
            self.files[task.key, "counts.npz"] = folder / "counts.npz"
            if kind == "stream":
                lines = [
                    json.dumps({**place(cell), "dataset": "d", "frame": name})
                    for cell in counts
                    for name in options.get("names", {}).get(cell, FRAMES)
                ]
                (folder / "frames.jsonl").write_text("\n".join(lines) + "\n")
                self.files[task.key, "frames.jsonl"] = folder / "frames.jsonl"
            self.records[task.key] = record
            scored.append(select_scores(record, {}))
            keys.append(task.key)
        scores = {name: pool_scores([each[name] for each in scored]) for name in scored[0]}
        return Row(
            rank=None, method="a", adaptation=None, axes={}, seeds=len(runs), runs=len(runs), architecture=None,
            parameters=None, scores=scores, reason=None, keys=tuple(keys), trained_in="a",
        )  # fmt: skip

    def measure(self, row: Row, kind: str = "benchmark") -> Row:
        (made,) = add_intervals([row], kind, Records(self.records, files=self.files))
        assert {name: (score.mean, score.std) for name, score in made.scores.items()} == {
            name: (score.mean, score.std) for name, score in row.scores.items()
        }
        return made


@pytest.fixture
def bench(make_task, make_record, tmp_path: Path) -> Bench:
    return Bench(make_task, make_record, tmp_path)


def resample_by_loop(runs: Sequence[Counts], score: Callable[[dict[str, float]], float]) -> list[float]:
    """Score every resample the slow way: pick the images one by one, add up their counts, score, average the runs."""
    scores = []
    for weights in draw_resamples(len(FRAMES), SEED)[1:]:
        drawn = [index for index, times in enumerate(weights) for _ in range(int(times))]
        of_runs = [
            score({cell: mean_iou(sum(counts[cell][index] for index in drawn)) or 0.0 for cell in counts})
            for counts in runs
        ]
        scores.append(sum(of_runs) / len(of_runs))
    return scores


def mean_over_corruptions(cells: dict[str, float]) -> float:
    """The mPC of `GRID`: two severities each of two corruptions."""
    return sum(cells[name] for name in NAMES) / 4


@pytest.mark.parametrize("count", [1, 3])
def test_the_intervals_are_those_of_the_means_over_seeds(count: int, bench: Bench) -> None:
    runs = [draw_counts(seed) for seed in range(count)]
    made = bench.measure(bench.add(runs))
    for column, score in {
        "mPC": mean_over_corruptions,
        "clean": lambda cells: cells["clean"],
        "fog/2": lambda cells: cells["fog/2"],
        "mPC noise": lambda cells: (cells["gaussian_noise/1"] + cells["gaussian_noise/5"]) / 2,
    }.items():
        scores = resample_by_loop(runs, score)
        low, high = np.quantile(scores, [0.025, 0.975])
        assert (made.scores[column].low, made.scores[column].high) == (pytest.approx(low), pytest.approx(high))
        assert low < (made.scores[column].mean or 0) < high
    assert made.resamples is not None
    assert made.resamples.scores == pytest.approx(resample_by_loop(runs, mean_over_corruptions), abs=1e-6)
    assert made.warnings == ()


def test_an_evaluation_has_the_interval_of_its_only_cell(bench: Bench) -> None:
    counts = draw_counts(3, ["clean"])
    made = bench.measure(bench.add([counts], "evaluate"), "evaluate")
    low, high = np.quantile(resample_by_loop([counts], lambda cells: cells["clean"]), [0.025, 0.975])
    assert (made.scores["mIoU"].low, made.scores["mIoU"].high) == (pytest.approx(low), pytest.approx(high))


def test_a_frame_of_a_stream_is_drawn_in_all_cells_that_show_it(bench: Bench) -> None:
    """Both rounds show the same frames, the second one backwards: a resample draws the same ones in both."""
    first = draw_counts(5, ["0/fog"])
    counts = {"0/fog": first["0/fog"], "1/fog": first["0/fog"][::-1].copy()}
    made = bench.measure(bench.add([counts], "stream", names={"1/fog": FRAMES[::-1]}), "stream")
    low, high = np.quantile(resample_by_loop([first], lambda cells: cells["0/fog"]), [0.025, 0.975])
    for column in (MAIN["stream"], "fog", "round 1", "round 2"):
        assert (made.scores[column].low, made.scores[column].high) == (pytest.approx(low), pytest.approx(high))


def test_domains_of_other_frames_are_drawn_apart(bench: Bench) -> None:
    """Were they drawn alike, the mean of two domains with equal counts would spread as far as each of them."""
    first = draw_counts(5, ["0/fog"])["0/fog"]
    others = [f"other{index}" for index in range(6)]
    made = bench.measure(bench.add([{"0/fog": first, "0/night": first}], "stream", names={"0/night": others}), "stream")
    width = {
        name: (made.scores[name].high or 0) - (made.scores[name].low or 0) for name in ("fog", "night", "mean mIoU")
    }
    assert width["mean mIoU"] < 0.85 * min(width["fog"], width["night"])  # 1 / sqrt(2) where they are independent


def test_counts_that_are_gone_leave_no_interval(bench: Bench) -> None:
    row = bench.add([draw_counts(seed) for seed in range(3)])
    del bench.files[row.keys[1], "counts.npz"]
    made = bench.measure(row)
    assert made.scores == row.scores
    assert made.resamples is None
    assert made.warnings == (f"no interval: the file counts.npz of task {row.keys[1]} is missing or damaged",)


@pytest.mark.parametrize("what", ["names", "labels"])
def test_runs_of_different_images_have_no_common_interval(what: str, bench: Bench) -> None:
    second = draw_counts(1)
    if what == "labels":
        second = {name: counts + 1 for name, counts in second.items()}
    made = bench.measure(bench.add([draw_counts(0), second], frames={1: FRAMES[::-1]} if what == "names" else None))
    assert made.warnings == ("no interval: the runs of this row counted different images",)


def test_counts_that_disagree_with_the_record_are_not_used(bench: Bench) -> None:
    row = bench.add([draw_counts(0)])
    save_counts(bench.folder / row.keys[0], FRAMES, draw_counts(1))
    (warning,) = bench.measure(row).warnings
    assert "the counts of the images of 'clean' do not add up to those of the record" in warning


def test_counts_that_lack_a_cell_are_not_used(bench: Bench) -> None:
    row = bench.add([draw_counts(0)])
    save_counts(bench.folder / row.keys[0], FRAMES, draw_counts(0, ("clean", *NAMES[:-1])))
    (warning,) = bench.measure(row).warnings
    assert warning.endswith("counts.npz lacks images of the cell gaussian_noise/5")


def test_a_row_without_the_score_that_ranks_has_no_interval(bench: Bench) -> None:
    row = bench.add([draw_counts(0, ("clean", *NAMES[:-1]))])
    assert bench.measure(row) == row


def test_rows_of_the_same_images_have_the_same_digest(bench: Bench) -> None:
    first, second = (bench.measure(bench.add([draw_counts(seed)])) for seed in (0, 1))
    other = bench.measure(bench.add([{name: counts + 1 for name, counts in draw_counts(0).items()}]))
    digests = [made.resamples.images for made in (first, second, other) if made.resamples is not None]
    assert digests[0] == digests[1] != digests[2]
