"""The `stream` stage: test-time adaptation of a network over a stream of domains."""

from __future__ import annotations

import json

import numpy as np
import torch

from adapt import runtime
from adapt.data.layout import list_frames
from adapt.inference import forward_logits, to_tensor
from adapt.tta.catalog import build_method
from adapt.tta.run import FrameScore, run_stream
from adapt.tta.stream import Step, build_manifest, index_frames, load_step
from experiments.schema import StreamStage
from experiments.task import Task
from orchestrator.protocol import describe_protocol
from orchestrator.stages.network import load_network
from orchestrator.stages.stage import MANIFEST_FILE, StageContext, StageResult, make_cell, save_counts


def run(task: Task, context: StageContext) -> StageResult:
    """Walk a method through its stream: predict, score, adapt. The manifest of the stream is kept beside the record."""
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
    method = build_method(settings.method, model, forward_logits, len(classes))

    def load(step: Step) -> tuple[torch.Tensor, np.ndarray]:
        image, label = load_step(step, indexed, datasets)
        return to_tensor(model, image, datasets[step.dataset].resize), label

    def on_frame(frame: FrameScore) -> None:
        if (frame.index + 1) % 10 == 0 or frame.index + 1 == len(manifest):
            live = {"progress": (frame.index + 1) / len(manifest)}
            context.on_step(frame.index + 1, live | ({} if frame.loss is None else {"loss": frame.loss}))

    scores = run_stream(method, manifest, load, len(classes), on_frame, settings.reset)
    counts = {
        f"{round_}/{domain}": np.stack(
            [f.confusion for f in scores.frames if (f.step.round, f.step.domain) == (round_, domain)]
        )
        for round_, domain in scores.cells
    }
    save_counts(context.folder, [frame.step.frame for frame in scores.frames], counts)
    return StageResult(
        network=network,
        method={"name": settings.method.name, "updates": method.updates, "batch_norm": method.batch_norm},
        protocol=describe_protocol(task),
        classes=classes,
        cells=tuple(
            make_cell(f"{round_}/{domain}", {"round": round_, "domain": domain}, counts[f"{round_}/{domain}"])
            for round_, domain in scores.cells
        ),
        metrics={
            "frames_per_second": scores.frames_per_s,
            "updates": scores.updates,
            "skipped": scores.skipped,
            "resets": scores.resets,
        },
    )
