"""A whole adaptation: it learns, resumes without a trace and hands on the network that was asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from adapt.data.layout import Frame
from adapt.data.reading import read_frame
from adapt.data.settings import DatasetSettings
from adapt.errors import PrerequisiteError, SpecError
from adapt.inference import predict_classes
from adapt.openmmlab.checkpoint import load_checkpoint
from adapt.openmmlab.model import build_model
from adapt.training.runner import QuietRunner
from adapt.training.settings import AugmentSettings, OptimizerSettings, ScheduleSettings, TrainSettings
from adapt.training.validation import Validation
from adapt.uda.settings import (
    DacsSettings,
    DaformerSettings,
    HrdaSettings,
    MaskedConsistencySettings,
    MicSettings,
    MinEntSettings,
    MultiResolutionSettings,
    RareClassSettings,
    UdaSettings,
)
from adapt.uda.train import Adapted, train_uda

Domains = tuple[tuple[Frame, ...], tuple[Frame, ...]]
RARE = RareClassSettings(temperature=0.1, min_pixels=50, min_crop_pixels=50)
TWO_RESOLUTIONS = MultiResolutionSettings(detail_crop=(24, 16), attention_channels=8, window=None)
# One of each kind, every part switched on somewhere.
METHODS: dict[str, UdaSettings] = {
    "minent": MinEntSettings(),
    "dacs": DacsSettings(pseudo_threshold=0.5),
    "daformer": DaformerSettings(rare_class=RARE, pseudo_threshold=0.5, feature_distance={"reference": "start"}),
    "hrda": HrdaSettings(
        rare_class=RARE, pseudo_threshold=0.5, feature_distance={"reference": "start"}, image_margins=(2, 4, 2, 2),
        multi_resolution=TWO_RESOLUTIONS,
    ),
    "mic": MicSettings(
        rare_class=RARE, pseudo_threshold=0.5, feature_distance=None, multi_resolution=TWO_RESOLUTIONS,
        masked_consistency=MaskedConsistencySettings(block=8),
    ),
}  # fmt: skip


def make_method(**changes: Any) -> DaformerSettings:
    return DaformerSettings(**{"rare_class": None, "pseudo_threshold": 0.5, "feature_distance": None, **changes})


class StoppedError(Exception):
    pass


def make_settings(iterations: int, **changes: Any) -> TrainSettings:
    values: dict[str, Any] = {
        "iterations": iterations,
        "batch_size": 2,
        "optimizer": OptimizerSettings(lr=5e-3),
        "schedule": ScheduleSettings(warmup_iterations=2, warmup_ratio=0.5),
        "augment": AugmentSettings(crop=(48, 24)),
        "checkpoint_interval": 3,
        "log_interval": 1,
    }
    return TrainSettings(**{**values, **changes})


@pytest.fixture
def adapt(
    domains: Domains, source: DatasetSettings, target: DatasetSettings, model_config: dict[str, Any], tmp_path: Path
) -> Any:
    def run(
        folder: str, settings: TrainSettings, on_step: Any = None, uda: UdaSettings | None = None, **more: Any
    ) -> Any:
        return train_uda(
            model_config,
            domains[0],
            source,
            domains[1],
            target,
            settings,
            uda or make_method(rare_class=RARE),
            5,
            tmp_path / folder,
            on_step or (lambda iteration, metrics: None),
            **more,
        ).network

    return run


@pytest.mark.parametrize("name", METHODS)
def test_resumed_run_is_bit_equal(adapt: Any, tmp_path: Path, name: str) -> None:
    uda = METHODS[name]

    def stop(iteration: int, metrics: dict[str, float]) -> None:
        if iteration == 4:
            raise StoppedError

    straight = adapt("a", make_settings(6), uda=uda)
    with pytest.raises(StoppedError):
        adapt("b", make_settings(6), stop, uda=uda)
    reported: dict[int, dict[str, float]] = {}
    torch.manual_seed(99)

    resumed = adapt("b", make_settings(6), reported.__setitem__, uda=uda)

    assert list(reported) == [4, 5, 6]
    assert all(
        torch.equal(a, b) for a, b in zip(straight.state_dict().values(), resumed.state_dict().values(), strict=True)
    )
    (first,), (second,) = (list((tmp_path / name).glob("*.pth")) for name in "ab")
    a, b = load_checkpoint(first)["state_dict"], load_checkpoint(second)["state_dict"]
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
    if name != "minent":
        assert reported[4]["ema_alpha"] == pytest.approx(0.75)
        assert a["_extra_state"].item() == 6
        assert any(name.startswith("teacher.") for name in a)


def test_losses_fall_and_all_is_reported(adapt: Any) -> None:
    reported: dict[int, dict[str, float]] = {}

    settings = make_settings(
        45, batch_size=4, log_interval=15, checkpoint_interval=1000, optimizer=OptimizerSettings(lr=0.01)
    )

    student = adapt("run", settings, reported.__setitem__, make_method())

    assert list(reported) == [15, 30, 45]
    assert {"loss", "source_loss", "mix_loss", "q", "ema_alpha", "lr", "iteration_s"} <= set(reported[15])
    assert {"data_s", "student_s", "teacher_s"} <= set(reported[15])
    split = sum(reported[30][name] for name in ("data_s", "student_s", "teacher_s"))
    assert 0 < split <= reported[30]["iteration_s"]
    assert reported[45]["source_loss"] < 0.7 * reported[15]["source_loss"]
    assert reported[45]["q"] > reported[15]["q"]
    assert reported[45]["loss"] == pytest.approx(reported[45]["source_loss"] + reported[45]["mix_loss"])
    assert not any(name.startswith(("student", "teacher")) for name in student.state_dict())
    assert not student.training


def test_hands_on_the_network_that_was_asked_for(adapt: Any, tmp_path: Path) -> None:
    uda = make_method()
    student = adapt("run", make_settings(3), uda=uda)

    # The same run, finished already: only the choice of the network differs.
    teacher = adapt("run", make_settings(3), uda=uda.model_copy(update={"evaluate_with": "teacher"}))

    (path,) = (tmp_path / "run").glob("*.pth")
    saved = load_checkpoint(path)["state_dict"]
    assert all(torch.equal(value, saved[f"student.{name}"]) for name, value in student.state_dict().items())
    assert all(torch.equal(value, saved[f"teacher.{name}"]) for name, value in teacher.state_dict().items())
    assert not teacher.training
    assert not torch.equal(next(student.parameters()), next(teacher.parameters()))


def test_starts_from_weights(adapt: Any, model_config: dict[str, Any], tmp_path: Path) -> None:
    start = build_model(model_config, 77)
    with torch.no_grad():
        for name, buffer in start.named_buffers():
            if name.endswith("running_var"):
                buffer.fill_(3.0)
    torch.save(start.state_dict(), tmp_path / "start.pth")
    settings = make_settings(1, optimizer=OptimizerSettings(lr=1e-12))
    uda = make_method(rare_class=RARE, evaluate_with="teacher")

    teacher = adapt("run", settings, uda=uda, weights=tmp_path / "start.pth")

    for (name, a), b in zip(start.named_parameters(), teacher.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-9, msg=name)
    variance = teacher.decode_head.convs[0].bn.running_var
    assert torch.all(variance > 2.5)  # nine tenths of 3.0, and what one batch brings


def test_trains_both_networks_on_the_device_that_it_is_told(adapt: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    models: list[Any] = []
    # "meta" stands in for a GPU: it takes tensors, but computes nothing.
    monkeypatch.setattr(QuietRunner, "train", lambda self: (models.append(self.model), self.model)[1])

    adapt("run", make_settings(1), device=torch.device("meta"))

    (model,) = models
    assert {tensor.device.type for tensor in (*model.parameters(), *model.buffers())} == {"meta"}
    for part in (model, model.student, model.teacher):
        assert part.data_preprocessor.device.type == "meta"


def test_needs_a_crop(adapt: Any) -> None:
    with pytest.raises(SpecError, match=r"augment\.crop"):
        adapt("run", make_settings(1, augment=AugmentSettings(crop=None)))


def test_imagenet_feature_distance_needs_a_choice(adapt: Any, tmp_path: Path) -> None:
    for uda in (DaformerSettings(), HrdaSettings(), MicSettings()):
        with pytest.raises(SpecError, match=r"reference: start"):
            adapt("run", make_settings(1), uda=uda)
    with pytest.raises(SpecError, match=r"reference: start"):
        adapt("run", make_settings(1), uda=DaformerSettings(), weights=tmp_path / "whole.pth", weights_of="network")


def test_counts_rare_classes_and_draws_pictures(adapt: Any, tmp_path: Path) -> None:
    reported: dict[int, dict[str, float]] = {}
    settings = make_settings(4, log_interval=2, picture_interval=2)

    adapt("run", settings, reported.__setitem__, pictures=tmp_path / "pictures")

    draws = {name: value for name, value in reported[4].items() if name.startswith("rcs_draws/")}
    assert sum(draws.values()) == 2 * 2  # two iterations of two samples each
    assert set(draws) >= {"rcs_draws/Road", "rcs_draws/Sky"}
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == [
        "iteration_000002.png", "iteration_000004.png",
    ]  # fmt: skip


def test_pseudo_labels_are_scored_only_where_asked(adapt: Any, domains: Domains) -> None:
    # The toy target's label files do not exist, so whoever opens one fails.
    adapt("quiet", make_settings(1))
    with pytest.raises(PrerequisiteError, match=r"target\d_label"):
        adapt("curious", make_settings(1), uda=make_method(score_pseudo_labels=True))


@pytest.mark.parametrize("evaluate_with", ["student", "teacher"])
def test_validation_looks_at_what_is_handed_on_and_changes_nothing(
    domains: Domains,
    source: DatasetSettings,
    target: DatasetSettings,
    model_config: dict[str, Any],
    tmp_path: Path,
    evaluate_with: str,
) -> None:
    """The looks of a run that was interrupted are those of one that was not; the last is of the network it hands on."""
    uda = make_method(evaluate_with=evaluate_with)

    def run(folder: str, on_step: Any, validation: Validation | None = None) -> Adapted:
        return train_uda(
            model_config, domains[0], source, domains[1], target, make_settings(6), uda, 5, tmp_path / folder, on_step,
            validation=validation,
        )  # fmt: skip

    def ignore(iteration: int, metrics: dict[str, float]) -> None:
        pass

    def stop(iteration: int, metrics: dict[str, float]) -> None:
        if iteration == 5 and "loss" in metrics:
            raise StoppedError

    validation = Validation(domains[0], source, 2)
    blind, seeing = run("a", ignore), run("b", ignore, validation)
    with pytest.raises(StoppedError):
        run("c", stop, validation)
    resumed = run("c", ignore, validation)

    assert blind.looks == ()
    assert [iteration for iteration, _ in seeing.looks] == [2, 4, 6]
    assert resumed.looks == seeing.looks
    for other in (seeing.network, resumed.network):
        assert all(
            torch.equal(a, b)
            for a, b in zip(blind.network.state_dict().values(), other.state_dict().values(), strict=True)
        )
    counts = np.zeros((11, 11), np.int64)
    for frame in domains[0]:
        image, label = read_frame(frame, source)
        predicted = predict_classes(seeing.network, image)
        for row, column in zip(label.ravel().tolist(), predicted.ravel().tolist(), strict=True):
            if row != 255:
                counts[row, column] += 1
    present = counts.sum(0) + counts.sum(1) > 0
    union = counts.sum(0) + counts.sum(1) - counts.diagonal()
    assert seeing.looks[-1][1] == pytest.approx(float((counts.diagonal()[present] / union[present]).mean()))
