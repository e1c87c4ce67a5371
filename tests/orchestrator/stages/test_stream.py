"""Streams from the source statistics to the leaderboard, on a miniature of a few frames, without Ray."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapt.scores.calibration import ece
from adapt.tta.stream import Step
from adapt.tta.stream_scores import FrameScore
from orchestrator.leaderboard.publish import make_board
from orchestrator.leaderboard.source import StoreSource
from orchestrator.scoring import score_record
from orchestrator.stages.stream import measure_clusters
from tests.orchestrator.stages.conftest import Run, run_experiment

STAGES = """\
  look: {kind: styles, model: net, dataset: source, samples: 3}
  anchor: {kind: fisher, model: net, dataset: source}
  aux: {kind: train, model: net, seed: 1, dataset: source, training: {iterations: 1, augment: {crop: [32, 32]}}}
  weather:
    kind: stream
    model: net
    auxiliary: ${aux.checkpoint}
    styles: ${look.styles}
    fisher: ${anchor.fisher}
    matrix:
      method:
        - {name: source}
        - {name: auxadapt}
        - {name: reservoir, base: {name: eata, lr: 1.0e-3, margin: 1.0}, threshold: 1.0e-6, models: 3}
    method: ${matrix.method}
    temporal: {windows: [2], perceptual: true}
    stream: {kind: recurring, rounds: 2, domains: [{dataset: fog}, {dataset: night}]}
  tuned:
    kind: stream
    model: net
    method: {name: tent, momentum: 0.5}
    stream: {kind: single, domains: [{dataset: fog}]}
    search:
      stream: {kind: single, domains: [{dataset: rain}]}
      space: {lr: [1.0e-3, 1.0e-2]}
  board: {kind: leaderboard, needs: [weather, tuned]}
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_experiment(STAGES, tmp_path_factory.mktemp("stream"))


def test_all_stages_are_done(finished: Run) -> None:
    failures = {name: record.failure for name, record in finished.records.items() if record.failure is not None}
    assert failures == {}
    assert len(finished.records) == 8


def test_the_reservoir_of_eata_is_recorded_as_it_ran(finished: Run) -> None:
    record = finished.records["weather[method=reservoir]"]
    assert record.method is not None
    assert (record.method["name"], record.method["title"]) == ("reservoir", "reservoir(eata)")
    assert record.method["needs"] == ["styles", "fisher"]
    assert record.method["unit"] == "image"
    assert record.method["settings"]["base"]["lr"] == 1e-3
    assert set(record.inputs) == {"styles", "fisher"}
    frames = finished.frames("weather[method=reservoir]")
    assert record.metrics["models"] == max(frame["notes"]["models"] for frame in frames) == 3
    assert record.metrics["updates"] == sum(frame["updates"] for frame in frames)
    assert record.metrics["updates"] + record.metrics["skipped"] == 8
    assert record.metrics["purity"] == measure_purity(frames)


def measure_purity(frames: list[dict[str, Any]]) -> float:
    """The share of frames in the commonest domain of their cluster, counted naively."""
    right = 0
    for cluster in {frame["notes"]["cluster"] for frame in frames}:
        domains = [frame["domain"] for frame in frames if frame["notes"]["cluster"] == cluster]
        right += max(domains.count(domain) for domain in domains)
    return right / len(frames)


def test_a_method_without_clusters_has_none(finished: Run) -> None:
    assert {"models", "purity"}.isdisjoint(finished.records["weather[method=source]"].metrics)


def test_every_frame_has_a_line_that_agrees_with_the_manifest(finished: Run) -> None:
    name = "weather[method=auxadapt]"
    frames = finished.frames(name)
    manifest = json.loads((finished.folder(name) / "manifest.json").read_text())
    assert [[f[key] for key in ("round", "domain", "dataset", "frame")] for f in frames] == [
        [step[key] for key in ("round", "domain", "dataset", "frame")] for step in manifest
    ]
    assert [frame["index"] for frame in frames] == list(range(8))
    assert all(frame["updates"] == 1 and frame["loss"] > 0 and frame["seconds"] > 0 for frame in frames)
    assert all(frame["recovered"] is None and frame["reset"] is False for frame in frames)
    assert "frames.jsonl" in finished.records[name].files


def test_cells_hold_what_all_scores_are_derived_from(finished: Run) -> None:
    record = finished.records["weather[method=source]"]
    assert [cell.name for cell in record.cells] == ["0/fog", "0/night", "1/fog", "1/night"]
    total = np.zeros((3, 15))
    for cell in record.cells:
        assert cell.calibration is not None
        bins = np.array(cell.calibration)
        assert bins.shape == (3, 15)
        assert bins[0].sum() == np.sum(cell.confusion)
        assert bins[2].sum() == np.trace(np.array(cell.confusion))
        assert sum(clip.frames for clip in cell.clips) == 2
        total += bins
    scores = score_record(record)
    assert scores["ece"] == ece(total)
    assert scores["tc"] is not None
    assert 0 < scores["tc"] <= 1
    assert scores["drift"] == 0, "the source predicts a frame that recurs as before"
    assert {"vc_2", "perceptual", "forgetting", "ece/1/night"} <= scores.keys()


def test_what_a_method_costs_is_counted(finished: Run) -> None:
    source, auxadapt = (finished.records[f"weather[method={name}]"].metrics for name in ("source", "auxadapt"))
    assert source["flops_per_frame"] is not None
    assert auxadapt["flops_per_frame"] is not None
    assert auxadapt["flops_per_frame"] > 3 * source["flops_per_frame"], "both networks forward, one backward"
    assert source["updates"] == 0
    assert auxadapt["updates"] == 8


def test_a_stream_runs_with_what_its_search_chose(finished: Run) -> None:
    search, tuned = finished.records["tuned.search"], finished.records["tuned"]
    chosen = json.loads((finished.folder("tuned.search") / "method.json").read_text())
    assert chosen["lr"] in (1e-3, 1e-2)
    assert tuned.method is not None
    assert search.method is not None
    assert tuned.method["settings"] == chosen == search.method["settings"]
    assert tuned.settings["method"]["lr"] == 7.5e-6, "the file's own settings name it"
    assert search.metrics["trials"] == 2
    assert {"method.json", "trials.json"} <= search.files.keys()


def test_the_board_names_methods_and_says_what_was_tuned(finished: Run) -> None:
    weather, tuned = make_board(finished.plan, StoreSource(finished.store, set(finished.plan.graph.tasks))).tables
    assert {row.entry for row in weather.rows} == {
        "net + source",
        "net + auxadapt",
        "net + reservoir(eata) (base.lr=0.001, base.margin=1, models=3, threshold=1e-06)",
    }
    assert weather.columns[:6] == ("mean mIoU", "drift", "forgetting", "fog", "night", "TC")
    assert {"ECE", "frames/s", "GFLOPs/frame", "updates", "VC2", "purity", "models"} <= set(weather.details)
    (row,) = tuned.rows
    assert row.entry == "net + tent (lr=tuned, momentum=0.5)"
    assert row.tuned is not None
    assert row.tuned.endswith("of {0.001, 0.01}, 2 trials on rain")
    (first,) = [r for r in weather.rows if r.adaptation == "source"]
    assert first.tuned is None


def test_processes_that_prepare_frames_change_no_score(finished: Run, run_stages: Callable[[str], Run]) -> None:
    """Twice in one process: the optical flow of the first stream leaves threads of OpenCV that a fork must not wait for."""
    stage = (
        "{kind: stream, model: net, resources: {cpus: 3}, temporal: {windows: [2], perceptual: true}, on_non_finite: POLICY, "
        "stream: {kind: recurring, rounds: 2, domains: [{dataset: fog}, {dataset: night}]}}"
    )
    run = run_stages("".join(f"  {policy}: {stage.replace('POLICY', policy)}\n" for policy in ("stop", "reset")))
    expected = finished.records["weather[method=source]"]
    for record in run.records.values():
        assert record.failure is None
        assert [cell.name for cell in record.cells] == [cell.name for cell in expected.cells]
        for cell, other in zip(record.cells, expected.cells, strict=True):  # more threads sum in another order
            assert np.allclose(cell.confusion, other.confusion, atol=2)
            assert np.allclose(cell.calibration, other.calibration, atol=3)


def test_what_is_not_finite_is_recovered_or_stops_the_task(
    run_stages: Callable[[str], Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    from adapt.tta.tent import Tent

    original = Tent.predict_and_adapt
    calls: list[int] = []

    def break_second(self: Tent, images):
        calls.append(1)
        return original(self, images * (math.nan if len(calls) % 4 == 2 else 1))

    monkeypatch.setattr(Tent, "predict_and_adapt", break_second)
    stream = "stream: {kind: continual, domains: [{dataset: fog}, {dataset: night}]}"
    run = run_stages(
        f"  going_on: {{kind: stream, model: net, method: {{name: tent}}, {stream}}}\n"
        f"  stopping: {{kind: stream, model: net, method: {{name: tent}}, on_non_finite: stop, {stream}}}\n"
    )
    assert run.records["going_on"].metrics["recovered"] == 1
    assert [frame["recovered"] is not None for frame in run.frames("going_on")] == [False, True, False, False]
    failure = run.records["stopping"].failure
    assert failure is not None
    assert "step 1 (round 0, domain 'fog'" in failure.message


def test_an_auxiliary_network_that_is_damaged_fails_with_its_remedy(
    finished: Run, run_stages: Callable[[str], Run], tmp_path: Path
) -> None:
    from adapt.errors import PrerequisiteError
    from adapt.inference import forward_logits
    from adapt.openmmlab.checkpoint import load_artifact
    from orchestrator.stages.stage import StageContext
    from orchestrator.stages.supply import build_forward, load_supplies

    model, classes = load_artifact(finished.folder("aux"))
    inputs = {"auxiliary": finished.folder("aux")}
    context = StageContext(tmp_path, tmp_path, {}, {}, inputs, 1, 0, lambda step, values: None)
    device = next(model.parameters()).device
    supplies = load_supplies(context, 7, model, classes, device)
    assert (supplies.seed, supplies.styles, supplies.fisher) == (7, None, None)
    assert supplies.auxiliary is not model
    with pytest.raises(PrerequisiteError, match="Train it on data with the same classes"):
        load_supplies(context, 7, model, ("road", "car"), device)
    assert build_forward(model, None) is forward_logits


def test_clusters_are_numbered_anew_after_a_restart_of_the_method_itself() -> None:
    """As `rdumb` over a reservoir does: cluster 0 is a's before, and b's after."""
    step = Step(0, "a", "data", "frame", None, None, None)
    frames = [
        FrameScore(
            index=index,
            step=dataclasses.replace(step, domain=domain),
            confusion=np.zeros((1, 1), np.int64),
            calibration=np.zeros((3, 15)),
            loss=None,
            updates=1,
            skipped=0,
            was_reset=False,
            recovered=None,
            seconds=1.0,
            notes={"cluster": 0.0, "models": 1.0, "restarted": float(index == 2)},
        )
        for index, domain in enumerate("aabb")
    ]
    assert measure_clusters(frames, recovery_resets=False) == {"models": 1.0, "purity": 1.0}
