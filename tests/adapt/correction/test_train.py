"""Trainings on noisy labels from end to end: resumed runs, untouched files, and what each setting does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from adapt.correction.label_store import LabelStore
from adapt.correction.settings import (
    AdeleSettings,
    ConsistencySettings,
    CoTeachingSettings,
    CrossEntropySettings,
    CurveSettings,
    GeneralisedSettings,
    RuleSettings,
    SelfCorrectionSettings,
)
from adapt.data.layout import Frame
from adapt.errors import PrerequisiteError, SpecError
from adapt.hashing import hash_file
from adapt.networks.multi_resolution_config import wrap_multi_resolution
from adapt.noise.settings import DropSettings, FlipSettings
from adapt.training.runner import train_supervised
from adapt.training.settings import AugmentSettings, OptimizerSettings, ScheduleSettings, TrainSettings
from adapt.training.validation import Validation
from adapt.uda.settings import MultiResolutionSettings

NOISE = FlipSettings(rate=0.4, unit="pixel")
ALWAYS = RuleSettings(confidence=0.0)
ADELE = AdeleSettings(
    # Nearly any slope is flat enough, so that classes trigger within a handful of epochs.
    curve=CurveSettings(point_iterations=1, min_points=3, threshold=0.01, epochs=2),
    rule=ALWAYS,
    consistency=ConsistencySettings(scales=(0.5, 1.0)),
    scales=(0.5, 1.0),
)
METHODS: dict[str, dict[str, Any]] = {
    "plain": {},
    "smoothed": {"loss": CrossEntropySettings(label_smoothing=0.1)},
    "generalised": {"loss": GeneralisedSettings()},
    "adele": {"correction": ADELE},
    "cumulative": {
        "correction": SelfCorrectionSettings(
            epoch=2, rule=RuleSettings(confidence=0.2, from_original=False), consistency=None
        )
    },
    "co_teaching": {"correction": CoTeachingSettings(warmup_epochs=3.0)},
}


class StoppedError(Exception):
    """A run is cut off."""


def same_weights(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    one, other = first.state_dict(), second.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("name", METHODS)
def test_resumed_run_is_bit_equal(train, frames, camvid, tmp_path: Path, name: str) -> None:
    validation = Validation(frames[:2], camvid, 4)
    whole = train("whole", noise=NOISE, validation=validation, **METHODS[name])

    def stop(iteration: int, metrics: dict[str, float]) -> None:
        if iteration == 8:  # two iterations after the last resume point, and an epoch's end
            raise StoppedError

    with pytest.raises(StoppedError):
        train("cut", on_step=stop, noise=NOISE, validation=validation, **METHODS[name])
    resumed = train("cut", noise=NOISE, validation=validation, **METHODS[name])
    assert same_weights(whole.network, resumed.network)
    assert resumed.history == whole.history
    assert resumed.looks == whole.looks
    assert [iteration for iteration, _ in whole.looks] == [4, 8, 12]
    if "correction" in METHODS[name] and name != "co_teaching":
        stores = [made.labels.store for made in (whole, resumed)]
        assert stores[0].list_epochs() == stores[1].list_epochs() != ()
        for epoch in stores[0].list_epochs():
            assert stores[0].read_manifest(epoch) == stores[1].read_manifest(epoch)


@pytest.mark.parametrize("name", ["adele", "cumulative"])
def test_loader_processes_learn_the_labels_of_the_moment(train, frames, name: str) -> None:
    """What they hold ready when labels are corrected was read before: it must not be learnt."""
    alone = train("alone", noise=NOISE, **METHODS[name])
    with_two = train("with_two", noise=NOISE, workers=2, **METHODS[name])
    assert alone.history.corrections[0]["epoch"] < 5
    assert same_weights(alone.network, with_two.network)
    assert with_two.history == alone.history


def test_originals_are_never_touched(train, frames) -> None:
    before = {frame.name: (hash_file(frame.image), hash_file(frame.label)) for frame in frames}
    made = train("run", noise=NOISE, correction=SelfCorrectionSettings(epoch=1, rule=ALWAYS, consistency=None))
    assert made.history.corrections[-1]["changed"] > 0
    assert {frame.name: (hash_file(frame.image), hash_file(frame.label)) for frame in frames} == before
    folder = Path(made.labels.store.folder)
    assert not {path.parent for frame in frames for path in (frame.image, frame.label)} & {folder, *folder.iterdir()}


def test_what_is_corrected_is_learnt_and_scored_against_the_clean_label(train, frames) -> None:
    made = train("run", noise=NOISE, correction=SelfCorrectionSettings(epoch=3, rule=ALWAYS, consistency=None))
    assert [entry["epoch"] for entry in made.history.corrections] == [3, 4, 5, 6]
    changed = labelled = right = wrong = mended = 0
    for frame in frames:
        _, given, clean = made.labels.read(frame)
        corrected = made.labels.read_newest(frame, given)
        known = given != 255
        changed, labelled = changed + (corrected != given).sum(), labelled + known.sum()
        right += ((corrected != given) & (corrected == clean)).sum()
        wrong, mended = wrong + (given != clean).sum(), mended + ((given != clean) & (corrected == clean)).sum()
    last = made.history.corrections[-1]
    assert last["changed"] == changed / labelled > 0
    assert last["scores"]["total_precision"] == right / changed
    assert last["scores"]["total_recall"] == mended / wrong


def test_curves_are_those_of_the_training_predictions(train) -> None:
    seen: list[tuple[int, dict[str, float]]] = []
    made = train("run", on_step=lambda i, m: seen.append((i, m)), noise=NOISE, correction=ADELE)
    assert [point["iteration"] for point in made.history.points] == list(range(1, 13))
    assert [point["epoch"] for point in made.history.points[:3]] == [0.5, 1.0, 1.5]
    reported = [metrics["iou_m"] for _, metrics in seen if "iou_m" in metrics]
    assert reported == [point["iou_m"] for point in made.history.points]
    assert len(made.history.verdicts) == 11
    fired = [verdict for verdict in made.history.verdicts if verdict["triggered"]]
    assert fired
    assert made.history.corrections[0]["epoch"] == min(verdict["triggered_at"] for verdict in fired) + 1
    assert all(verdict["reason"] for verdict in made.history.verdicts if not verdict["triggered"])


def test_without_noise_there_is_nothing_to_memorise(train) -> None:
    made = train("run", iterations=6, correction=ADELE.model_copy(update={"curve": CurveSettings(point_iterations=1)}))
    assert {point["iou_m"] for point in made.history.points} == {None}


def test_the_plain_learner_is_plain_training(train, frames, camvid, model_config, tmp_path: Path) -> None:
    """Without anything that changes labels or loss the learner's network is that of mmsegmentation's own step."""
    settings = TrainSettings(
        iterations=6, batch_size=3, optimizer=OptimizerSettings(lr=5e-3, head_lr_multiplier=1),
        schedule=ScheduleSettings(warmup_iterations=1), augment=AugmentSettings(crop=(48, 32), cat_max_ratio=1.0),
        checkpoint_interval=3, log_interval=1,
    )  # fmt: skip
    plain = train_supervised(model_config, frames, camvid, settings, 5, tmp_path / "plain", lambda i, m: None)
    learner = train("learner", iterations=6, validation=Validation(frames[:1], camvid, 100)).network
    for (name, one), other in zip(plain.state_dict().items(), learner.state_dict().values(), strict=True):
        assert torch.allclose(one.double(), other.double(), atol=1e-5), name


def test_another_runs_labels_are_refused(train, tmp_path: Path) -> None:
    LabelStore(tmp_path / "run" / "labels", "another", []).folder.mkdir(parents=True)
    LabelStore(tmp_path / "run" / "labels", "another", []).open()
    with pytest.raises(SpecError, match="belongs to another run"):
        train("run", noise=NOISE, correction=ADELE)


def test_another_seeds_labels_are_refused(train) -> None:
    """Two runs in one folder that differ in seed, or in settings, correct differently."""
    train("run", noise=NOISE, correction=ADELE, iterations=6)
    with pytest.raises(SpecError, match="belongs to another run"):
        train("run", noise=NOISE, correction=ADELE, iterations=8)
    with pytest.raises(SpecError, match="belongs to another run"):
        train("run", noise=NOISE, correction=ADELE, iterations=6, seed=6)


def test_labels_of_an_interrupted_future_are_forgotten(train, frames) -> None:
    """What a run committed after its last resume point is corrected anew, not learnt."""
    options = {"noise": NOISE, "correction": SelfCorrectionSettings(epoch=5, rule=ALWAYS, consistency=None)}
    whole = train("whole", **options)

    def stop(iteration: int, metrics: dict[str, float]) -> None:
        if iteration == 5:
            raise StoppedError

    with pytest.raises(StoppedError):
        train("cut", on_step=stop, **options)
    store = LabelStore(
        whole.labels.store.folder.parents[1] / "cut" / "labels", whole.labels.store.run, whole.labels.store.images
    )
    store.open()
    wrong = np.full((32, 64), 3, np.uint8)
    store.commit(2, [store.write(2, frame.name, wrong, 1) for frame in frames])
    resumed = train("cut", **options)
    assert same_weights(whole.network, resumed.network)
    assert store.list_epochs() == whole.labels.store.list_epochs() == (5, 6)


def test_damaged_labels_end_a_resumed_run(train) -> None:
    options = {"noise": NOISE, "correction": SelfCorrectionSettings(epoch=1, rule=ALWAYS, consistency=None)}

    def stop(iteration: int, metrics: dict[str, float]) -> None:
        if iteration == 7:  # resumes at 6, when three epochs are over
            raise StoppedError

    with pytest.raises(StoppedError):
        train("run", on_step=stop, **options)
    made = train("other", **options)
    folder = made.labels.store.folder.parents[1] / "run" / "labels" / "epoch-0003"
    labels = sorted(folder.glob("*.png"))
    labels[0].write_bytes(labels[1].read_bytes())
    with pytest.raises(PrerequisiteError, match=f"{labels[0].name}': its content is not what was written"):
        train("run", **options)


def test_a_label_of_another_size_is_named(train, frames, tmp_path: Path) -> None:
    small = tmp_path / "small.png"
    cv2.imwrite(str(small), np.zeros((16, 32), np.uint8))
    with pytest.raises(PrerequisiteError, match=r"1 of 6 labels .*small\.png' is 32x16 pixels, its image .* is 64x32"):
        train("run", frames=(*frames[1:], Frame("bad", frames[0].image, small)))


def test_a_network_of_two_resolutions_learns_from_one_scale_alone(train, model_config, monkeypatch) -> None:
    two = wrap_multi_resolution(
        model_config, MultiResolutionSettings(detail_crop=(24, 16), attention_channels=8, window=None)
    )
    made = train("run", iterations=4, config=two, noise=NOISE, loss=GeneralisedSettings())
    assert [point["iteration"] for point in made.history.points] == [2, 4]
    with pytest.raises(SpecError, match=r"one of one resolution|network of one resolution.*consistency: null"):
        train("consistent", config=two, noise=NOISE, correction=ADELE)


def test_a_training_too_short_for_the_curves_is_refused(train) -> None:
    with pytest.raises(SpecError, match=r"With 6 frames and 3 an iteration .*at iteration 8, .* has 7 iterations"):
        train("run", iterations=7, correction=AdeleSettings(curve=CurveSettings(point_iterations=None)))


def test_an_unknown_background_is_refused(train) -> None:
    with pytest.raises(SpecError, match=r"`correction\.rule\.background` names 'nothing'.*Allowed: Sky, .*closest is"):
        train("run", correction=SelfCorrectionSettings(epoch=1, rule=RuleSettings(background="nothing")))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"noise": DropSettings(rate=0.1, background="Pole")}, "`background` names 'Pole', which no label of the 6 "),
        (
            {"correction": SelfCorrectionSettings(epoch=1, rule=RuleSettings(background="Pole"))},
            "names 'Pole', which no ",
        ),
        ({"correction": SelfCorrectionSettings(epoch=7)}, "`correction` would never change a label"),
        ({"correction": ADELE, "iterations": 5}, "`correction` would never change a label"),
    ],
)
def test_what_would_do_nothing_is_refused_before_the_network_is_built(
    train, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], message: str
) -> None:
    monkeypatch.setattr("adapt.correction.train.build_model", None)
    monkeypatch.setattr("adapt.correction.occurrence.read_label", lambda frame, dataset: np.zeros((2, 2), np.uint8))
    with pytest.raises(SpecError, match=message):
        train("run", **options)
