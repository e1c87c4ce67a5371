"""Adaptation from a source with wrong labels: they are learnt, corrected, and resumed without a trace."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from adapt.correction.settings import AdeleSettings, CurveSettings, RuleSettings, SelfCorrectionSettings
from adapt.data.layout import Frame
from adapt.data.settings import DatasetSettings
from adapt.errors import SpecError
from adapt.noise.settings import DropSettings, FlipSettings
from adapt.training.settings import AugmentSettings, OptimizerSettings, ScheduleSettings, TrainSettings
from adapt.uda.settings import DaformerSettings, MinEntSettings, RareClassSettings, UdaSettings
from adapt.uda.train import Adapted, train_uda

Run = Callable[..., Adapted]
NOISE = FlipSettings(rate=0.4, unit="pixel")
RULE = RuleSettings(confidence=0.0)
ADELE = AdeleSettings(
    # Nearly any slope is flat enough, so that classes trigger within a handful of epochs.
    curve=CurveSettings(point_iterations=1, min_points=3, threshold=0.01, epochs=2),
    rule=RULE,
    consistency=None,
    scales=(0.5, 1.0),
)
AT_ONCE = SelfCorrectionSettings(epoch=1, rule=RULE, consistency=None)
DAFORMER = DaformerSettings(
    rare_class=RareClassSettings(temperature=0.1, min_pixels=50, min_crop_pixels=50),
    pseudo_threshold=0.5,
    feature_distance=None,
)
METHODS: dict[str, UdaSettings] = {"minent": MinEntSettings(), "daformer": DAFORMER}


class StoppedError(Exception):
    pass


def ignore(iteration: int, metrics: dict[str, float]) -> None:
    pass


@pytest.fixture
def adapt(
    domains: tuple[tuple[Frame, ...], tuple[Frame, ...]],
    source: DatasetSettings,
    target: DatasetSettings,
    model_config: dict[str, Any],
    tmp_path: Path,
) -> Run:
    """Adapt for 24 iterations of two images a domain: two and a half are an epoch of the source."""

    def run(folder: str, uda: UdaSettings, on_step: Any = ignore, **noisy: Any) -> Adapted:
        settings = TrainSettings(
            iterations=24,
            batch_size=2,
            optimizer=OptimizerSettings(lr=1e-2),
            schedule=ScheduleSettings(warmup_iterations=2),
            augment=AugmentSettings(crop=(48, 24)),
            checkpoint_interval=8,
            log_interval=1,
        )
        return train_uda(
            model_config, domains[0], source, domains[1], target, settings, uda, 5, tmp_path / folder, on_step, **noisy
        )

    return run


@pytest.mark.parametrize(("name", "correction"), [("minent", AT_ONCE), ("daformer", AT_ONCE), ("daformer", ADELE)])
def test_resumed_run_is_bit_equal(adapt: Run, name: str, correction: Any) -> None:
    def stop(iteration: int, metrics: dict[str, float]) -> None:
        if iteration == 21:  # five after the last resume point, and an epoch later
            raise StoppedError

    noisy = {"noise": NOISE, "correction": correction}
    whole = adapt("whole", METHODS[name], **noisy)
    with pytest.raises(StoppedError):
        adapt("cut", METHODS[name], stop, **noisy)
    resumed = adapt("cut", METHODS[name], **noisy)
    assert whole.noisy is not None
    assert resumed.noisy is not None
    first, second = whole.network.state_dict(), resumed.network.state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert resumed.noisy.history == whole.noisy.history
    stores = [made.noisy.labels.store for made in (whole, resumed) if made.noisy is not None]
    assert stores[0] is not None
    assert stores[1] is not None
    assert stores[0].list_epochs() == stores[1].list_epochs() != ()
    for epoch in stores[0].list_epochs():
        assert stores[0].read_manifest(epoch) == stores[1].read_manifest(epoch)


@pytest.mark.parametrize("name", METHODS)
def test_what_is_learnt_changes_with_noise_and_with_its_correction(adapt: Run, name: str) -> None:
    made = {
        "clean": adapt("clean", METHODS[name]),
        "noisy": adapt("noisy", METHODS[name], noise=NOISE),
        "corrected": adapt("corrected", METHODS[name], noise=NOISE, correction=AT_ONCE),
    }
    weights = {key: next(adapted.network.parameters()).detach() for key, adapted in made.items()}
    assert not torch.equal(weights["clean"], weights["noisy"])
    assert not torch.equal(weights["noisy"], weights["corrected"])
    assert made["clean"].noisy is None
    assert made["noisy"].noisy is not None
    assert made["noisy"].noisy.history.corrections == []
    memorised = [point["iou_m"] for point in made["noisy"].noisy.history.points]
    assert np.isfinite([value for value in memorised if value is not None]).all()
    assert memorised


@pytest.mark.parametrize(
    ("noisy", "message"),
    [
        ({"noise": DropSettings(rate=0.1, background="Pole")}, "`background` names 'Pole', which no label of the 5 "),
        ({"correction": SelfCorrectionSettings(epoch=10, consistency=None)}, "`correction` would never change a label"),
    ],
)
def test_what_would_do_nothing_is_refused_before_the_network_is_built(
    adapt: Run, monkeypatch: pytest.MonkeyPatch, noisy: dict[str, Any], message: str
) -> None:
    """24 iterations of two images are nine epochs of the source."""
    monkeypatch.setattr("adapt.uda.train.build_model", None)
    monkeypatch.setattr("adapt.correction.occurrence.read_label", lambda frame, dataset: np.zeros((2, 2), np.uint8))
    with pytest.raises(SpecError, match=message):
        adapt("run", DAFORMER, **noisy)
