"""The loop: cells, resets, independence of runs, and where it stops."""

from __future__ import annotations

import dataclasses
import itertools
import sys
import types
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn

from adapt.errors import TaskError
from adapt.scores.calibration import CalibrationBins
from adapt.tta.catalog import build_method
from adapt.tta.feed import Sample
from adapt.tta.run import COUNTED_OF, is_counted, is_reset_due, run_stream
from adapt.tta.settings import BnStatsSettings, SourceSettings, TentSettings
from adapt.tta.stream import Step
from adapt.tta.stream_settings import ResetSettings, TemporalSettings
from adapt.tta.video_scorer import VideoScorer

STRONG = TentSettings(optimizer="adam", lr=1e-2)
DOMAINS = ("fog", "night")


def build_steps(rounds: int = 2, frames: int = 3) -> tuple[Step, ...]:
    return tuple(
        Step(round_, domain, domain, f"{domain}_{index}", None, None, None)
        for round_ in range(rounds)
        for domain in DOMAINS
        for index in range(frames)
    )


def feed(steps: tuple[Step, ...]) -> Iterator[Sample]:
    """Pixels and labels that depend on domain and frame, not on the round."""
    for step in steps:
        generator = np.random.default_rng([DOMAINS.index(step.domain), int(step.frame[-1])])
        image = generator.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        label = generator.integers(0, 5, (6, 8)).astype(np.uint8)
        label[generator.random((6, 8)) < 0.2] = 255
        yield step, image, label


def prepare(step: Step, image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)[None].double() / 64 - 2 + DOMAINS.index(step.domain)


def run(settings, net: nn.Module, steps: tuple[Step, ...], **options):
    method = build_method(settings, net, nn.Module.__call__, 5)
    return run_stream(method, feed(steps), prepare, 5, **options)


def read(scores) -> list:
    return [
        (frame.step, frame.confusion.tolist(), frame.calibration.tolist(), frame.loss, frame.was_reset)
        for frame in scores.frames
    ]


def test_cells_against_a_naive_loop(toy_net):
    net = toy_net()
    manifest = build_steps()
    scores = run(SourceSettings(), net, manifest)
    expected = {(round_, domain): np.zeros((5, 5), dtype=int) for round_ in (0, 1) for domain in DOMAINS}
    bins = {cell: CalibrationBins() for cell in expected}
    for step, image, label in feed(manifest):
        with torch.no_grad():
            probabilities = net(prepare(step, image))[0].softmax(dim=0)
        for row in range(6):
            for column in range(8):
                if label[row, column] != 255:
                    values = probabilities[:, row, column].tolist()
                    predicted = values.index(max(values))
                    expected[step.round, step.domain][label[row, column], predicted] += 1
                    bins[step.round, step.domain].accumulate(
                        np.array([max(values)]), np.array([predicted == label[row, column]])
                    )
    assert list(scores.cells) == list(scores.calibration) == list(expected)
    for cell in expected:
        assert np.array_equal(scores.cells[cell], expected[cell])
        assert scores.calibration[cell] == pytest.approx(bins[cell].counts, abs=1e-7)
        own = [frame for frame in scores.frames if frame.cell == cell]
        assert len(own) == 3
        assert np.array_equal(sum(frame.confusion for frame in own), expected[cell])
        assert sum(frame.calibration for frame in own) == pytest.approx(bins[cell].counts, abs=1e-7)
    assert (scores.updates, scores.skipped, scores.resets, scores.recovered) == (0, 0, 0, 0)
    assert scores.clips == {}
    assert scores.frames_per_s > 0


def test_the_score_is_that_of_the_prediction_before_the_update(toy_net):
    step = build_steps()[:1]
    tent, bn_stats = run(STRONG, toy_net(), step), run(BnStatsSettings(), toy_net(), step)
    assert np.array_equal(tent.frames[0].confusion, bn_stats.frames[0].confusion)
    assert (tent.updates, bn_stats.updates) == (1, 0)


def test_two_streams_in_a_row_equal_two_fresh_objects(toy_net):
    method = build_method(STRONG, toy_net(), nn.Module.__call__, 5)
    manifests = build_steps(), tuple(reversed(build_steps()))
    in_a_row = [read(run_stream(method, feed(manifest), prepare, 5)) for manifest in manifests]
    assert in_a_row == [read(run(STRONG, toy_net(), manifest)) for manifest in manifests]
    assert in_a_row[0][0][3] != in_a_row[1][-1][3]  # the same frame, met with other parameters


@pytest.mark.parametrize(
    ("reset", "indices"),
    [
        (ResetSettings(), []),
        (ResetSettings(policy="on_shift"), [3, 6, 9]),
        (ResetSettings(policy="every_n", n=5), [5, 10]),
        (ResetSettings(policy="episodic"), list(range(1, 12))),
    ],
)
def test_resets_come_where_the_policy_says(toy_net, reset, indices):
    scores = run(STRONG, toy_net(), build_steps(), reset=reset)
    assert [frame.index for frame in scores.frames if frame.was_reset] == indices
    assert scores.resets == len(indices)
    for index in indices:  # after a reset, the frame is met as by a fresh method
        alone = run(STRONG, toy_net(), (scores.frames[index].step,))
        assert scores.frames[index].loss == alone.frames[0].loss


def test_a_new_round_of_the_same_domain_is_no_shift():
    reset = ResetSettings(policy="on_shift")
    assert not is_reset_due(reset, 4, "fog", "fog")
    assert is_reset_due(reset, 4, "snow", "fog")


def test_adaptation_goes_on_without_a_reset(toy_net):
    scores = run(STRONG, toy_net(), build_steps())
    assert scores.frames[6].loss < scores.frames[0].loss  # the same frame, a round later


def test_every_frame_is_reported_as_it_comes(toy_net):
    seen = []
    scores = run(STRONG, toy_net(), build_steps(), on_frame=seen.append)
    assert tuple(seen) == scores.frames
    assert [frame.index for frame in seen] == list(range(12))
    assert scores.updates == 12


def test_a_frame_too_small_for_the_statistics_of_a_layer_is_named():
    net = nn.Sequential(nn.Conv2d(3, 5, 1), nn.AdaptiveAvgPool2d(1), nn.InstanceNorm2d(5, affine=True)).double()
    message = r"step 0 .*cannot take 8x6 pixels \(Expected more than 1 spatial element"
    with pytest.raises(TaskError, match=message):
        run(TentSettings(batch_norm="source"), net, build_steps()[:1])


def test_an_error_names_the_step(toy_net):
    method = build_method(STRONG, toy_net(), nn.Module.__call__, 5)

    def prepare_broken(step: Step, image: np.ndarray) -> torch.Tensor:
        images = prepare(step, image)
        return images * float("nan") if step.frame == "night_1" else images

    with pytest.raises(TaskError, match=r"step 4 \(round 0, domain 'night', frame 'night_1'\)\. The loss .* nan"):
        run_stream(method, feed(build_steps()), prepare_broken, 5, on_non_finite="stop")
    with pytest.raises(TaskError, match=r"step 4 .*The loss .*after the last good frame the prediction is not finite"):
        run_stream(method, feed(build_steps()), prepare_broken, 5)
    with pytest.raises(TaskError, match=r"step 0 .*logits of shape \(1, 5, 6, 8\).* 4 classes"):
        run_stream(method, feed(build_steps()), prepare, 4)


@pytest.mark.parametrize("policy", ["restore", "reset"])
def test_a_frame_that_breaks_the_model_is_recovered_and_listed(toy_net, policy):
    """The loss of one frame is made infinite; its prediction is that of the state before it, or of the start."""
    net, broken = toy_net(), 4
    calls = iter(range(100))

    def forward(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
        logits = model(images)
        return logits * float("nan") if next(calls) == broken else logits

    steps = build_steps()
    method = build_method(STRONG, net, forward, 5)
    scores = run_stream(method, feed(steps), prepare, 5, on_non_finite=policy)
    assert [frame.index for frame in scores.frames if frame.recovered is not None] == [broken]
    assert scores.frames[broken].recovered == "loss"
    assert (scores.recovered, scores.updates) == (1, 11)
    assert (scores.frames[broken].loss, scores.frames[broken].updates) == (None, 0)
    # The stream without that frame learns the same: from the frames before it, or anew after it.
    kept = steps[:broken] if policy == "restore" else ()
    others = run(STRONG, toy_net(), kept + steps[broken + 1 :])
    assert read(scores)[broken + 1 :] == read(others)[len(kept) :]
    alone = run(STRONG, toy_net(), (*kept, steps[broken]))
    assert np.array_equal(scores.frames[broken].confusion, alone.frames[-1].confusion)


def test_operations_are_those_of_the_convolutions_by_hand(toy_net):
    """Forward: a product and a sum for each weight and pixel. Backward: as much for the input, as much for the weights."""
    pixels = 6 * 8
    first, last = 2 * 3 * 4 * 9 * pixels, 2 * 4 * 5 * pixels
    assert run(SourceSettings(), toy_net(), build_steps()).flops_per_frame == first + last
    # Tent learns between the two: its gradient goes through the last layer's input, and no convolution has one of its own.
    assert run(STRONG, toy_net(), build_steps()).flops_per_frame == first + last + last


def test_operations_are_counted_on_some_frames_which_are_not_timed(toy_net):
    def prepare_larger(step: Step, image: np.ndarray) -> torch.Tensor:
        return prepare(step, image) if step.round == 0 else prepare(step, image).repeat(1, 1, 2, 2)

    steps = build_steps(rounds=1)
    later = [dataclasses.replace(step, round=1) for step in steps]
    stream = (*steps, *later * COUNTED_OF)[: 2 * COUNTED_OF]
    method = build_method(SourceSettings(), toy_net(), nn.Module.__call__, 5)
    scores = run_stream(method, feed(stream), prepare_larger, 5)
    small = run(SourceSettings(), toy_net(), steps[:1]).flops_per_frame
    counted = [frame.index for frame in scores.frames if frame.flops is not None]
    assert counted[0] == 0
    assert len(counted) == 2
    assert scores.frames[counted[1]].flops == 4 * small
    assert scores.flops_per_frame == 4 * small, "the first frame counts where it is alone"
    timed = [frame.seconds for frame in scores.frames if frame.index not in counted]
    assert scores.frames_per_s == pytest.approx(len(timed) / sum(timed))


def test_a_period_is_not_caught_in_step_with_the_counting():
    counted = [index for index in range(1, 10_000) if is_counted(index)]
    assert len(counted) == 10_000 // COUNTED_OF - 1
    for period in (5, 25, 50):
        assert sum(index % period == 0 for index in counted) / len(counted) == pytest.approx(1 / period, abs=0.05)


def test_video_is_measured_beside(toy_net, monkeypatch):
    module = types.ModuleType("no_motion")
    monkeypatch.setitem(sys.modules, "no_motion", module)
    module.find = lambda current, following: np.zeros((*current.shape[:2], 2), np.float32)
    temporal = VideoScorer(TemporalSettings(flow="no_motion:find", windows=(2,)), 5, [True, False, False] * 4)
    scores = run(SourceSettings(), toy_net(), build_steps(), temporal=temporal)
    assert list(scores.clips) == list(scores.cells)
    (clip,) = scores.clips[1, "night"]
    assert (clip.name, clip.frames) == ("night_0..night_2", 3)
    net = toy_net().eval()
    with torch.no_grad():
        ids = [net(prepare(step, image))[0].argmax(dim=0) for step, image, _ in feed(build_steps()[9:])]
    assert clip.intersection.sum() == sum(int((one == other).sum()) for one, other in itertools.pairwise(ids))


def test_an_empty_stream_has_no_speed(toy_net):
    scores = run(SourceSettings(), toy_net(), ())
    assert scores.frames_per_s is None
    assert scores.flops_per_frame is None
    assert scores.cells == {}
