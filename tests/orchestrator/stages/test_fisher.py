"""Fisher information over source frames, against autograd one frame at a time."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from adapt.data.layout import list_frames
from adapt.data.reading import read_image
from adapt.inference import forward_logits, to_tensor
from adapt.openmmlab.model import build_model, resolve_config
from adapt.tta.parameters import collect_norm_parameters
from tests.orchestrator.stages.conftest import Run


def test_the_information_is_the_mean_squared_gradient(run_stages: Callable[[str], Run]) -> None:
    run = run_stages("  anchor: {kind: fisher, model: net, dataset: source, batch_norm: source}\n")
    record, task = run.records["anchor"], run.task("anchor")
    assert record.failure is None
    root = run.plan.facts.find_root("source")
    assert root is not None
    assert task.model is not None
    model = build_model(resolve_config(task.model.settings, 19), seed=0).eval()
    parameters = collect_norm_parameters(model)
    expected = {name: torch.zeros_like(value) for name, value in parameters.items()}
    frames = list_frames(task.datasets["source"].settings, root)
    for frame in frames:
        model.zero_grad()
        logits = forward_logits(model, to_tensor(model, read_image(frame.image)))
        torch.nn.functional.cross_entropy(logits, logits.argmax(1)).backward()
        for name, value in parameters.items():
            if value.grad is not None:
                expected[name] += value.grad**2 / len(frames)
    kept = torch.load(run.folder("anchor") / "fisher.pth", weights_only=True)
    assert kept.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.allclose(kept[name], value.detach(), rtol=1e-3, atol=1e-9), name
    assert record.metrics == {"samples": 4, "parameters": sum(value.numel() for value in parameters.values())}


@pytest.mark.parametrize("kind", ["fisher", "styles"])
def test_a_seed_chooses_the_frames(kind: str, run_stages: Callable[[str], Run]) -> None:
    stage = f"{{kind: {kind}, model: net, dataset: source, samples: 2, seed: %d}}"
    run = run_stages("".join(f"  s{seed}: {stage % seed}\n" for seed in range(4)))
    assert {record.metrics["samples"] for record in run.records.values()} == {2}
    hashes = {name: next(iter(record.files.values())).sha256 for name, record in run.records.items()}
    assert len(set(hashes.values())) > 1
