"""The `stream` stage: test-time adaptation of a network over a stream of domains."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from adapt import runtime
from adapt.data.catalog import Color, describe_dataset
from adapt.data.layout import list_frames
from adapt.features import build_features
from adapt.inference import to_tensor
from adapt.scores.temporal import ClipScore
from adapt.tta.catalog import build_method
from adapt.tta.clip import find_clip_starts
from adapt.tta.feed import open_feed
from adapt.tta.method import Method
from adapt.tta.reservoir.purity import compute_purity
from adapt.tta.run import run_stream
from adapt.tta.settings import MethodSettings, list_needs, name_method
from adapt.tta.stream import FramesByName, Manifest, Step, build_manifest, index_frames
from adapt.tta.stream_scores import FrameScore, StreamScores
from adapt.tta.video_scorer import VideoScorer
from experiments.schema import StreamStage
from experiments.search import METHOD_FILE, parse_method
from experiments.task import Task
from orchestrator.protocol import describe_protocol
from orchestrator.record import Cell, Clip
from orchestrator.stages.counts_file import save_counts
from orchestrator.stages.frame_pictures import FramePictures
from orchestrator.stages.network import load_network
from orchestrator.stages.stage import FRAMES_FILE, MANIFEST_FILE, StageContext, StageResult, make_cell
from orchestrator.stages.supply import build_forward, load_supplies

PICTURED_DOMAINS = 6  # ours: a page shows no more of a row


def run(task: Task, context: StageContext) -> StageResult:
    """Walk a method through its stream: predict, score, adapt.

    The manifest of the stream and what each frame gave are kept beside the record.
    """
    settings = task.settings
    if not isinstance(settings, StreamStage):
        raise TypeError(f"{task.name} is no stream task")
    device = runtime.configure(context.threads, settings.stream.seed, context.gpus)
    model, classes, network = load_network(task, context, device)
    datasets = {name: bound.settings for name, bound in task.datasets.items()}
    frames = {name: list_frames(dataset, context.roots[name]) for name, dataset in datasets.items()}
    manifest = build_manifest(settings.stream, frames)
    (context.folder / MANIFEST_FILE).write_text(json.dumps([step.to_json() for step in manifest]))
    indexed = index_frames(frames)
    supplies = load_supplies(context, settings.stream.seed, model, classes, device)
    video = _build_video(settings, manifest, indexed, model, len(classes))
    chosen = _read_method(settings, context)
    forward = build_forward(model, supplies.auxiliary)
    method = build_method(chosen, model, forward, len(classes), supplies)

    def prepare(step: Step, image: NDArray[np.uint8]) -> Tensor:
        return to_tensor(model, image, datasets[step.dataset].resize)

    with (context.folder / FRAMES_FILE).open("w", encoding="utf-8") as file:

        def on_frame(frame: FrameScore) -> None:
            file.write(json.dumps(_describe_frame(frame), allow_nan=False) + "\n")
            if (frame.index + 1) % 10 == 0 or frame.index + 1 == len(manifest):
                live = _keep_finite({**frame.notes, "loss": frame.loss, "progress": (frame.index + 1) / len(manifest)})
                context.on_step(frame.index + 1, {name: value for name, value in live.items() if value is not None})

        pictures = FramePictures(context.folder, _find_palette(task))
        pictured = choose_steps(manifest)

        def on_prediction(index: int, image: NDArray[np.uint8], label: NDArray[np.uint8], prediction: Tensor) -> None:
            if index in pictured:
                pictures.add(manifest[index].frame, pictured[index], image, label, prediction.cpu().numpy())

        scores = run_stream(
            method,
            # All cores but one prepare frames, on a CPU too: reading and corrupting take as long as a small network.
            open_feed(manifest, indexed, datasets, workers=max(0, context.threads - 1)),
            prepare,
            len(classes),
            on_frame=on_frame,
            on_prediction=on_prediction,
            reset=settings.reset,
            on_non_finite=settings.on_non_finite,
            temporal=video,
        )
    pictures.close()
    counts = _collect_counts(scores)
    save_counts(context.folder, [frame.step.frame for frame in scores.frames], counts)
    return StageResult(
        network=network,
        method=_describe_method(chosen, method),
        protocol=describe_protocol(task),
        classes=classes,
        cells=_make_cells(scores, counts),
        metrics={
            "frames_per_second": scores.frames_per_s,
            "flops_per_frame": scores.flops_per_frame,
            "updates": scores.updates,
            "skipped": scores.skipped,
            "resets": scores.resets,
            "recovered": scores.recovered,
            **measure_clusters(scores.frames, settings.on_non_finite == "reset"),
        },
    )


def _find_palette(task: Task) -> tuple[Color, ...]:
    """Return the colours of the classes, which all domains of a stream share."""
    return describe_dataset(next(iter(task.datasets.values())).settings).palette


def choose_steps(manifest: Manifest) -> dict[int, str]:
    """Return the steps of a stream that are pictured, and what each shows.

    They are the last frame of each of the first domains, in the first and in the last round: what the method had become by
    then.
    """
    domains = list(dict.fromkeys(step.domain for step in manifest))[:PICTURED_DOMAINS]
    rounds = sorted({step.round for step in manifest})
    last = {(step.round, step.domain): index for index, step in enumerate(manifest)}
    chosen = {}
    for round_ in dict.fromkeys((rounds[0], rounds[-1])):
        for domain in domains:
            if (round_, domain) in last:
                chosen[last[round_, domain]] = domain if len(rounds) == 1 else f"{domain}, round {round_ + 1}"
    return chosen


def _read_method(settings: StreamStage, context: StageContext) -> MethodSettings:
    """Return the method's settings: those of the file, or those that a search has chosen."""
    if "method" not in context.inputs:
        return settings.method
    return parse_method((context.inputs["method"] / METHOD_FILE).read_text(encoding="utf-8"))


def _build_video(
    settings: StreamStage, manifest: Manifest, frames: FramesByName, model: nn.Module, num_classes: int
) -> VideoScorer | None:
    """Return what measures the stream's clips, or None where nothing is asked for; the model is not adapted yet."""
    if settings.temporal is None:
        return None
    features = build_features(model) if settings.temporal.perceptual else None
    return VideoScorer(settings.temporal, num_classes, find_clip_starts(manifest, frames), features)


def _describe_method(settings: MethodSettings, method: Method[Any]) -> dict[str, Any]:
    """Describe the method as it really ran, for the record."""
    return {
        "name": settings.name,
        "title": name_method(settings),
        "updates": method.updates,
        "scored": method.scored,
        "batch_norm": method.batch_norm,
        "unit": method.unit,
        "needs": list(list_needs(settings)),
        "settings": settings.model_dump(mode="json"),
    }


def _describe_frame(frame: FrameScore) -> dict[str, Any]:
    """Return what a frame gave as plain data: one line of the file of frames."""
    step = frame.step
    return {
        "index": frame.index,
        "round": step.round,
        "domain": step.domain,
        "dataset": step.dataset,
        "frame": step.frame,
        "loss": frame.loss,
        "updates": frame.updates,
        "skipped": frame.skipped,
        "reset": frame.was_reset,
        "recovered": frame.recovered,
        "seconds": frame.seconds,
        "notes": _keep_finite(frame.notes),
    }


def _keep_finite(values: Mapping[str, float | None]) -> dict[str, float | None]:
    """Replace what is infinite or not a number by None."""
    return {name: value if value is not None and math.isfinite(value) else None for name, value in values.items()}


def _collect_counts(scores: StreamScores) -> dict[str, NDArray[np.int64]]:
    """Return the counts of the frames of each cell, (N, K, K), by the cell's name."""
    frames: dict[tuple[int, str], list[NDArray[np.int64]]] = {cell: [] for cell in scores.cells}
    for frame in scores.frames:
        frames[frame.cell].append(frame.confusion)
    return {f"{round_}/{domain}": np.stack(found) for (round_, domain), found in frames.items()}


def _make_cells(scores: StreamScores, counts: Mapping[str, NDArray[np.int64]]) -> tuple[Cell, ...]:
    return tuple(
        make_cell(
            f"{round_}/{domain}",
            {"round": round_, "domain": domain},
            counts[f"{round_}/{domain}"],
            scores.calibration[round_, domain],
            tuple(_make_clip(clip) for clip in scores.clips.get((round_, domain), ())),
        )
        for round_, domain in scores.cells
    )


def _make_clip(clip: ClipScore) -> Clip:
    return Clip(
        name=clip.name,
        frames=clip.frames,
        intersection=tuple(clip.intersection.tolist()),
        union=tuple(clip.union.tolist()),
        vc=dict(clip.vc),
        perceptual=clip.perceptual,
    )


def measure_clusters(frames: Sequence[FrameScore], recovery_resets: bool) -> dict[str, float | None]:
    """Measure the clusters of a reservoir: the most models that it had, and how pure its clusters are.

    After a reset clusters are numbered anew, so those of before are others. Frames that were not routed do not count.

    Args:
        frames: of the stream, in order.
        recovery_resets: whether the method went back to its start where something was not finite.

    Returns:
        `models` and `purity`; nothing for a method without clusters.
    """
    clusters: list[int] = []
    domains: list[str] = []
    numbers: dict[tuple[int, float], int] = {}
    resets = 0
    for frame in frames:
        restarted = frame.was_reset or frame.notes.get("restarted") == 1.0  # by the stream's policy, by `rdumb`
        resets += restarted or (recovery_resets and frame.recovered is not None)
        if "cluster" in frame.notes:
            clusters.append(numbers.setdefault((resets, frame.notes["cluster"]), len(numbers)))
            domains.append(frame.step.domain)
    if not clusters:
        return {}
    models = max(frame.notes["models"] for frame in frames if "models" in frame.notes)
    return {"models": models, "purity": compute_purity(clusters, domains)}
