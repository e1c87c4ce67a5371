"""The styles of source frames: by the network itself, or by VGG19 whose used layers are kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from adapt.data.layout import list_frames
from adapt.data.reading import read_image
from adapt.inference import forward_logits, to_tensor
from adapt.openmmlab.model import build_model, resolve_config
from adapt.tta.reservoir.settings import StyleExtractorSettings
from adapt.tta.reservoir.style import build_extractor
from adapt.tta.reservoir.vgg19 import Vgg19Start
from tests.orchestrator.stages.conftest import Run


def test_styles_are_those_of_the_frames(run_stages: Callable[[str], Run]) -> None:
    """Threshold and mean from the styles of all four frames, computed here one by one."""
    run = run_stages("  look: {kind: styles, model: net, dataset: source, quantile: 0.5, extractor: {stride: 1}}\n")
    record, task = run.records["look"], run.task("look")
    assert record.failure is None
    dataset = task.datasets["source"].settings
    root = run.plan.facts.find_root("source")
    assert task.model is not None
    assert root is not None
    model = build_model(resolve_config(task.model.settings, 19), seed=0).eval()
    extract = build_extractor(StyleExtractorSettings(stride=1), model, forward_logits)
    images = [to_tensor(model, read_image(frame.image)) for frame in list_frames(dataset, root)]
    styles = [extract(image).double().numpy() for image in images]
    distances = [np.linalg.norm(a - b) for i, a in enumerate(styles) for b in styles[:i]]
    with np.load(run.folder("look") / "styles.npz") as kept:
        assert kept["mean"] == pytest.approx(np.mean(styles, axis=0), abs=1e-5)
    assert record.metrics == {"samples": 4, "threshold": pytest.approx(np.median(distances), rel=1e-4)}
    assert set(record.files) == {"styles.npz"}
    assert record.network is not None


def test_vgg19_is_kept_with_the_styles_so_that_streams_need_no_file(
    run_stages: Callable[[str], Run], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    weights = Vgg19Start().state_dict() | {"classifier.0.weight": torch.zeros(3)}
    torch.save(weights, tmp_path / "vgg.pth")
    run = run_stages(
        "  look: {kind: styles, model: net, dataset: source, extractor: {name: vgg19, weights: vgg.pth}}\n"
        "  weather: {kind: stream, model: net, styles: '${look.styles}', method: {name: reservoir},"
        " stream: {kind: single, domains: [{dataset: fog}]}}\n"
    )
    assert [record.failure for record in run.records.values()] == [None, None]
    assert set(run.records["look"].files) == {"styles.npz", "extractor.pth"}
    kept = torch.load(run.folder("look") / "extractor.pth", weights_only=True)
    assert kept.keys() == Vgg19Start().state_dict().keys()
    assert all(torch.equal(kept[name], weights[name]) for name in kept)
