"""The protocol of a scored task: all that must be equal before two scores are compared in one ranking."""

from __future__ import annotations

from typing import Any

from experiments.grid import find_grid, list_canonical_cells
from experiments.identity import describe_stream_corruptions
from experiments.schema import BenchmarkStage, EvaluateStage, StreamStage
from experiments.task import Task

INFERENCE = "whole image"  # whatever a model's own config says of sliding windows


def describe_protocol(task: Task) -> dict[str, Any]:
    """Return the protocol of an `evaluate`, `benchmark` or `stream` task as JSON-able data.

    Data sets come with the fingerprint of their files and the size that the network sees; the network, the method and
    its learning rate are what is compared, and stay out. So does the seed of a stream that draws nothing, neither a
    corruption nor its order: there it is the method's alone. Any other seed of a stream makes a protocol of its own.
    """
    settings = task.settings
    data = {
        name: bound.settings.model_dump(mode="json") | {"fingerprint": bound.fingerprint}
        for name, bound in task.datasets.items()
    }
    if isinstance(settings, EvaluateStage):
        return {"kind": "evaluate", "inference": INFERENCE, "dataset": data[settings.dataset], "limit": settings.limit}
    if isinstance(settings, BenchmarkStage):
        protocol = find_grid(settings)
        shifts = {"shifts": {name: data[name] for name in settings.shifts}} if settings.shifts else {}
        return {
            "kind": "benchmark",
            "inference": INFERENCE,
            "dataset": data[settings.dataset],
            "limit": settings.limit,
            "protocol": protocol.name,
            "cells": list_canonical_cells(protocol),
            "backend": "+".join(protocol.backends),
            "backend_version": protocol.version,
            "channel_order": protocol.channel_order,
            "insertion_point": protocol.insertion_point,
            "seed": settings.seed,
            **shifts,
        }
    if isinstance(settings, StreamStage):
        corrupted = any(domain.corruption for domain in settings.stream.domains)
        draws = corrupted or settings.stream.kind in ("cdc", "mixed")
        return {
            "kind": "stream",
            "inference": INFERENCE,
            "stream": settings.stream.model_dump(mode="json", exclude=set() if draws else {"seed"}),
            "datasets": data,
            "reset": settings.reset.model_dump(mode="json"),
            "online": "batch size 1; one step a frame",
            "backend_version": describe_stream_corruptions(settings.stream)[1] if corrupted else None,
        }
    raise TypeError(f"task {task.name} of kind {task.kind} scores nothing")
